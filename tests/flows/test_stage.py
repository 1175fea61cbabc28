from pathlib import Path

import pytest

from flows._engine import EngineOptions, Step
from flows._stage import TASKS, finish_stage, resolve
from flows._workers import WorkerLanes
from mvideo_core.errors import ConfigError
from mvideo_core.pipeline import PART_STAGES, PipelineOptions
from mvideo_core.scenes.cut import CutOptions
from mvideo_core.stages import STAGES
from tasks._parts import Parts
from tests.flows.toy import ToyOptions, planned, toy_a


def test_profile_then_single_values_then_whole_stages() -> None:
    options = resolve("mini", {"cut": {"min_shot_s": 5}, "plan": {"part_size": 7}})
    assert (options.cut.min_shot_s, options.cut.width, options.plan.part_size) == (5, 384, 7)
    whole = resolve("mini", {"cut": {"min_shot_s": 5}}, cut=CutOptions(min_shot_s=9), detect=None)
    assert (whole.cut.min_shot_s, whole.cut.width) == (9, 720)  # the form's whole stage wins, defaults and all
    assert whole.detect == options.detect


def test_every_part_stage_has_its_task_with_its_resource() -> None:
    assert set(PART_STAGES) | {"shard", "encode"} == set(TASKS)
    assert {name: task.tags for name, task in TASKS.items()} == {name: {STAGES.get(name).resource} for name in TASKS}


def test_a_stage_flow_refuses_what_would_wait_for_itself_and_parts_that_are_not_there(tmp_path: Path) -> None:
    options = PipelineOptions()
    with pytest.raises(ConfigError, match="workers is for build-mask-dataset"):
        finish_stage("ingest", "unused", options, None, EngineOptions(kind="workers"))
    with pytest.raises(ConfigError, match="has no plan yet"):
        finish_stage("ingest", str(tmp_path / "empty"), options, None, EngineOptions())
    url, n_parts = planned(tmp_path, ["a", "b", "c", "d"])
    assert n_parts == 4
    with pytest.raises(ConfigError, match=r"no parts \[4, 9\].* has parts 0 to 3"):
        finish_stage("ingest", url, options, [0, 4, 9], EngineOptions())


def test_engine_workers_asks_nobody_for_parts_that_the_store_holds(tmp_path: Path) -> None:
    url, n_parts = planned(tmp_path, ["a", "b", "c", "d"])
    parts = Parts(workspace=url, indices=tuple(range(n_parts)))
    toy_a.fn(parts, ToyOptions())
    lanes = WorkerLanes(EngineOptions(kind="workers"), {"cpu": 1, "gpu": 1})
    step = Step("toy-a", toy_a, ToyOptions(), ("source",), "cpu")
    ticket = lanes.submit(step, parts, [])  # no server is running here
    outcomes = lanes.finished(0.0)
    assert [(outcome.ticket, outcome.error, outcome.reused) for outcome in outcomes] == [(ticket, None, 4)]
