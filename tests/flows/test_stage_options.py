from pathlib import Path

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from mvideo.flows._stage_options import finish_stage, resolve
from mvideo.flows._steps import EngineOptions, Step
from mvideo.flows._workers import WorkerEngine
from mvideo.flows.build_mask_dataset import build_mask_dataset
from mvideo.tasks.stages import TASKS, Parts
from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.pipeline import PART_STAGES, PipelineOptions, models_in_use
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.engine import STAGES
from mvideo_core.perception.detection.options import DetectOptions
from tests.flows.toy import ToyOptions, planned, toy_a


def test_profile_then_single_values_then_values_of_stages() -> None:
    options = resolve("mini", {"cut": {"min_shot_s": 5}, "plan": {"part_size": 7}})
    assert (options.cut.min_shot_s, options.cut.width, options.plan.part_size) == (5, 384, 7)
    over = resolve("mini", {"cut": {"min_shot_s": 5}}, cut={"min_shot_s": 9}, detect={"box_threshold": 0.3})
    assert (over.cut.min_shot_s, over.cut.width) == (9, 384)
    assert over.detect == options.detect.model_copy(update={"box_threshold": 0.3})
    assert resolve("", cut={"min_shot_s": 9}).cut == CutOptions(min_shot_s=9)
    with pytest.raises(
        ConfigError, match=r"values over the profile mini: .*\n.*seen 7\n  allowed keys of detect: box_thr"
    ):
        resolve("mini", detect={"box_threshold": 7})


def test_a_run_says_which_models_it_uses() -> None:
    other = {"detect": {"detector": "transformers-groundingdino"}, "caption": {"captioner": "motion"}}
    mini = "detect: groundingdino, weights mini; segment: sam2, weights mini; caption: "
    assert models_in_use(resolve("mini")) == f"{mini}motion"
    assert models_in_use(resolve("", other)).startswith("detect: transformers-groundingdino, weights ")


def test_a_parameter_holds_the_values_that_were_given_and_its_form_no_defaults() -> None:
    schema = parameter_schema(build_mask_dataset)
    form = schema.definitions["DetectOptions"]
    assert form["properties"].keys() == DetectOptions.model_fields.keys()
    assert not [name for name, field in form["properties"].items() if "default" in field or "description" not in field]
    assert form["propertyNames"] == {"enum": sorted(DetectOptions.model_fields)}
    assert "required" not in form
    given = {"workspace": "ws", "source": {"folder": "v"}, "detect": {"box_threshold": 0.3}}
    assert build_mask_dataset.validate_parameters(given)["detect"] == {"box_threshold": 0.3}
    for wrong in ({"box_treshold": 0.3}, {"box_threshold": 3}, {"max_objects": "many"}):
        with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
            build_mask_dataset.validate_parameters(given | {"detect": wrong})


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
    engine_ = WorkerEngine(EngineOptions(kind="workers"), {"cpu": 1, "gpu": 1})
    step = Step("toy-a", toy_a, ToyOptions(), ("source",), "cpu")
    job = engine_.submit(step, parts, [])  # no server is running here
    outcomes = engine_.collect(0.0)
    assert [(outcome.job, outcome.error, outcome.reused) for outcome in outcomes] == [(job, None, 4)]
