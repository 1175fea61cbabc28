"""The outcome of a run, from its folder alone: report.json with its last figures, curves.svg with its losses."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import Options
from mvideo_core.base.svg import chart, dot, polyline, text, tick
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.callbacks.trackers import METRICS
from mvideo_core.training.checkpoint import CHECKPOINTS, list_complete
from mvideo_core.training.option_changes import Change

REPORT, CURVES = "report.json", "curves.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 76, 28, 20
LEGEND_ROW, FONT_PX = 26, 18
COLORS = ("#3b82f6", "#d9603f", "#2f9e55", "#9b6fe8", "#b8860b")
DRAWN = {
    "train/loss": "training loss",
    "train/loss_diffusion": "diffusion loss",
    "train/loss_consistency": "consistency loss",
    "val/loss_diffusion": "validation: diffusion",
    "val/loss_consistency": "validation: consistency",
}
"""Metrics of the chart and their labels."""
STYLE = (
    "svg{max-width:800px;background:#fff;color:#1b1f24}"
    "@media (prefers-color-scheme:dark){svg{background:#14181d;color:#e8ecf1}}"
)
MOST_POINTS = 400


class RunReport(Options):
    """report.json."""

    run: str = Field(default="", description="run folder")
    step: int = Field(default=0, description="optimizer steps done")
    steps: int = Field(default=0, description="optimizer steps in total")
    finished: bool = Field(default=False, description="step == steps")
    checkpoint: str = Field(default="", description="newest complete checkpoint, relative to the run folder")
    last: dict[str, float] = Field(default={}, description="latest value of every metric")
    best_validation: float | None = Field(
        default=None, description="lowest val/loss_diffusion; none without validation"
    )
    best_validation_step: int | None = Field(default=None, description="step of best_validation")
    changes: list[Change] = Field(default=[], description="options changed on purpose during the run")
    skipped: int = Field(default=0, description="non-finite steps, without update")


class Curve(NamedTuple):
    """One line of a chart."""

    name: str
    points: list[tuple[int, float]]


def write_report(run: str | Path) -> RunReport:
    """Write report.json and curves.svg of a run folder, and return the report."""
    run = Path(run)
    lines = read_metrics(run)
    report = summarize(run, lines)
    write_whole(run / REPORT, report.model_dump_json(indent=1) + "\n")
    write_whole(run / CURVES, curves_svg(curves_of(lines), report.changes))
    return report


def summarize(run: Path, lines: Sequence[dict[str, Any]]) -> RunReport:
    """The report of these metric lines."""
    last: dict[str, float] = {}
    for line in lines:
        last |= {name: float(v) for name, v in line.items() if name not in ("step", "steps") and _is_number(v)}
    done = list_complete(run / CHECKPOINTS)
    validated = [(line["val/loss_diffusion"], line["step"]) for line in lines if "val/loss_diffusion" in line]
    best, best_step = min(validated, default=(None, None))
    step, steps = (int(lines[-1][name]) if lines else 0 for name in ("step", "steps"))
    newest = str(done[-1].relative_to(run)) if done else ""
    changes = [Change.parse(one, METRICS) for line in lines for one in line.get("changed", ())]
    return RunReport(
        run=str(run), step=step, steps=steps, finished=bool(lines) and step >= steps, checkpoint=newest, last=last,
        best_validation=best, best_validation_step=best_step, changes=changes,
        skipped=int(last.get("train/skipped", 0)),
    )  # fmt: skip


def curves_of(lines: Sequence[dict[str, Any]]) -> list[Curve]:
    """The loss curves with at least one point; long ones as means over equal spans of steps."""
    curves = []
    for name, title in DRAWN.items():
        points = [(int(line["step"]), float(line[name])) for line in lines if _is_number(line.get(name))]
        if points:
            curves.append(Curve(title, _thin_out(points)))
    return curves


def curves_svg(curves: Sequence[Curve], changes: Sequence[Change] = ()) -> str:
    """One chart of all curves: step across, loss up, from 0 to the largest value; a dashed line at every change."""
    values = [value for curve in curves for _, value in curve.points]
    last = max((step for curve in curves for step, _ in curve.points), default=1)
    high = max(values, default=1.0) or 1.0
    wide, tall = WIDTH - LEFT - 8, HEIGHT - BOTTOM - TOP

    def place(step: int, value: float) -> tuple[float, float]:
        return LEFT + wide * step / last, TOP + tall * (1 - value / high)

    parts = [tick(place(0, high * part)[1], f"{high * part:.3g}", LEFT, LEFT + wide) for part in (0, 0.5, 1)]
    parts.append(text(WIDTH - 8, HEIGHT - 8, f"step {last:,}", "end"))
    for n, curve in enumerate(curves):
        color, points = COLORS[n % len(COLORS)], [place(*point) for point in curve.points]
        left, top = LEFT + wide * (n % 2) // 2, HEIGHT + LEGEND_ROW * (n // 2)
        key = f'<rect x="{left}" y="{top + 6}" width="16" height="8"/>' + text(left + 24, top + 16, curve.name)
        parts += [f'<g fill="{color}">{dot(*points[0], 3.5)}{key}</g>', polyline(points, color, 2)]
    for n, change in enumerate(changes):
        x = place(change.step, 0)[0]
        parts.append(f'<path d="M{x:.1f} {TOP}v{tall}" stroke="currentColor" stroke-dasharray="3 3"/>')
        parts.append(text(x + 3, TOP + 12 + 14 * (n % 6), change.words(), font_size=13))
    height = HEIGHT + LEGEND_ROW * -(-len(curves) // 2)
    return chart(WIDTH, height, f"Losses over {last} steps", parts, FONT_PX, STYLE) + "\n"


def last_line(report: RunReport) -> str:
    """The run in one line, for a terminal."""
    loss = report.last.get("train/loss", float("nan"))
    best = "" if report.best_validation is None else (
        f", best validation {report.best_validation:.4f} at step {report.best_validation_step}"
    )  # fmt: skip
    newest = report.checkpoint or "no checkpoint"
    more = f", {report.skipped} steps skipped" if report.skipped else ""
    more += f", changed during the run: {', '.join(one.name for one in report.changes)}" if report.changes else ""
    return f"{report.run}: step {report.step} of {report.steps}, loss {loss:.4f}{best}{more}; {newest}"


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number; runs of earlier versions have NaN in their lines."""
    return isinstance(value, int | float) and math.isfinite(value)


def _thin_out(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    span = -(-len(points) // MOST_POINTS)
    groups = [points[n : n + span] for n in range(0, len(points), span)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
