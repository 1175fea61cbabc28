"""Report and curves from a metrics file; the file cut back to a step."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mvideo_core.training.callbacks.metrics import cut_after, read_metrics
from mvideo_core.training.report import curves_of, last_line, write_report

LINES = [
    {"step": 10, "steps": 30, "train/loss": 2.0},
    {"step": 20, "steps": 30, "train/loss": 1.0, "val/loss_diffusion": 0.5},
    {"step": 30, "steps": 30, "train/loss": 1.5, "val/loss_diffusion": 0.75},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return tmp_path


def test_the_report_has_the_last_values_and_the_best_validation(run: Path) -> None:
    report = write_report(run)
    assert (report.step, report.steps, report.finished) == (30, 30, True)
    assert report.last == {"train/loss": 1.5, "val/loss_diffusion": 0.75}
    assert (report.best_validation, report.best_validation_step) == (0.5, 20)
    assert json.loads((run / "report.json").read_text()) == report.model_dump(mode="json")
    assert last_line(report).endswith("step 30 of 30, loss 1.5000, best validation 0.5000 at step 20; no checkpoint")


def test_the_curve_runs_from_left_to_right_and_its_highest_point_is_at_the_top(run: Path) -> None:
    """Chart: x 76..632 for steps 0..30, y 20..272 for 2.0..0; the first point is a third of the way, at the top."""
    write_report(run)
    svg = ET.fromstring((run / "curves.svg").read_text())
    lines = svg.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 2
    assert lines[0].attrib["points"].split(" ") == ["261.3,20.0", "446.7,146.0", "632.0,83.0"]


def test_long_curves_are_thinned_to_means() -> None:
    """1,000 points in spans of three: the first mean is of 0, 1, 2 and stands at its last step."""
    curve = curves_of([{"step": n, "train/loss": float(n)} for n in range(1000)])[0]
    assert len(curve.points) == 334
    assert curve.points[0] == (2, 1.0)


def test_metrics_are_cut_after_a_step_and_a_broken_last_line_goes(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 31, "tra')
    assert read_metrics(run) == LINES
    cut_after(run / "metrics.jsonl", 20)
    assert read_metrics(run) == LINES[:2]
    assert (run / "metrics.jsonl").read_text().endswith("}\n")
