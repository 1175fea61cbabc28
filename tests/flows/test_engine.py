import queue
from collections.abc import Collection
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.states import Completed, Pending

from mvideo.flows._engine import Scheduler, open_engine
from mvideo.flows._steps import EngineOptions, Outcome, Resource, Step, slice_evenly
from mvideo.flows._workers import WorkerEngine
from mvideo.tasks.stages import Parts
from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.store.workspace import Workspace
from tests.flows.toy import ToyOptions, digests, planned, toy_a, toy_b

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore:Artifact creation outside"),
]


def steps(a: ToyOptions | None = None, b: ToyOptions | None = None) -> list[Step]:
    return [
        Step("toy-a", toy_a, a or ToyOptions(), ("source",), "cpu"),
        Step("toy-b", toy_b, b or ToyOptions(), ("toy-a",), "gpu"),
    ]


class InlineEngine:
    """Runs every piece at once and remembers the order; the most that was under way is `peak`."""

    def __init__(self, cpu: int = 2, gpu: int = 1, slice_gpu: int = 1):
        self.slots: dict[Resource, int] = {"cpu": cpu, "gpu": gpu}
        self.slice_gpu = slice_gpu
        self.order: list[tuple[str, tuple[int, ...]]] = []
        self.peak = 0
        self._ended: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._under_way = 0

    def slice_parts(self, resource: Resource, n_parts: int) -> int:
        return self.slice_gpu if resource == "gpu" else 1

    def submit(self, step: Step, parts: Parts, after: Collection[object]) -> object:
        job = (step.name, parts.indices)
        self.order.append(job)
        self._under_way += 1
        self.peak = max(self.peak, self._under_way)
        try:
            done = step.task.fn(parts, step.options)
            self._ended.put(Outcome(job, None, done.reused))
        except (ModelError, StoreError) as error:
            self._ended.put(Outcome(job, error))
        return job

    def collect(self, timeout_s: float) -> list[Outcome]:
        self._under_way -= 1
        return [self._ended.get()]


def test_parts_flow_on_while_others_are_still_upstream(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(8)])
    inline = InlineEngine(cpu=1, gpu=1)
    summaries = Scheduler(inline, steps(), url, range(n_parts), 0.2).run()
    assert n_parts == 8
    # one cpu slot and one gpu slot: as soon as part 0 left toy-a it enters toy-b, before toy-a is through with the rest
    assert inline.order[:3] == [("toy-a", (0,)), ("toy-b", (0,)), ("toy-a", (1,))]
    assert inline.peak == 2
    assert [s.counts["ok"] for s in summaries] == [8, 8]
    assert sorted(inline.order) == sorted((name, (i,)) for name in ("toy-a", "toy-b") for i in range(8))


def test_a_gpu_slice_waits_for_all_its_parts(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(8)])
    inline = InlineEngine(slice_gpu=4)
    Scheduler(inline, steps(), url, range(n_parts), 0.2).run()
    gpu = [indices for name, indices in inline.order if name == "toy-b"]
    assert sorted(gpu) == [(0, 1, 2, 3), (4, 5, 6, 7)]
    first = inline.order.index(("toy-b", gpu[0]))
    assert {("toy-a", (i,)) for i in gpu[0]} <= set(inline.order[:first])


def test_missing_weights_stop_their_stage_but_not_the_one_before(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(24)], part_size=6)
    inline = InlineEngine()
    with pytest.raises(ModelError, match="toy weights are missing"):
        Scheduler(inline, steps(b=ToyOptions(weights=False)), url, range(n_parts), 0.2).run()
    assert [name for name, _ in inline.order].count("toy-b") == 1
    assert len(digests(url, "toy-a", n_parts)) == 4


def test_too_many_failed_items_stop_the_run_and_are_listed(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, ["bad1", "bad2", "v3", "v4"], part_size=4)
    inline = InlineEngine()
    with pytest.raises(StoreError, match=r"2 of 4 items failed .*the allowed fraction is 0\.25"):
        Scheduler(inline, steps(), url, range(n_parts), 0.25).run()
    assert [name for name, _ in inline.order] == ["toy-a"]
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["toy-a-failed"])))
    assert "bad1: not a video" in str(found[0].data)
    assert "2 failed items" in (found[0].description or "")


def test_second_run_reuses_every_part(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(4)])
    Scheduler(InlineEngine(), steps(), url, range(n_parts), 0.2).run()
    again = Scheduler(InlineEngine(), steps(b=ToyOptions(factor=3)), url, range(n_parts), 0.2).run()
    assert [summary.parts_reused for summary in again] == [4, 0]  # toy-b has a new option, toy-a has not


def test_engine_threads_names_runs_and_links_them(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(4)])

    @flow(name="toy")
    def toy() -> list[int]:
        with open_engine(EngineOptions(cpu_slots=2), jobs=1) as running:
            return [s.parts_reused for s in Scheduler(running, steps(), url, range(n_parts), 0.2).run()]

    assert toy() == [0, 0]
    assert toy() == [4, 4]
    assert Workspace(url).current("toy-b", 3) is not None
    names = task_runs()
    assert {"toy-a part 0", "toy-b part 3", "toy-a part 0 (reused)", "toy-b part 3 (reused)"} <= set(names)
    ids = {run.id: name for name, run in names.items()}
    upstream = names["toy-b part 3"].task_inputs["parts"]
    assert [ids[link.id] for link in upstream] == ["toy-a part 3"]


def task_runs() -> dict[str, object]:
    """Task runs by name, once the server has recorded all of them (it does so in the background)."""
    import time

    for _ in range(100):
        with get_client(sync_client=True) as client:
            runs = {run.name: run for run in client.read_task_runs()}
        if "toy-b part 3 (reused)" in runs and "toy-a part 3" in runs:
            return runs
        time.sleep(0.3)
    return runs


def test_engine_workers_sees_the_end_of_more_runs_than_a_page_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvideo.flows._workers.PAGE", 2)

    @flow(name="some-stage")
    def some_stage() -> None: ...

    running = WorkerEngine(EngineOptions(kind="workers", poll_s=0.1), {"cpu": 8, "gpu": 8})
    with get_client(sync_client=True) as client:
        runs = [client.create_flow_run(some_stage, state=Pending()) for _ in range(5)]
        running._under_way.update(run.id for run in runs)
        last = max(runs, key=lambda run: run.id)
        client.set_flow_run_state(last.id, Completed(), force=True)
    assert [outcome.job for outcome in running.collect(0.1)] == [last.id]


@pytest.mark.parametrize(
    ("n_parts", "slots", "asked", "size"), [(256, 4, 0, 16), (3, 4, 0, 1), (10, 1, 0, 3), (10, 1, 7, 7)]
)
def test_slices_give_each_slot_about_four_pieces(n_parts: int, slots: int, asked: int, size: int) -> None:
    assert slice_evenly(n_parts, slots, asked) == size
