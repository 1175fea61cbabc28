"""Every way a run can lose its process, on toy stages: the run ends in a final state and a retry finishes it."""

import time
from collections import Counter
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from mvideo.deployments._reap import _has_heartbeat as heard
from mvideo.deployments.names import HEARTBEAT_S
from mvideo.tasks.stages import Parts
from tests.e2e.harness import Trial, kill, until
from tests.flows.toy import ToyOptions, numbers, planned, toy_a, toy_b

KEYS = [f"v{number:02d}" for number in range(16)]


class Toy:
    """One toy run over four parts that notes every item it works on."""

    def __init__(self, trial: Trial, folder: Path, engine: dict[str, object] | None = None, pause_s: float = 0.4):
        self.trial = trial
        self.url, self.n_parts = planned(folder, KEYS, part_size=4)
        self.log = folder / "items.txt"
        self.options = {"log": str(self.log), "pause_s": pause_s}
        values = {"workspace": self.url, "options": self.options, "engine": engine or {"kind": "threads"}}
        self.run: UUID = trial.start("toy/toy", values)

    def items(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def under_way(self) -> None:
        """Wait until the run has done some more items."""
        before = len(self.items())
        until(lambda: len(self.items()) > before + 2, 600, self.trial.tail, every_s=0.05)

    def check(self, deaths: int) -> None:
        """Same result as an undisturbed run; an item is worked on again only if a death hit it (batches of two)."""
        reference, _ = planned(Path(self.url).parent / "reference", KEYS, part_size=4)
        parts = Parts(workspace=reference, indices=tuple(range(self.n_parts)))
        for task in (toy_a, toy_b):
            task.fn(parts, ToyOptions())
        for stage in ("toy-a", "toy-b"):
            assert numbers(self.url, stage, self.n_parts) == numbers(reference, stage, self.n_parts)
        counts = Counter(self.items())
        assert set(counts) == {f"toy-{stage} {key}" for stage in "ab" for key in KEYS}
        again = {item: n for item, n in counts.items() if n > 1}
        assert sum(counts.values()) - len(counts) <= 4 * deaths, again


@pytest.mark.slow
def test_a_killed_worker_takes_its_run_along_and_a_retry_finishes_it(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    toy = Toy(trial, tmp_path)
    toy.under_way()
    for pid in trial.workers():
        kill(pid)
    assert trial.wait(toy.run, 300) == "CRASHED"  # the engine noticed, nobody else could
    until(lambda: not trial.engines(toy.run), 240, trial.tail)
    trial.stack.up(deploy=False)
    trial.retry(toy.run)
    assert trial.wait(toy.run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    toy.check(deaths=1)


@pytest.mark.slow
def test_watch_brings_a_lost_host_back_without_a_hand(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    toy = Toy(trial, tmp_path)
    toy.under_way()
    for pid in trial.workers() + trial.engines(toy.run):
        kill(pid)
    deadline = time.monotonic() + 900

    def over() -> bool:
        return trial.read(toy.run).state_name in ("Completed", "Failed") or time.monotonic() > deadline

    trial.stack.watch(max_runs=5, every_s=0.5, until=over)
    assert trial.read(toy.run).state_name == "Completed", trial.tail()
    assert trial.read(toy.run).run_count == 2
    toy.check(deaths=1)


@pytest.mark.slow
def test_a_killed_server_comes_back_and_the_run_goes_on(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    toy = Toy(trial, tmp_path)
    toy.under_way()
    for process in trial.stack.find_running():
        if process.name == "server":
            kill(process.pid)
    trial.stack.up(deploy=False)
    if trial.wait(toy.run, 900) == "CRASHED":
        trial.retry(toy.run)
        assert trial.wait(toy.run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    toy.check(deaths=1)


@pytest.mark.slow
def test_cancel_ends_the_process_and_a_retry_goes_on(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    toy = Toy(trial, tmp_path)
    toy.under_way()
    done = trial.prefect("flow-run", "cancel", str(toy.run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert trial.wait(toy.run, 300) == "CANCELLED"
    until(lambda: not trial.engines(toy.run), 240, trial.tail)
    trial.retry(toy.run)
    assert trial.wait(toy.run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    toy.check(deaths=1)


@pytest.mark.slow
def test_a_run_that_ends_by_itself_after_its_cancel_is_cancelled(trial: Trial) -> None:
    """Three at once: the worker hears of a cancel before, while or after the process ends."""
    trial.stack.up(deploy=False)
    runs = [trial.start("ends-by-itself/ends-by-itself", {}) for _ in range(3)]
    assert [trial.wait(run, 240) for run in runs] == ["CANCELLED"] * 3, trial.tail()


@pytest.mark.slow
def test_engine_workers_gives_slices_to_stage_runs_and_mends_a_killed_one(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    engine = {"kind": "workers", "cpu_slots": 1, "gpu_slots": 1, "parts_per_run": 4, "poll_s": 0.5}
    toy = Toy(trial, tmp_path, engine)
    toy.under_way()
    with trial.stack.client() as client:
        stage_run = next(run for run in client.read_flow_runs() if run.name == "toy-a parts 0-3")
    for pid in trial.engines(stage_run.id):
        kill(pid)
    assert trial.wait(toy.run, 900) == "COMPLETED", trial.tail()  # nobody retried anything by hand
    assert trial.read(stage_run.id).run_count == 2
    toy.check(deaths=1)


def stage_runs(trial: Trial, toy: Toy, name: str) -> list[UUID]:
    """Runs of that name which belong to this toy."""
    with trial.stack.client() as client:
        runs = client.read_flow_runs()
    return [run.id for run in runs if run.name == name and run.parameters.get("workspace") == toy.url]


@pytest.mark.slow
def test_a_killed_orchestrator_finds_the_stage_run_that_outlived_it(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    engine = {"kind": "workers", "cpu_slots": 1, "gpu_slots": 1, "parts_per_run": 4, "poll_s": 0.5}
    toy = Toy(trial, tmp_path, engine, pause_s=2.0)
    toy.under_way()
    (stage_run,) = stage_runs(trial, toy, "toy-a parts 0-3")
    for pid in trial.engines(toy.run):
        kill(pid)
    assert trial.wait(toy.run, 240) == "CRASHED"
    assert trial.engines(stage_run), "the stage run must outlive the flow that asked for it"
    toy.under_way()  # and runs alone
    trial.retry(toy.run)
    assert trial.wait(toy.run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    assert stage_runs(trial, toy, "toy-a parts 0-3") == [stage_run], "found again, not asked for twice"
    assert trial.read(stage_run).run_count == 1
    assert trial.read(toy.run).run_count == 2
    toy.check(deaths=0)


@pytest.mark.slow
def test_the_server_alone_notices_a_lost_host_and_a_retry_finishes_the_run(trial: Trial, tmp_path: Path) -> None:
    """Worker and engine die together: only the automation on heartbeats is left to say so.

    It says nothing of a run of another team that fell silent at the same time, nor do `up` and its reaping.
    """
    trial.stack.up(deploy=False)
    theirs = trial.start("neighbor/neighbor", {"seconds": 3600})
    toy = Toy(trial, tmp_path)
    toy.under_way()
    with trial.stack.client() as client:
        for run in (client.read_flow_run(toy.run), client.read_flow_run(theirs)):
            until(partial(heard, client, run, 3600), 240, trial.tail, every_s=1)
    for pid in trial.workers() + trial.engines(toy.run) + trial.engines(theirs):
        kill(pid)
    silent_s = trial.stack.environment.silent_s
    killed = time.monotonic()
    assert trial.wait(toy.run, silent_s + 240, "CRASHED") == "CRASHED"
    assert time.monotonic() - killed > silent_s - 2 * HEARTBEAT_S
    assert f"no heartbeat for {silent_s} s" in (trial.read(toy.run).state.message or "")
    trial.stack.up(deploy=False)
    trial.retry(toy.run)
    assert trial.wait(toy.run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    toy.check(deaths=1)
    assert (trial.read(theirs).state_name, trial.read(theirs).run_count) == ("Running", 1)
