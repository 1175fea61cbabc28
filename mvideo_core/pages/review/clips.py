"""What the review page shows: the clips of a workspace with masks, boxes and decisions, and their pictures."""

import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.records import ClipRow, DetectionRow, MaskRow
from mvideo_core.engine import STAGES
from mvideo_core.masks import MaskSequence, from_bytes
from mvideo_core.masks.draw import color_hex, overlay_frames
from mvideo_core.media.decode import read_frames
from mvideo_core.pages.review.order import doubtful_frame, estimate_gain
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.store.decisions import Decision, DecisionFile, masks_id
from mvideo_core.store.tables import RowIndex
from mvideo_core.store.workspace import Workspace

MAX_SIDE_PX = 960
HELD_CLIPS = 3
"""Clips whose pictures are held in memory."""


@dataclass(frozen=True)
class ReviewClip:
    """One clip with its masks.

    Attributes:
        masks: which masks the numbers of its objects refer to, as in `Decision.masks`.
    """

    clip: ClipRow
    row: MaskRow
    masks: str

    @property
    def sha256(self) -> str:
        """Content of the clip, as in `Decision.clip`."""
        assert self.clip.clip is not None
        return self.clip.clip.sha256


class ReviewClips:
    """The clips of a workspace that have boxes.

    Raises:
        ConfigError: the stage segment has not run.
    """

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.labels: list[str] = []
        self.by_key: dict[str, ReviewClip] = {}
        self._heads: list[str | None] = []
        self._pictures: OrderedDict[str, tuple[list[bytes], list[bytes]]] = OrderedDict()
        self.refresh()
        if not self.by_key:
            raise ConfigError(f"{workspace.url}: no masks to review; run `mvideo run` or `mvideo stage segment` first")

    def refresh(self) -> None:
        """Read the rows again if a run has changed them."""
        heads = [self.workspace.head("segment", n) for n in range(self.workspace.parts_of("segment"))]
        if heads == self._heads:
            return
        found = {one.row.key: one for index in range(len(heads)) for one in self._read_part(index)}
        self._heads, self.by_key, self._pictures = heads, found, OrderedDict()

    def _read_part(self, index: int) -> Iterator[ReviewClip]:
        tables = RowIndex()
        for name in ("cut", "detect", "segment"):
            marker = self.workspace.current(name, index)
            if marker is None:
                return
            if name == "detect":
                self.labels = DetectOptions.model_validate(marker.options).phrases()
            tables.add(self.workspace.rows(marker, STAGES.get(name).row))
        for key, row in tables.of(MaskRow).items():
            clip, boxes = tables.of(ClipRow).get(key), tables.of(DetectionRow).get(key)
            if row.status != "failed" and boxes is not None and clip is not None and clip.clip is not None:
                yield ReviewClip(clip, row, masks_id(boxes, row.model, row.weights_sha256))

    def list_clips(self, decisions: DecisionFile) -> list[dict[str, Any]]:
        """All clips as the page shows them: undecided ones by expected gain, then the others.

        Raises:
            ConfigError: the file of decisions is damaged.
        """
        about: dict[str, list[Decision]] = {}
        for placed in decisions.read():
            about.setdefault(placed.decision.clip, []).append(placed.decision)
        shown = [self.describe(one, about.get(one.sha256, [])) for one in self.by_key.values()]
        return sorted(shown, key=lambda one: (bool(one["decisions"]), -one["gain"], one["key"]))

    def describe(self, one: ReviewClip, decisions: Sequence[Decision]) -> dict[str, Any]:
        """One clip for the page."""
        row = one.row
        fitting = [each for each in decisions if each.masks in ("", one.masks)]
        return {
            "key": row.key, "gain": estimate_gain(row), "look": doubtful_frame(row),
            "n_frames": row.n_frames, "fps": one.clip.fps, "width": one.clip.width, "height": one.clip.height,
            "click": row.model.startswith("sam2/"), "masked": row.masks is not None,
            "status": "" if row.status == "ok" else row.reason or row.status,
            "objects": [
                {"id": each.object_id, "label": each.label, "color": color_hex(each.object_id), "kept": each.kept,
                 "why": each.drop_reason or "", "score": each.mask_score, "visible": each.visible_frac}
                for each in row.objects
            ],
            "decisions": [each.model_dump(mode="json", exclude_defaults=True) for each in fitting],
            "stale": len(decisions) - len(fitting),
        }  # fmt: skip

    def picture(self, key: str, frame: int, masked: bool) -> bytes:
        """JPEG of a frame, with its masks drawn or without.

        Raises:
            ConfigError: no such clip or frame.
            MediaError, StoreError: the clip or its masks cannot be read.
        """
        one = self.by_key.get(key)
        if one is None or not 0 <= frame < one.row.n_frames:
            raise ConfigError(f"no frame {frame} of a clip {key!r}")
        if key not in self._pictures:
            self._pictures[key] = self._draw(one)
        self._pictures.move_to_end(key)
        while len(self._pictures) > HELD_CLIPS:
            self._pictures.popitem(last=False)
        pictures = self._pictures[key][masked]
        if frame >= len(pictures):
            raise StoreError(f"{key}: only {len(pictures)} of {one.row.n_frames} frames can be decoded")
        return pictures[frame]

    def _draw(self, one: ReviewClip) -> tuple[list[bytes], list[bytes]]:
        assert one.clip.clip is not None
        path = one.clip.clip.path
        with self.workspace.folder.open(path) as source:
            frames = list(read_frames(source))
        plain = overlay_frames(frames, _no_masks(one, len(frames)), [], MAX_SIDE_PX)
        if one.row.masks is None:
            pictures = [_jpeg(frame) for frame in plain]
            return pictures, pictures
        masks = from_bytes(self.workspace.folder.read(one.row.masks.path))
        names = [f"{each.object_id} {each.label}" for each in one.row.objects]
        return (
            [_jpeg(frame) for frame in plain],
            [_jpeg(frame) for frame in overlay_frames(frames, masks, names, MAX_SIDE_PX)],
        )


def _no_masks(one: ReviewClip, n_frames: int) -> MaskSequence:
    return MaskSequence(
        n_frames, 0, one.clip.height, one.clip.width, np.zeros(0, np.int32), np.zeros(1, np.int64)
    )  # fmt: skip


def _jpeg(frame: np.ndarray) -> bytes:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(frame).save(held, "JPEG", quality=88)
    return held.getvalue()
