"""Find out, without loading a model, why a metric would not score an item."""

from collections.abc import Callable, Sequence
from typing import Literal

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.control.fit import describe_shapes
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.mask_grid import GridFit, GridMatch, check_match, check_shape, match_frames
from mvideo_core.evaluation.protocol import clip_ranges
from mvideo_core.evaluation.suite import Prepared
from mvideo_core.evaluation.video import EvalVideo, picture_px
from mvideo_core.evaluation.video_facts import frames_in
from mvideo_core.media.probe import MediaInfo

Level = Literal["error", "warning"]


def check_item(
    item: EvalItem, metrics: Sequence[Prepared], without: frozenset[str] = frozenset()
) -> tuple[list[tuple[Level, str]], MediaInfo | None]:
    """Problems of one item, and facts about its video; None if it cannot be read.

    Args:
        without: inputs that no item of the system has ("prompt", "masks", "source", "interventions"); reported once.
    """
    inputs = {name for one in metrics for name in one.inputs} - without
    found: list[tuple[Level, str]] = []
    if "prompt" in inputs and not item.prompt:
        found.append(("error", "no prompt; metrics that need it skip the item"))
    if (absence := absence_of(item.video)) is not None:
        what = "not generated" if absence.status == "failed" else "missing"
        return [*found, ("error", f"{what}: {absence.why}")], None
    video = EvalVideo(item)
    try:
        info = video.info()
    except MediaError as error:
        return [*found, ("error", f"broken: {error}")], None
    found += [problem for one in metrics if "video" in one.inputs for problem in _video_problems(item, info, one)]
    if "masks" in inputs:
        own = [one for one in metrics if one.inputs >= {"masks", "video"} and not one.shuffled]
        found += _mask_problems(item, video, info, own)
    if "source" in inputs and (problem := _error_of(video.source_info)):
        found.append(("error", problem))
    if "interventions" in inputs:
        found += _intervention_problems(video)
    for one in metrics:
        if all(_has(item, name) for name in one.inputs):
            foreseen = one.kind.find_problems(video, info, one.options)
            found += [("error", f"{one.name}: {problem}") for problem in foreseen]
    return list(dict.fromkeys(found)), info


def _has(item: EvalItem, name: str) -> bool:
    return name == "video" or bool(getattr(item, {"source": "source_video"}.get(name, name)))


def _intervention_problems(video: EvalVideo) -> list[tuple[Level, str]]:
    """Edited masks or videos that are missing or do not fit the item's."""
    if not video.item.interventions:
        return [("error", "no interventions; metrics that compare with them leave the item out")]
    found: list[tuple[Level, str]] = []
    for one in video.item.interventions:
        if (absence := absence_of(one.video)) is not None:
            found.append(("error", f"edit {one.edit!r}: {absence.why}"))
        try:
            seen, wanted = video.under(one).masks().shape, video.masks().shape
        except MediaError as error:
            found.append(("error", f"edit {one.edit!r}: {error}"))
            continue
        if seen != wanted:
            found.append(("error", f"edit {one.edit!r}: {describe_shapes(seen, wanted)}"))
    return found


def _video_problems(item: EvalItem, info: MediaInfo, metric: Prepared) -> list[tuple[Level, str]]:
    found: list[tuple[Level, str]] = []
    try:
        height, width = picture_px(item, info.height, info.width)
    except MediaError as error:
        return [("error", str(error))]
    least = metric.kind.min_side_px
    if min(width, height) < least:
        found.append(("error", f"{width}x{height}: {metric.name} needs at least {least} px on each side"))
    n_frames = frames_in(info)
    if n_frames < metric.kind.min_frames:
        found.append(("error", f"{n_frames} frames: {metric.name} needs at least {metric.kind.min_frames}"))
    elif getattr(metric.options, "protocol", "short") == "long":
        found += _clip_problems(n_frames, info.fps, metric)
    if info.rotation_deg:
        found.append(("warning", f"the container specifies a rotation by {info.rotation_deg}; it is not applied"))
    return found


def _clip_problems(n_frames: int, fps: float, metric: Prepared) -> list[tuple[Level, str]]:
    """Clips of VBench-Long that are too short; the last clip is as long as the others."""
    try:
        size = len(clip_ranges(n_frames, fps, metric.options.clip_s)[0])  # type: ignore[attr-defined]
    except MediaError as error:
        return [("error", f"{metric.name}: {error}")]
    least = metric.kind.min_frames
    return [("error", f"clips of {size} frames: {metric.name} needs at least {least}")] if size < least else []


def _error_of(read: Callable[[], object]) -> str:
    """Why something cannot be read; "" if it can."""
    try:
        read()
    except MediaError as error:
        return str(error)
    return ""


def _mask_problems(
    item: EvalItem, video: EvalVideo, info: MediaInfo, metrics: Sequence[Prepared]
) -> list[tuple[Level, str]]:
    """Mismatches between masks and video, with the messages that scoring would fail with."""
    if not item.masks:
        return [("error", "no masks; metrics that need them skip the item")]
    try:
        masks = video.masks()
    except MediaError as error:
        return [("error", f"masks: {error}")]
    found: list[tuple[Level, str]] = []
    if masks.n_objects == 0 or len(masks.edges) == 0:
        found.append(("error", f"masks of {masks.n_objects} objects, all empty"))
    for one in metrics:
        align: bool | None = getattr(one.options, "align", None)
        fit: GridFit = getattr(one.options, "fit", "same")
        try:
            if info.n_frames:
                match = match_frames(masks.n_frames, video.masks_fps, info.n_frames, info.fps)
                check_match(match, masks.n_frames, video.masks_fps, info.fps, align)
                found += _describe_unmatched(match, one.name)
            check_shape(masks, *picture_px(item, info.height, info.width), item.fit or fit)
        except MediaError as error:
            found.append(("error", f"{one.name}: {error}"))
    return found


def _describe_unmatched(match: GridMatch, name: str) -> list[tuple[Level, str]]:
    """Unmatched masks or frames, where they are allowed."""
    found: list[tuple[Level, str]] = []
    if match.n_unmatched:
        n_frames = len(match.masks) + match.n_unmatched
        found.append(("warning", f"{name}: masks for only {len(match.masks)} of {n_frames} frames"))
    if len(match.lost):
        found.append(("warning", f"{name}: {len(match.lost)} masks after the video's end score 0"))
    return found
