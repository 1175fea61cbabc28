"""Collect the page's rows, columns and numbers from a result on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.aggregate import ScoreRow
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.figures import metric_titles
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.record_files import read_record
from mvideo_core.evaluation.result import LoadedResult, MetricFacts
from mvideo_core.evaluation.scores import StoredScore
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.pages.evaluation_report.page_data import Cell, Curve, PageMetric

DIGITS = 5
"""Significant digits of the numbers on the page."""


class RowPlan(NamedTuple):
    """One row before rendering: the item of each system (None = the system has no such item), and its scores."""

    test_set: str
    id: str
    items: tuple[EvalItem | None, ...]
    scores: tuple[dict[str, ScoreRow], ...]


def systems_of(loaded: LoadedResult) -> list[tuple[str, str]]:
    """(system, variant) of each column, in result order; test sets share columns."""
    return list(dict.fromkeys((group.system, group.variant) for group in loaded.result.groups))


def plan_rows(loaded: LoadedResult) -> list[RowPlan]:
    """Every row of the result, in item order."""
    systems = systems_of(loaded)
    scores: dict[tuple[str, str, str, str], dict[str, ScoreRow]] = {}
    for row in loaded.rows:
        scores.setdefault((row.test_set, row.system, row.variant, row.id), {})[row.metric] = row
    items = {(item.test_set, item.system, item.variant, item.id): item for item in loaded.items}
    names = dict.fromkeys((item.test_set, item.id) for item in loaded.items)
    rows = []
    for test_set, name in names:
        keys = [(test_set, *system, name) for system in systems]
        rows.append(
            RowPlan(test_set, name, tuple(items.get(key) for key in keys), tuple(scores.get(key, {}) for key in keys))
        )
    return rows


def choose_rows(rows: Sequence[RowPlan], metric: str, title: str, most: int) -> tuple[list[RowPlan], str]:
    """At most `most` rows, those with the lowest value of the metric, in original order, and how they were chosen."""
    if len(rows) <= most:
        return list(rows), ""

    def find_worst(place: int) -> float:
        found = [one[metric].value for one in rows[place].scores if metric in one]
        return min((value for value in found if value is not None), default=float("inf"))

    kept = sorted(sorted(range(len(rows)), key=lambda place: (find_worst(place), place))[:most])
    how = f"with the lowest {title} of any system" if metric else "that come first; nothing was scored"
    return [rows[place] for place in kept], f"the {most} of {len(rows)} {how}"


def overlay_metric(facts: Mapping[str, MetricFacts], subject: str = "video") -> str:
    """The first mask mIoU with matching masks on this subject; its predicted masks are outlined. "" = none."""
    for name, about in facts.items():
        chosen = about.options
        if about.metric == "mask_miou" and chosen.get("pairing") == "own" and chosen.get("subject") == subject:
            return name
    return ""


def page_metrics(loaded: LoadedResult, curves: Mapping[str, Sequence[Curve]]) -> tuple[PageMetric, ...]:
    """Metrics with the range of their curves' axes: 0 to 100 for mask mIoU, else minimum to maximum over all rows."""
    found, titles = [], metric_titles(loaded.result.metrics)
    for name, about in loaded.result.metrics.items():
        seen = [value for curve in curves.get(name, ()) for value in curve.values if value is not None]
        whole = about.metric == "mask_miou" or not seen
        found.append(
            PageMetric(
                name=name,
                title=titles[name],
                metric=about.metric,
                scale=about.scale,
                low=0.0 if whole else min(seen),
                high=about.scale if whole else max(seen),
                on_source=about.options.get("subject") == "source",
                options=", ".join(f"{key}: {value}" for key, value in sorted(about.options.items())),
                weights_sha256=about.weights_sha256,
            )
        )
    return tuple(found)


def cell_of(loaded: LoadedResult, item: EvalItem, rows: Mapping[str, ScoreRow]) -> tuple[Cell, dict[str, VideoScore]]:
    """Numbers of one video, without images, and its stored scores by metric.

    Raises:
        StoreError: a score file is damaged.
    """
    values, notes, details, curves, kept = {}, {}, {}, {}, {}
    for name, row in rows.items():
        scale = loaded.result.metrics[name].scale
        if row.value is None:
            why = row.message.replace(item.video, Path(item.video).name) if item.video else row.message
            notes[name] = f"{row.status}: {why}" if why else row.status
            continue
        values[name] = round_digits(row.value * scale)
        details[name] = {key: round_digits(value) for key, value in row.details.items()}
        stored = read_record(StoredScore, loaded.folder / row.score) if row.score else None
        if stored is not None and stored.score is not None:
            kept[name] = stored.score
            curve = curve_of(stored.score, scale, item, loaded.result.metrics[name])
            if curve is not None:
                curves[name] = curve
    return Cell(seed=item.seed, values=values, notes=notes, details=details, curves=curves), kept


def curve_of(score: VideoScore, scale: float, item: EvalItem, about: MetricFacts) -> Curve | None:
    """The values of a score over time; None if it has none or the video's rate is unknown.

    Mask mIoU has one value per frame, starting at the first. For other metrics, the number of values equals frames
    or frame pairs, within one; fewer values are spread evenly over the video.
    """
    if not score.per_frame:
        return None
    video = EvalVideo(item)
    try:
        fps = video.source_fps if about.options.get("subject") == "source" else video.fps
        n_frames = video.info().n_frames if about.metric != "mask_miou" else 0
    except MediaError:
        return None
    n = len(score.per_frame)
    step_s = n_frames / fps / n if n_frames and n < n_frames - 1 else 1 / fps
    return Curve(
        step_s=step_s, values=tuple(None if value is None else round_digits(value * scale) for value in score.per_frame)
    )


def worst_time(cells: Sequence[Cell | None], metric: str) -> float:
    """Middle of the time step with the lowest value of any system, seconds; 0 if there is none."""
    found = [
        (value, (k + 0.5) * cell.curves[metric].step_s)
        for cell in cells
        if cell is not None and metric in cell.curves
        for k, value in enumerate(cell.curves[metric].values)
        if value is not None
    ]
    return min(found)[1] if found else 0.0


def round_digits(value: float) -> float:
    """Round to `DIGITS` significant digits."""
    return float(f"{value:.{DIGITS}g}")
