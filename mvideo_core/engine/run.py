"""`run_stage` runs a whole stage without a server: all its parts, one after another or several in parallel.

```python
from mvideo_core.curation.pipeline import load_profile
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import run_stage
from mvideo_core.store.workspace import Workspace

run_stage(Workspace("ws"), STAGES.get("detect"), load_profile("mini").detect)   # the options of the profile mini
```
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import Field

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record
from mvideo_core.base.stopping import pool_that_stops
from mvideo_core.engine.checks import check_stage
from mvideo_core.engine.part import PartResult, run_part, stage_settings
from mvideo_core.engine.stage import Stage
from mvideo_core.store.workspace import Marker, Workspace

log = logging.getLogger(__name__)


class RunOptions(Options):
    """How stages are run on this machine."""

    jobs: int = Field(
        default=1, ge=1, le=256, description="Parts processed in parallel; GPU stages take turns on the model."
    )
    max_failed_frac: float = Field(
        default=0.2, ge=0, le=1, description="A stage fails when more than this fraction of its items failed."
    )


class StageSummary(Record):
    """A stage over all its parts. `counts` adds the parts' counts; `reasons` says why items were dropped.

    Attributes:
        warnings: why the output needs attention although the stage finished; a stage with a warning is never reported
            as good.
    """

    stage: str
    parts: int
    parts_reused: int
    counts: dict[str, int]
    reasons: dict[str, int]
    seconds: float
    warnings: list[str] = []


def run_stage(
    workspace: Workspace,
    stage: Stage,
    options: Options,
    run: RunOptions | None = None,
    parts: Sequence[int] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> StageSummary:
    """Finish a stage from the rows of its upstream stages on disk.

    Args:
        parts: indices to run; None for all parts of the plan.
        progress: called with (part, items done, items in the part).

    Raises:
        ConfigError: there is no plan, no such part, an upstream part is missing, or the options leave the stage out.
        StoreError: more than `max_failed_frac` of the items failed (their rows are kept).
    """
    run = run or RunOptions()
    started = time.monotonic()
    require_enabled(stage, options)
    indices = list(range(count_parts(workspace)) if parts is None else _check_parts(workspace, stage.name, parts))
    report = progress or (lambda _part, _done, _total: None)
    settings = stage_settings(stage, options)  # once: it reads weights

    def one(index: int) -> PartResult:
        return run_part(
            workspace, stage, index, options, lambda done, total: report(index, done, total), settings=settings
        )

    if run.jobs == 1 or len(indices) == 1:
        results = [one(index) for index in indices]
    else:
        with pool_that_stops(ThreadPoolExecutor(run.jobs, thread_name_prefix=stage.name)) as pool:
            results = list(pool.map(one, indices))
    reused = sum(result.reused for result in results)
    summary = summarize(stage.name, [result.marker for result in results], reused, time.monotonic() - started)
    check_failed(summary, run.max_failed_frac)
    return summary.model_copy(update={"warnings": check_stage(workspace, stage, options)})


def require_enabled(stage: Stage, options: Options) -> None:
    """Refuse to run a stage whose options leave it out.

    Raises:
        ConfigError: they do.
    """
    if stage.enabled is not None and not stage.enabled(options):
        raise ConfigError(
            f"stage {stage.name}: its options are empty, so there is nothing to run; set {stage.name}.* in the profile "
            f"or with --set (`mvideo profiles mini` lists the options); a full run without them leaves the stage out"
        )


def _check_parts(workspace: Workspace, stage: str, parts: Sequence[int]) -> Sequence[int]:
    n_parts = workspace.parts_of(stage) or count_parts(workspace)
    unknown = [index for index in parts if not 0 <= index < n_parts]
    if unknown:
        has = "part 0 only" if n_parts == 1 else f"parts 0 to {n_parts - 1}"
        raise ConfigError(f"stage {stage}: no part {unknown[0]}; this workspace has {has}")
    return parts


def count_parts(workspace: Workspace) -> int:
    """Number of parts of the current plan.

    Raises:
        ConfigError: the workspace has no plan yet.
    """
    n_parts = workspace.n_parts()
    if n_parts is None:
        raise ConfigError(f"{workspace.url} has no plan yet; run `mvideo plan` (or `mvideo run`) with a source first")
    return n_parts


def summarize(stage: str, markers: Sequence[Marker], reused: int, seconds: float) -> StageSummary:
    """Sums of the parts' counts and reasons."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for marker in markers:
        counts.update(marker.counts)
        reasons.update(marker.reasons)
    return StageSummary(
        stage=stage,
        parts=len(markers),
        parts_reused=reused,
        counts=dict(counts),
        reasons=dict(sorted(reasons.items())),
        seconds=round(seconds, 3),
    )


def check_failed(summary: StageSummary, max_failed_frac: float) -> None:
    """Raise if too many items of a stage failed.

    Raises:
        StoreError: with counts, the most frequent error class and what to do.
    """
    items, failed = summary.counts.get("items", 0), summary.counts.get("failed", 0)
    if items and failed / items > max_failed_frac:
        causes = {name: n for name, n in summary.reasons.items() if name.startswith("failed:")}
        raise StoreError(
            f"stage {summary.stage}: {failed} of {items} items failed ({causes}); the allowed fraction is "
            f"{max_failed_frac:g}; see `mvideo status --failed`, then `mvideo retry-failed`, or raise max_failed_frac"
        )
