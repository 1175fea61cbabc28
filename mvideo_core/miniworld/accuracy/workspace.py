"""Measure the accuracy of a workspace's rows, with the options they were created with."""

from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import CaptionRow, ClipRow, DetectionRow, MaskRow, Row
from mvideo_core.engine.chain import row_class, valid_markers
from mvideo_core.engine.stage import StageContext
from mvideo_core.masks import MaskSequence, from_bytes
from mvideo_core.miniworld.accuracy import AccuracyOptions, Rows, as_table, measure, write_report
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.workspace import Workspace


def measure_workspace(workspace_url: str, world: str, out: str, strips: int = 12) -> Iterator[str]:
    """Compare a workspace with the ground truth of its world; write `accuracy.json` and the page.

    Args:
        world: folder with `truth/`.
        out: folder for the results.
        strips: maximum crossings, and maximum returns, on the page.

    Yields:
        Lines to print; the last one names the page.

    Raises:
        ConfigError: no truth there, the cut stage has not run, or the rows are for other videos.
    """
    workspace = Workspace.open_existing(workspace_url)
    truth = Path(world) / "truth"
    with scratch_folder("accuracy") as scratch:
        rows = read_rows(workspace, StageContext(workspace, "accuracy", scratch))
        report = measure(truth, rows, _options(workspace, strips))
        page = write_report(report, truth, rows, out)
    yield as_table(report)
    yield f"accuracy: {page}"


def _options(workspace: Workspace, strips: int) -> AccuracyOptions:
    marker = next((marker for _, marker in valid_markers(workspace, "cut") if marker is not None), None)
    if marker is None:
        raise ConfigError(f"{workspace.url}: stage cut has not run; run `mvideo run` on the world's folder first")
    made = marker.options
    return AccuracyOptions(
        min_shot_s=made["min_shot_s"], trim_s=made["trim_s"], clip_fps=made["fps"], fit=made["fit"],
        strips=strips,
    )  # fmt: skip


def read_rows(workspace: Workspace, context: StageContext) -> Rows:
    """Current rows of all measured stages; files are opened through the context."""
    found: dict[str, list[Row]] = {}
    for stage in ("cut", "detect", "segment", "caption"):
        markers = [marker for _, marker in valid_markers(workspace, stage) if marker is not None]
        found[stage] = [row for marker in markers for row in workspace.rows(marker, row_class(stage))]

    def open_masks(row: MaskRow) -> MaskSequence:
        assert row.masks is not None
        return from_bytes(context.local(row.masks).read_bytes())

    def clip_path(row: ClipRow) -> Path:
        assert row.clip is not None
        return context.local(row.clip)

    return Rows(
        clips=[row for row in found["cut"] if isinstance(row, ClipRow)],
        detections=[row for row in found["detect"] if isinstance(row, DetectionRow)],
        masks=[row for row in found["segment"] if isinstance(row, MaskRow)],
        captions=[row for row in found["caption"] if isinstance(row, CaptionRow)],
        open_masks=open_masks,
        clip_path=clip_path,
    )
