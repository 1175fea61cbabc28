"""Planning and bookkeeping of 400,000 clips: seconds, megabytes, task runs. The items are simulated, the store is real.

Planned: sources listed into parts. Kept: a stage that does nothing on every item, so what is measured is keys, journal,
Parquet, markers and heads. Answered: what a second run costs when everything is done.
"""

import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.options import Options
from mvideo_core.pipeline import PART_STAGES
from mvideo_core.records import CaptionRow, Row, SourceRow
from mvideo_core.stages.base import Item, Stage, StageContext, Worker
from mvideo_core.stages.plan import PlanOptions, make_plan
from mvideo_core.stages.run import run_stage
from mvideo_core.store.workspace import Workspace

N_CLIPS = 400_000


class IdleWorker(Worker):
    """Hands back one row per item without looking at anything."""

    def __init__(self, options: Options, context: StageContext):
        pass

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """A caption of realistic length per item."""
        return [[CaptionRow(key=item.key, parent=item.key, text="a dog runs to the left " * 8)] for item in items]


IDLE = Stage("idle", 1, ("source",), Options, CaptionRow, "cpu", IdleWorker)


def simulated_sources(n_clips: int) -> Iterator[SourceRow]:
    """Rows as a folder listing gives them."""
    for n in range(n_clips):
        uri = f"file:///data/hdvila/{n % 1000:03d}/clip{n:07d}.mp4"
        yield SourceRow(key=f"clip{n:07d}", uri=uri, fingerprint=f"{n}:1", licence="r-uda-1.0")


def measure(n_clips: int = N_CLIPS) -> dict[str, Any]:
    """Seconds of planning, of bookkeeping one stage and of a second run, megabytes on disk and of memory, task runs."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        workspace = Workspace(folder)
        started = time.perf_counter()
        plan = make_plan(workspace, simulated_sources(n_clips), PlanOptions())
        planned = time.perf_counter()
        run_stage(workspace, IDLE, Options())
        kept = time.perf_counter()
        again = run_stage(workspace, IDLE, Options())
        answered = time.perf_counter()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    per_part = len(PART_STAGES) + 1  # ingest .. caption, and at most as many shard parts
    return {
        "clips": n_clips,
        "parts": plan.n_parts,
        "task_runs": plan.n_parts * per_part + 4,
        "plan_s": round(planned - started, 2),
        "bookkeeping_s_per_stage": round(kept - planned, 2),
        "second_run_s_per_stage": round(answered - kept, 2),
        "parts_reused": again.parts_reused,
        "workspace_mb": round(size / 1e6, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "goals": {"plan_s": "< 30", "task_runs": "< 2000"},
    }


if __name__ == "__main__":
    import json

    print(json.dumps(measure(), indent=1))
