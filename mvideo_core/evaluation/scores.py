"""Scores on disk: one file per video and metric, named after everything that determines the score.

<out>/scores/<metric>/<sha>.json is written atomically, so a killed run resumes, and a changed
video, prompt, mask, option, weight or metric revision is rescored.
"""

import functools
import hashlib
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from mvideo_core import __version__
from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import MediaError
from mvideo_core.base.listing import is_file, visible_files
from mvideo_core.base.options import digest
from mvideo_core.base.records import Record
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.suite import Prepared
from mvideo_core.masks import MaskSequence


class StoredScore(Record):
    """Content of a score file.

    Attributes:
        status: "failed" = the metric could not score this item; see `error` and `message`.
        decides: the facts whose digest is the file name.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    metric: str
    status: Literal["ok", "failed"]
    score: VideoScore | None = None
    error: str = ""
    message: str = ""
    decides: dict[str, Any]
    version: str = __version__


class Digests:
    """Digests of files and masks, each computed once: several metrics need the same ones."""

    def __init__(self) -> None:
        self.file, self.masks = functools.cache(file_digest), functools.cache(masks_digest)


def key_facts(
    item: EvalItem, masks_from: EvalItem, metric: Prepared, weights_sha256: str, digests: Digests
) -> dict[str, Any]:
    """Everything that determines a score. Paths in the items are absolute.

    Raises:
        MediaError: a file cannot be read.
    """
    facts: dict[str, Any] = {
        "metric": metric.registered,
        "revision": metric.kind.revision,
        "options": metric.options.model_dump(mode="json", exclude=set(metric.kind.memory_options)),
        "weights_sha256": weights_sha256,
    }
    if "video" in metric.inputs:
        facts["video"] = digests.file(item.video)
        facts |= {"bars_px": list(item.bars_px)} if any(item.bars_px) else {}
    if "prompt" in metric.inputs:
        facts["prompt"] = item.prompt
    if "masks" in metric.inputs:
        facts["masks"] = digests.masks(masks_from.masks)
        facts |= {"fit": item.fit} if item.fit else {}
    if "source" in metric.inputs or ("interventions" in metric.inputs and item.source_video):
        facts["source"] = digests.file(item.source_video)
    if "interventions" in metric.inputs:
        facts["seen_masks"] = digests.masks(item.seen_masks)
        facts["interventions"] = [
            [one.edit, digests.masks(one.masks), digests.file(one.video), digests.masks(one.seen_masks)]
            for one in item.interventions
        ]
    return facts


def score_path(out: Path, name: str, facts: dict[str, Any]) -> Path:
    """Path of the score for these facts, whether it exists or not."""
    return out / "scores" / name / f"{digest(facts)}.json"


def file_digest(path: str) -> str:
    """SHA-256 of a file; "" for an empty path or a missing file.

    Raises:
        MediaError: the file is not readable.
    """
    place = Path(path)
    if not path or not is_file(place):
        return ""
    try:
        return file_sha256(place)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}") from None


def masks_digest(text: str) -> str:
    """Digest of a mask file with its JSON, of a folder's files, or of a dataset sample's runs; "" for none.

    Raises:
        MediaError: the masks are not readable.
    """
    place = Path(text)
    if not text:
        return ""
    if os.path.isdir(place):  # noqa: PTH112 - False for a name that the file system refuses
        return digest({path.name: file_digest(str(path)) for path in visible_files(place)})
    if is_file(place):
        sidecars = [place.with_name(place.name + ".json"), place.with_suffix(".json")]
        return digest([file_digest(str(path)) for path in (place, *sidecars)])
    return _sample_digest(text) if "#" in text else ""


def _sample_digest(text: str) -> str:
    from mvideo_core.base.errors import ConfigError
    from mvideo_core.editing.mask_files import read_masks

    try:
        found = read_masks(text)
    except ConfigError:
        return ""
    return sequence_digest(found.sequence, found.fps)


def sequence_digest(masks: MaskSequence, fps: float | None) -> str:
    """Digest of masks in memory: runs, size and frame rate."""
    whole = hashlib.sha256(repr((masks.shape, fps)).encode())
    whole.update(masks.edges.tobytes() + masks.offsets.tobytes())
    return whole.hexdigest()
