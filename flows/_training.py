"""What a training run shows on its flow run's Artifacts page."""

from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from mvideo.flows._notices import publish
from mvideo.tasks._pictures import svg_url
from mvideo_core.training.report import CURVES, RunReport

MAX_SVG_BYTES = 200_000


def publish_training(report: RunReport) -> None:
    """Last value of every metric as a table "train-metrics", the curves as a picture, and where the run is."""
    table: list[dict[str, Any]] = [{"metric": name, "value": f"{value:.6g}"} for name, value in report.last.items()]
    if table:
        note = f"Latest values, step {report.step} of {report.steps}; metrics.jsonl has all of them."
        publish(create_table_artifact, table=table, key="train-metrics", description=note)
    run = Path(report.run)
    publish(
        create_markdown_artifact, markdown=_page(report, run), key="train-report", description="What this run made."
    )
    publish(create_link_artifact, link=f"file://{run.absolute()}", link_text=run.name, key="train-run")


def _page(report: RunReport, run: Path) -> str:
    lines = [
        f"Run: `{run.absolute()}`",
        f"Step {report.step} of {report.steps}, newest checkpoint `{report.checkpoint}`",
    ]
    if report.best_validation is not None:
        lines.append(f"Best validation loss {report.best_validation:.4f} at step {report.best_validation_step}")
    if report.skipped:
        lines.append(f"{report.skipped} steps were skipped: their loss or gradient was not finite")
    lines += [f"Changed on purpose: {change.words()}" for change in report.changes]
    curves = run / CURVES
    if curves.is_file() and curves.stat().st_size < MAX_SVG_BYTES:
        lines.append(f"![losses]({svg_url(curves.read_bytes())})")
    return "\n\n".join(lines)
