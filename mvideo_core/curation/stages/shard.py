"""Stage shard: planned shards -> deterministic tars, index, data card."""

import time
from collections.abc import Sequence

from mvideo_core.base.records import Blob, Row, ShardPlanRow, ShardRow
from mvideo_core.curation.stages.samples import list_digests, plan_dataset
from mvideo_core.engine.run import RunOptions, StageSummary, run_stage
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.plan import SPLITS
from mvideo_core.shards.write import write_shard
from mvideo_core.store.workspace import Workspace


class EmptySplit:
    """A test split was requested, and the test or train split is empty.

    A hash assigns each video to a split, so a new video moves no other; a few videos can all end up in one split.
    """

    def __init__(self, options: ShardOptions):
        self.options = options
        self.splits: set[str] = set()

    def add(self, row: ShardRow) -> None:
        """Note the split of a shard."""
        if row.status == "ok":
            self.splits.add(row.split)

    def problems(self) -> list[str]:
        """Which split is empty."""
        if not self.options.test_frac or not self.splits or len(self.splits) == len(SPLITS):
            return []
        return [
            f"shard.test_frac={self.options.test_frac:g}: all videos are in {', '.join(sorted(self.splits))}, so there "
            f"is no {', '.join(sorted({*SPLITS} - self.splits))} split; change shard.split_seed or increase test_frac"
        ]


class ShardWorker(Worker):
    """Writes one tar at a time to scratch, then moves it into the dataset's folder."""

    def __init__(self, options: ShardOptions, context: StageContext):
        self.options, self.context = options, context

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One ShardRow per planned shard."""
        return [[self._write(item)] for item in items]

    def _write(self, item: Item) -> ShardRow:
        plan = item.row(ShardPlanRow)
        folder = self.context.workspace.folder
        local = self.context.scratch / f"{plan.key}.tar"
        with local.open("wb") as out:
            written = write_shard(plan, lambda blob: folder.open(blob.path), out)
        path = folder.publish(local, f"{plan.dataset}/{written.path}", written.sha256)
        tar = Blob(path=path, sha256=written.sha256, size_bytes=written.size_bytes)
        return ShardRow(key=plan.key, parent=plan.key, split=plan.split, tar=tar, samples=written.samples)


STAGE = Stage(
    name="shard",
    revision=1,
    title="Write WebDataset shards, splits and the data card.",
    reads=("samples",),
    unit="sample",
    options=ShardOptions,
    row=ShardRow,
    resource="cpu",
    open=ShardWorker,
    externals=list_digests,
    adopts=False,
    checks=(EmptySplit,),
)


def shard_dataset(workspace: Workspace, options: ShardOptions, run: RunOptions | None = None) -> StageSummary:
    """Plan, write and publish the dataset; finished work is kept.

    Raises:
        ConfigError, StoreError: see `plan_dataset`, `run_stage` and `publish_dataset`.
    """
    from mvideo_core.curation.stages.publish import publish_dataset

    started = time.monotonic()
    n_parts = plan_dataset(workspace, options)
    summary = run_stage(workspace, STAGE, options, run, range(n_parts))
    publish_dataset(workspace, options)
    return summary.model_copy(update={"seconds": round(time.monotonic() - started, 3)})
