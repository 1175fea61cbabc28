"""A sample's layout inside a tar: four members, their order, sizes and digests, known before a byte is written.

`{key}.json`, `{key}.masks`, `{key}.mp4`, `{key}.txt`, each a header, the content, zeros up to the next 512.
WebDataset readers split a name at its first dot and lower-case the rest: keys have no dot, extensions are lower case.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mvideo_core.base.errors import StoreError
from mvideo_core.base.options import canonical_json, digest
from mvideo_core.base.records import (
    Blob,
    CaptionRow,
    ClipRow,
    DetectionRow,
    MaskRow,
    ObjectStats,
    PlannedSample,
    SampleRow,
    VideoRow,
)

BLOCK_BYTES = 512
EXTENSIONS = ("json", "masks", "mp4", "txt")
MAX_KEY_CHARS = 200
USTAR_NAME_CHARS = 100
META_VERSION = 2

_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a sample.

    Attributes:
        extension: without the dot.
        offset_bytes: of the content (not of the header) within the tar.
        size_bytes, sha256: of the content.
        blob: where the content is; None if `content` holds it.
    """

    extension: str
    offset_bytes: int
    size_bytes: int
    sha256: str
    blob: Blob | None = None
    content: bytes = b""


def plan_sample(
    clip: ClipRow, masks: MaskRow, caption: CaptionRow, video: VideoRow | None = None,
    boxes: DetectionRow | None = None, object_ids: Sequence[int] | None = None,
) -> PlannedSample:  # fmt: skip
    """One triplet from the rows that share its key, with everything for its .json member.

    Args:
        clip, masks, caption: `ok` rows of one clip.
        video: its source, for title, size and rate of the original.
        boxes: of the searched frames.
        object_ids: ids of the objects of `masks.tracks` over all clips of the shot.

    Raises:
        StoreError: a row has no file.
    """
    if clip.clip is None or masks.masks is None:
        raise StoreError(f"{clip.key}: its row names no clip or no mask file; run the stages cut and segment again")
    return PlannedSample(
        key=clip.key,
        video_id=clip.parent,
        clip=clip.clip,
        masks=masks.masks,
        caption=caption.text,
        labels=[one.label for one in masks.objects if one.kept],
        n_frames=clip.n_frames,
        meta_json=canonical_json(
            _meta(clip, masks, caption, video, boxes) | _tracks(masks, object_ids or ()) | _trust(masks)
        ),
    )


def sample_members(sample: PlannedSample, offset_bytes: int) -> list[Member]:
    """The members of a sample whose first header is at `offset_bytes`, in the order they are written.

    Raises:
        StoreError: the key cannot be the name of a sample.
    """
    if not _KEY.fullmatch(sample.key) or len(sample.key) > MAX_KEY_CHARS:
        raise StoreError(
            f"key {sample.key!r}: a sample's key has 1 to {MAX_KEY_CHARS} letters, digits, '_' and '-' "
            "(readers split names at the first dot)"
        )
    members = []
    held: dict[str, Blob | bytes] = {
        "json": sample.meta_json.encode(), "masks": sample.masks, "mp4": sample.clip, "txt": sample.caption.encode(),
    }  # fmt: skip
    for extension in EXTENSIONS:
        content = held[extension]
        start = offset_bytes + header_bytes(f"{sample.key}.{extension}")
        if isinstance(content, Blob):
            member = Member(extension, start, content.size_bytes, content.sha256, blob=content)
        else:
            sha256 = hashlib.sha256(content).hexdigest()
            member = Member(extension, start, len(content), sha256, content=content)
        members.append(member)
        offset_bytes = start + pad_size(member.size_bytes)
    return members


def sample_bytes(sample: PlannedSample) -> int:
    """Bytes a sample takes in a tar."""
    last = sample_members(sample, 0)[-1]
    return last.offset_bytes + pad_size(last.size_bytes)


def sample_row(
    sample: PlannedSample, shard: str, split: str, offset_bytes: int, members: Sequence[Member] | None = None
) -> SampleRow:
    """The row of a sample at `offset_bytes` of the tar `shard` (path within the dataset); `members` if known."""
    members = members or sample_members(sample, offset_bytes)
    return SampleRow(
        key=sample.key,
        parent=sample.key,
        shard=shard,
        split=split,
        offset_bytes=offset_bytes,
        size_bytes=members[-1].offset_bytes + pad_size(members[-1].size_bytes) - offset_bytes,
        sha256=digest([[member.extension, member.sha256] for member in members]),
        video_id=sample.video_id,
        labels=sample.labels,
        n_frames=sample.n_frames,
        caption=sample.caption,
    )


def header_bytes(name: str) -> int:
    """Length of what `tar_format.add_member` writes before the content, for an ASCII name."""
    return BLOCK_BYTES if len(name) <= USTAR_NAME_CHARS else 2 * BLOCK_BYTES + pad_size(len(name) + 1)


def pad_size(size_bytes: int) -> int:
    """Size rounded up to whole blocks."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _object(stats: ObjectStats) -> dict[str, object]:
    """Every sample has all fields and no null, because Arrow readers infer column types from the first samples."""
    why = {"drop_reason": stats.drop_reason or "", "drop_value": stats.drop_value or 0.0}
    return stats.model_dump(mode="json") | why | {"drop_threshold": stats.drop_threshold or 0.0}


def _tracks(masks: MaskRow, object_ids: Sequence[int]) -> dict[str, object]:
    """When each object is in sight, and its id in the shot; nothing for masks tracked from the first frame alone."""
    if not masks.tracks:
        return {}
    tracks: list[dict[str, object]] = []
    for one, number in zip(masks.tracks, object_ids, strict=True):
        # Spans as text: readers would infer a wrong type from an empty list.
        spans = {name: " ".join(f"{start}-{end}" for start, end in getattr(one, name)) for name in ("hidden", "gone")}
        tracks.append(one.model_dump(mode="json") | spans | {"shot_object": number})
    return {"tracks": tracks}


def _trust(masks: MaskRow) -> dict[str, object]:
    """Predicted IoU of each object's masks with the truth, if it is known."""
    return {"trust": [one.model_dump(mode="json") for one in masks.trust]} if masks.trust else {}


def _meta(
    clip: ClipRow, masks: MaskRow, caption: CaptionRow, video: VideoRow | None, boxes: DetectionRow | None
) -> dict[str, object]:
    source: dict[str, object] = {
        "video_id": clip.parent, "sha256": clip.source_sha256, "url": clip.source_url, "licence": clip.licence,
        "shot_index": clip.shot_index, "start_s": clip.start_s, "end_s": clip.end_s,
    }  # fmt: skip
    if video is not None:
        source |= {"title": video.title, "width": video.width, "height": video.height, "fps": video.fps}
    if clip.bars:
        source["bars"] = clip.bars
    meta: dict[str, object] = {
        "meta_version": META_VERSION, "key": clip.key, "source": source,
        "width": clip.width, "height": clip.height, "fps": clip.fps, "n_frames": clip.n_frames,
        "objects": [_object(one) for one in masks.objects],
        "segmentation": {"model": masks.model, "weights_sha256": masks.weights_sha256},
        "caption": {"captioner": caption.captioner, "model": caption.model, "prompt_sha256": caption.prompt_sha256},
    }  # fmt: skip
    if caption.phrases:
        meta["phrases"] = [one.model_dump(mode="json") for one in caption.phrases]
    if boxes is not None:
        meta["detection"] = {
            "model": boxes.model, "weights_sha256": boxes.weights_sha256, "labels": boxes.labels,
            "scores": boxes.scores, "boxes_xyxy": boxes.boxes_xyxy,
        } | ({"frames": boxes.frames, "searched": boxes.searched} if boxes.searched else {})  # fmt: skip
    return meta
