"""Two small stages over the real store, so that flows can be tested without media and models."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mvideo.tasks._decorators import gpu_task, io_task
from mvideo.tasks.stages import Parts, PartsDone, finish_parts
from mvideo_core.base.errors import MediaError, ModelError, StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, Row, SourceRow
from mvideo_core.engine import STAGES
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.store.workspace import Workspace


class ToyOptions(Options):
    """How the toys work: `factor` changes results, `pause_s` only time; `log` is a file that gets a line an item."""

    factor: int = 2
    pause_s: float = 0.0
    log: str = ""
    weights: bool = True


class ToyRow(Row):
    """A number, and a file that holds it."""

    number: int = 0
    note: Blob | None = None


class ToyWorker(Worker):
    """Multiplies the length of a key; keys with "bad" in them are bad media."""

    batch_size = 2

    def __init__(self, options: ToyOptions, context: StageContext):
        if not options.weights:
            raise ModelError("toy weights are missing; put them somewhere")
        self.options, self.context = options, context

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        return [[self._row(item)] for item in items]

    def _row(self, item: Item) -> ToyRow:
        if "bad" in item.key and self.context.stage == "toy-a":
            raise MediaError(f"{item.key}: not a video")
        time.sleep(self.options.pause_s)
        if self.options.log:
            with open(self.options.log, "a") as log:
                log.write(f"{self.context.stage} {item.key}\n")
        number = self.options.factor * len(item.key)
        note = self.context.commit_bytes(str(number).encode(), f"{item.key}.txt", item.content_key)
        return ToyRow(key=item.key, parent=item.key, number=number, note=note)


class GpuWorker(ToyWorker):
    """Writes down which process and which GPU an item met."""

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        with open(self.options.log, "a") as log:
            log.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        _wait_for_another(self.options.log)
        return [[ToyRow(key=item.key, parent=item.key)] for item in items]


def _stage(name: str, reads: str, resource: Literal["cpu", "gpu"], worker: type[Worker]) -> None:
    stage = Stage(name=name, revision=1, reads=(reads,), options=ToyOptions, row=ToyRow, resource=resource, open=worker)
    STAGES.register(name)(stage)


_stage("toy-a", "source", "cpu", ToyWorker)
_stage("toy-b", "toy-a", "gpu", ToyWorker)
_stage("toy-gpu", "toy-a", "gpu", GpuWorker)


@io_task
def toy_a(parts: Parts, options: ToyOptions) -> PartsDone:
    """First toy."""
    return finish_parts("toy-a", parts, options)


@gpu_task
def toy_b(parts: Parts, options: ToyOptions) -> PartsDone:
    """Second toy."""
    return finish_parts("toy-b", parts, options)


@gpu_task
def toy_gpu(parts: Parts, options: ToyOptions) -> PartsDone:
    """Third toy."""
    return finish_parts("toy-gpu", parts, options)


def planned(folder: Path, keys: Sequence[str], part_size: int = 1) -> tuple[str, int]:
    """A workspace with a plan. Returns: its URL and the number of parts."""
    url = str(folder / "workspace")
    plan = make_plan(Workspace(url), [SourceRow(key=key) for key in keys], PlanOptions(part_size=part_size))
    return url, plan.n_parts


def digests(url: str, stage: str, n_parts: int) -> list[str]:
    """Digest of each current part."""
    markers = [Workspace(url).current(stage, index) for index in range(n_parts)]
    if not all(markers):
        raise StoreError(f"{stage}: parts are missing")
    return [marker.digest for marker in markers if marker is not None]


def numbers(url: str, stage: str, n_parts: int) -> list[tuple[str, int]]:
    """Key and number of each row of a stage, part by part: a key that is there twice shows."""
    workspace = Workspace(url)
    markers = [workspace.current(stage, index) for index in range(n_parts)]
    return [(row.key, row.number) for marker in markers if marker for row in workspace.rows(marker, ToyRow)]


def _wait_for_another(path: str, at_most_s: float = 40.0) -> None:
    """Until a second process has written to the file: on a slow machine one would be done before the other starts."""
    deadline = time.monotonic() + at_most_s
    while time.monotonic() < deadline:
        if len({line.split()[0] for line in Path(path).read_text().splitlines()}) > 1:
            return
        time.sleep(0.1)
