"""Build the page: index.html (self-contained except for the videos), data.json, videos/."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from mvideo_core.base.disk import new_folder, write_whole
from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import is_file
from mvideo_core.base.options import Options
from mvideo_core.evaluation.aggregate import title_of
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.figures import metric_titles
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import PREDICTED, MaskMiouOptions, frames_to_score
from mvideo_core.evaluation.result import LoadedResult, read_result
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import from_bytes
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.pages.evaluation_report.clips import Shown, mask_frames, write_clip
from mvideo_core.pages.evaluation_report.collect import (
    RowPlan,
    cell_of,
    choose_rows,
    overlay_metric,
    page_metrics,
    plan_rows,
    systems_of,
    worst_time,
)
from mvideo_core.pages.evaluation_report.page_data import Cell, Clip, Curve, PageData, PageRow
from mvideo_core.pages.evaluation_report.render import json_text, page_text
from mvideo_core.pages.studio.build import OpenedMasks, studio_page, write_opener

log = logging.getLogger(__name__)

PAGE_NAME = "index.html"
DATA_NAME = "data.json"
STUDIO_NAME = "studio.html"


class ReportOptions(Options):
    """Size of the page."""

    max_rows: int = Field(default=120, ge=1, description="maximum rows; those with the lowest main metric are shown")
    max_side_px: int = Field(default=480, ge=32, multiple_of=2, description="maximum longer side of videos, pixels")


def build_report(results_dir: str | Path, out: str | Path, options: ReportOptions | None = None) -> Path:
    """Build the page of a result (the folder with `result.json`) in the folder `out`; replaces an older page.

    Returns:
        Path of the page.

    Raises:
        ConfigError: no result there, or `out` contains something else.
        StoreError: the result is damaged, or the disk cannot be written.
    """
    options = options or ReportOptions()
    loaded, place = read_result(results_dir), Path(out)
    if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not (place / DATA_NAME).is_file())):
        raise ConfigError(f"{place}: exists and is not an evaluation page; choose another folder")
    with new_folder(place, replace=True) as work:
        (work / "videos").mkdir()
        data = page_data(loaded, work / "videos", options)
        if any(row.studio for row in data.rows):
            write_whole(work / STUDIO_NAME, studio_page())
        write_whole(work / DATA_NAME, json_text(data))
        write_whole(work / PAGE_NAME, page_text(data, loaded))
    return place / PAGE_NAME


def page_data(loaded: LoadedResult, videos: Path, options: ReportOptions) -> PageData:
    """Everything on the page; writes its videos into `videos`."""
    facts = loaded.result.metrics
    plans, overlays_of = plan_rows(loaded), overlay_metric(facts)
    scored = {name for plan in plans for found in plan.scores for name, row in found.items() if row.value is not None}
    overlays_of = overlays_of if overlays_of in scored else ""
    main = overlays_of or next((name for name in facts if name in scored), "")
    chosen, how = choose_rows(plans, main, metric_titles(facts).get(main, ""), options.max_rows)
    rows = []
    for number, plan in enumerate(chosen):
        rows.append(_row(loaded, plan, f"{number:04d}", videos, options.max_side_px))
        log.info("report: row %d of %d", number + 1, len(chosen))
    curves: dict[str, list[Curve]] = {}
    for row in rows:
        for cell in row.cells:
            for name, curve in (cell.curves if cell else {}).items():
                curves.setdefault(name, []).append(curve)
    return PageData(
        title=f"{loaded.result.suite.name}: evaluation",
        version=loaded.result.version,
        systems=tuple(title_of(*system) or "(unnamed)" for system in systems_of(loaded)),
        metrics=page_metrics(loaded, curves),
        main_metric=main,
        overlays_of=overlays_of,
        n_rows=len(plans),
        chosen_by=how,
        rows=tuple(rows),
    )


def _row(loaded: LoadedResult, plan: RowPlan, name: str, videos: Path, max_side_px: int) -> PageRow:
    facts = loaded.result.metrics
    measured = [
        cell_of(loaded, item, scores) if item is not None else (None, {})
        for item, scores in zip(plan.items, plan.scores, strict=True)
    ]
    cells: list[Cell | None] = [cell for cell, _ in measured]
    on_source = {one for one, about in facts.items() if about.options.get("subject") == "source"}
    asked = [item for item in plan.items if item is not None]
    start_s = worst_time(cells, overlay_metric(facts))
    for column, (item, (cell, scores)) in enumerate(zip(plan.items, measured, strict=True)):
        if item is not None and cell is not None:
            made, note = _system_clip(loaded, item, scores, f"{name}_{column:02d}", start_s, videos, max_side_px)
            own = {one: curve for one, curve in cell.curves.items() if one not in on_source}
            cells[column] = cell.model_copy(update={"clip": made, "note": note, "curves": own})
    return PageRow(
        key=f"{plan.test_set}/{plan.id}" if plan.test_set else plan.id,
        id=plan.id,
        test_set=plan.test_set,
        prompt=next((item.prompt for item in asked if item.prompt), ""),
        start_s=start_s,
        source=_source_clip(loaded, asked, [scores for _, scores in measured], name, start_s, videos, max_side_px),
        source_curves=_source_curves([cell for cell, _ in measured], on_source),
        mask=_mask_clip(asked, name, start_s, videos, max_side_px),
        studio=_studio_opener(asked, name, videos),
        cells=tuple(cells),
    )


def _system_clip(
    loaded: LoadedResult, item: EvalItem, scores: dict[str, VideoScore], name: str, start_s: float, videos: Path,
    max_side_px: int,
) -> tuple[Clip | None, str]:  # fmt: skip
    """The column of one system, or the reason there is none."""
    video = EvalVideo(item)
    if (absence := absence_of(item.video)) is not None:
        return None, f"{absence.status}: " + (
            absence.why.replace(item.video, Path(item.video).name) if item.video else absence.why
        )
    try:
        shown = Shown(video.frames_THWC, video.fps)
        shown = _with_masks(loaded, video, shown, scores, "video")
        return write_clip(shown, videos, name, start_s, max_side_px), ""
    except MediaError as error:
        return None, "failed: " + str(error).replace(item.video, Path(item.video).name)


def _source_clip(
    loaded: LoadedResult, items: Sequence[EvalItem], scores: Sequence[dict[str, VideoScore]], name: str, start_s: float,
    videos: Path, max_side_px: int,
) -> Clip | None:  # fmt: skip
    item = next((one for one in items if is_file(one.source_video)), None)
    if item is None:
        return None
    video = EvalVideo(item)
    merged = {key: value for one in reversed(scores) for key, value in one.items()}
    try:
        shown = _with_masks(loaded, video, Shown(video.source_frames(), video.source_fps), merged, "source")
        return write_clip(shown, videos, f"{name}_source", start_s, max_side_px)
    except MediaError as error:
        log.warning("%s: source video left out: %s", item.id, error)
        return None


def _with_masks(
    loaded: LoadedResult, video: EvalVideo, shown: Shown, scores: dict[str, VideoScore], subject: str
) -> Shown:
    """Add the target and predicted masks of mask mIoU on this subject, if it was measured and the masks still exist."""
    name = overlay_metric(loaded.result.metrics, subject)
    if name not in scores or PREDICTED not in scores[name].artifacts:
        return shown
    options = MaskMiouOptions.parse(loaded.result.metrics[name].options, f"metric {name}")
    try:
        true = frames_to_score(video, options).true
        seen = from_bytes(scores[name].artifacts[PREDICTED])
    except MediaError as error:
        log.warning("%s: outlines left out: %s", video.item.id, error)
        return shown
    if true.shape != seen.shape:
        log.warning("%s: outlines left out: the masks are not the ones that were scored", video.item.id)
        return shown
    return shown._replace(true=true, seen=seen)


def _source_curves(cells: Sequence[Cell | None], on_source: set[str]) -> dict[str, Curve]:
    """Curves of metrics computed on the source: the same for every system, so the first one's."""
    return {name: curve for cell in reversed(cells) if cell for name, curve in cell.curves.items() if name in on_source}


def _studio_opener(items: Sequence[EvalItem], name: str, videos: Path) -> str:
    """Page that opens the row's masks in the studio; "" if there are none."""
    item = next((one for one in items if one.masks), None)
    if item is None:
        return ""
    video = EvalVideo(item)
    try:
        masks = video.masks()
        clip = MaskClip(masks, video.masks_fps or video.fps, ("",) * masks.n_objects)
    except MediaError:  # `_mask_clip` warns
        return ""
    file = videos / f"{name}_studio.html"
    written = write_opener(file, OpenedMasks(item.id, clip), f"../{STUDIO_NAME}")
    return f"{videos.name}/{file.name}" if written else ""


def _mask_clip(
    items: Sequence[EvalItem], name: str, start_s: float, videos: Path, max_side_px: int
) -> Clip | None:  # fmt: skip
    item = next((one for one in items if one.masks), None)
    if item is None:
        return None
    video = EvalVideo(item)
    try:
        masks = video.masks()
        shown = Shown(mask_frames(masks), video.masks_fps or video.fps)
        return write_clip(shown, videos, f"{name}_mask", start_s, max_side_px)
    except MediaError as error:
        log.warning("%s: masks left out: %s", item.id, error)
        return None
