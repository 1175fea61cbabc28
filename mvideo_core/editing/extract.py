"""Masks of named objects in a reference video. GroundingDINO finds each object where it first appears; SAM2 tracks it.

The paper (section 3.2) detects objects on the first frame only. Here, later frames are searched at regular intervals
until every name is found, and objects found later are also tracked backwards to the start. The video is decoded once.
Only the searched frames are kept, on disk, so memory does not grow with the video's length.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.reference import Reference, open_reference
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import BoxOptions, DetectOptions
from mvideo_core.perception.detection.search import FrameChoice, search
from mvideo_core.perception.detection.select import select
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import with_phrases
from mvideo_core.perception.segmentation.two_way import NO_BOXES, Spool, to_sequence, track

log = logging.getLogger(__name__)


class ExtractOptions(BoxOptions):
    """Which models to use, where to search, and which part of the video to use."""

    segmenter: str = Field(default="sam2", description="registry name of the segmenter")
    segmenter_options: dict[str, Any] = Field(default_factory=dict, description='its options, e.g. {"weights": "mini"}')
    per_name: int = Field(default=1, ge=1, le=64, description="maximum objects per name, best scores first")
    search_step_s: float = Field(default=0.5, gt=0, description="seconds between the frames that are searched")
    max_search_s: float = Field(default=10.0, ge=0, description="seconds from the start in which a name must be found")
    fps: float = Field(default=8.0, ge=0, le=240, description="masks per second; 0 = the video's own rate")
    max_side_px: int = Field(default=1024, ge=64, le=4096, description="px; maximum longer side of the masks")
    start_s: float = Field(default=0.0, ge=0, description="seconds to skip at the start of the video")
    length_s: float = Field(default=0.0, ge=0, description="seconds to use; 0 = to the end")


class Models(NamedTuple):
    """A loaded detector and segmenter; load once for many videos."""

    detector: Any
    segmenter: Any

    @classmethod
    def load(cls, options: ExtractOptions, device: str = "") -> Self:
        """Load both, through their registries.

        Args:
            device: "cpu", "cuda", ...; if empty, a GPU if there is one.

        Raises:
            ConfigError: unknown name or options. ModelError: weights missing; the message says which file to put where.
        """
        device = device or default_device()
        found = []
        for registry, name, values in (
            (DETECTORS, options.detector, options.detector_options),
            (SEGMENTERS, options.segmenter, options.segmenter_options),
        ):
            plugin: Any = registry.get(name)
            found.append(plugin.load(plugin.Options.parse(values, f"options of {registry.kind} {name}"), device))
        return cls(*found)


class Found(NamedTuple):
    """An object and the first frame that shows it; `box_xyxy` in pixels of the masks."""

    label: str
    frame: int
    score: float
    box_xyxy: tuple[float, float, float, float]


class Extraction(NamedTuple):
    """The result.

    Attributes:
        clip: masks of all objects, in the order of the names, and best score first within a name.
        found: N, in the same order.
        models: detector and segmenter, each with name and SHA-256 of its weights.
    """

    clip: MaskClip
    found: list[Found]
    models: dict[str, str]


def extract_masks(
    video: str | Path, names: Sequence[str], options: ExtractOptions | None = None, models: Models | None = None
) -> Extraction:
    """Masks of the named objects over the whole video (or the part that `options` selects).

    Raises:
        ConfigError: no name, or a name that the detector's vocabulary lacks.
        MediaError: the video cannot be read, or a name is not found; the message has the best score.
        ModelError: weights missing.
    """
    options = options or ExtractOptions()
    if not names or len(set(names)) != len(names):
        raise ConfigError(f"extract: expected object names, each once; got {list(names)}")
    models = models or Models.load(options)
    with ExitStack() as stack:
        reference = stack.enter_context(
            open_reference(video, options.fps, options.max_side_px, start_s=options.start_s, length_s=options.length_s)
        )
        spool = stack.enter_context(Spool(reference.height, reference.width))
        found = _search(reference, spool, names, options, models, str(video))
        sequence = _track(reference, spool, found, models)
    labels = tuple(one.label for one in found)
    about = {
        "detector": models.detector.model_name, "detector_sha256": models.detector.weights_sha256,
        "segmenter": models.segmenter.model_name, "segmenter_sha256": models.segmenter.weights_sha256,
    }  # fmt: skip
    return Extraction(MaskClip(sequence, reference.fps, labels), found, about)


def _search(
    reference: Reference, spool: Spool, names: Sequence[str], options: ExtractOptions, models: Models, video: str
) -> list[Found]:
    """Every name's objects; the frames up to the last one needed are in the spool."""
    choice = FrameChoice("keyframes", round(options.search_step_s * reference.fps))
    found: dict[str, list[Found]] = {}
    best = dict.fromkeys(names, (0.0, 0.0))
    missing = list(names)
    first_frames = islice(reference.frames, int(options.max_search_s * reference.fps + 1e-9) + 1)
    for number, frame, seen in search(first_frames, choice, models.detector, missing):
        time_s = number / reference.fps
        spool.append(frame)
        if seen is None:
            continue
        for name in missing:
            scores = [score for score, label in zip(seen.scores.tolist(), seen.labels, strict=True) if label == name]
            if max(scores, default=0.0) > best[name][0]:
                best[name] = (max(scores), time_s)
            objects = _objects(seen, name, number, options, frame.shape[:2])
            if objects:
                found[name] = objects
                log.info("%s: %d found at %.2f s, score %.2f", name, len(objects), time_s, objects[0].score)
        missing[:] = [name for name in names if name not in found]
        if not missing:
            return [one for name in names for one in found[name]]
    lacking = [
        f"{name!r} (best score {best[name][0]:.2f} at {best[name][1]:.2f} s)" for name in names if name not in found
    ]
    raise MediaError(
        f"{video}: not found in the first {spool.n_frames / reference.fps:.2f} s: {', '.join(lacking)}; "
        f"lower box_threshold ({options.box_threshold:g}), raise max_search_s ({options.max_search_s:g}), "
        "or use another word"
    )


def _objects(seen: Detections, name: str, number: int, options: ExtractOptions, size: tuple[int, ...]) -> list[Found]:
    """Boxes of one name above the threshold, best first."""
    rows = [row for row, label in enumerate(seen.labels) if label == name]
    limits = DetectOptions(
        classes=[name], box_threshold=options.box_threshold, nms_iou=options.nms_iou, max_objects=options.per_name
    )
    mine = Detections(seen.boxes_xyxy[rows], seen.scores[rows], [name] * len(rows))
    kept = select(mine, limits, *size[:2]).kept
    boxes = [tuple(float(edge) for edge in box) for box in kept.boxes_xyxy]
    return [Found(name, number, float(s), box) for s, box in zip(kept.scores, boxes, strict=True)]  # type: ignore[arg-type]


def _track(reference: Reference, spool: Spool, found: Sequence[Found], models: Models) -> MaskSequence:
    """Masks of all objects over all frames, objects in the order of `found`."""
    starts = sorted({one.frame for one in found})
    groups = [[number for number, one in enumerate(found) if one.frame == start] for start in starts]
    boxes = {start: np.array([found[number].box_xyxy for number in group], np.float32)
             for start, group in zip(starts, groups, strict=True)}  # fmt: skip
    segmenter = with_phrases(models.segmenter, dict.fromkeys(one.label for one in found))
    masklets, n_frames = track(
        segmenter, chain(spool.frames(range(spool.n_frames)), reference.frames), spool, reference.height,
        reference.width, lambda number, *_: boxes.get(number, NO_BOXES), "extract",
    )  # fmt: skip
    order = {number: place for place, number in enumerate(number for group in groups for number in group)}
    in_order = [masklets[order[number]] for number in range(len(found))]
    return to_sequence(in_order, n_frames, reference.height, reference.width)
