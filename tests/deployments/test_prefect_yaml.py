import importlib.metadata
import inspect
from pathlib import Path
from typing import Any

import pytest
from prefect.flows import Flow, load_flow_from_entrypoint

from mvideo.deployments._environment import FOLDER, load_environment, prefect_settings
from mvideo.deployments._setup import in_pool
from mvideo.deployments.names import HEARTBEAT_S, NOT_STAGES, STAGE_GROUP, TAG, deployment_names
from mvideo.flows import LOGGERS
from mvideo.flows._root import in_root
from mvideo.flows._steps import EngineOptions
from mvideo_core.base.options import read_yaml
from mvideo_core.curation.pipeline import PART_STAGES, PipelineOptions
from mvideo_core.engine import STAGES
from tests.reference import REPOSITORY

PROJECT = read_yaml(REPOSITORY / "prefect.yaml")
ENTRIES: dict[str, dict[str, Any]] = {entry["name"]: entry for entry in PROJECT["deployments"]}
DEPLOYMENTS = list(ENTRIES)


def flow_of(name: str) -> Flow[Any, Any]:
    return load_flow_from_entrypoint(ENTRIES[name]["entrypoint"], use_placeholder_flow=False)


def test_prefect_yaml_holds_every_stage_in_order_and_the_deployments_that_are_none() -> None:
    stages = [stage.name for stage in STAGES.in_order()]
    assert [name for name in ENTRIES if name not in NOT_STAGES] == stages
    assert set(ENTRIES) == {*NOT_STAGES, *stages}


def test_short_names_are_those_of_prefect_yaml() -> None:
    assert sorted(ENTRIES) == sorted(deployment_names())
    assert STAGES.group == STAGE_GROUP


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_entrypoint_imports_and_takes_its_parameters(name: str) -> None:
    flow = flow_of(name)
    assert flow.name == name  # so that "name" can stand for "name/name"
    given = flow.validate_parameters(ENTRIES[name]["parameters"])
    missing = [
        parameter.name
        for parameter in inspect.signature(flow.fn).parameters.values()
        if parameter.default is parameter.empty and parameter.name not in given
    ]
    assert missing == []  # the bare command must run


@pytest.mark.parametrize("name", PART_STAGES)
def test_stage_deployments_wait_on_the_queue_of_their_resource(name: str) -> None:
    assert ENTRIES[name]["work_pool"]["work_queue_name"] == STAGES.get(name).resource


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_runs_are_known_as_ours_and_have_heartbeat_and_loggers_under_any_worker(name: str) -> None:
    assert TAG in ENTRIES[name]["tags"]
    env = ENTRIES[name]["work_pool"]["job_variables"]["env"]
    ours = prefect_settings(load_environment("laptop"), Path(), "")
    assert set(env) > {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "PREFECT_LOGGING_EXTRA_LOGGERS"}
    assert env == {key: ours[key] for key in env}
    assert env["PREFECT_LOGGING_EXTRA_LOGGERS"].split(",") == list(LOGGERS)
    assert env["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_flows_come_from_the_package_and_begin_in_the_root(name: str) -> None:
    function = name.replace("-", "_")
    module = "stages" if name in PART_STAGES else function
    assert ENTRIES[name]["entrypoint"] == f"mvideo.flows.{module}.{function}"
    assert flow_of(name).fn.__code__ is in_root(lambda: None).__code__
    assert PROJECT["pull"] == []  # Prefect would pull the registering host's folder


def test_another_pool_is_that_of_every_deployment() -> None:
    there = in_pool("company")
    pools = [entry.pop("work_pool") for entry in there["deployments"]]
    assert [pool["name"] for pool in pools] == ["company"] * len(DEPLOYMENTS)
    assert [pool["work_queue_name"] for pool in pools] == [e["work_pool"]["work_queue_name"] for e in ENTRIES.values()]
    assert [entry["name"] for entry in there["deployments"]] == DEPLOYMENTS


def test_the_orchestrating_flow_has_a_queue_of_its_own() -> None:
    queues = {name: entry["work_pool"]["work_queue_name"] for name, entry in ENTRIES.items()}
    assert [name for name, queue in queues.items() if queue == "orchestrate"] == ["build-mask-dataset"]


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_queue_of_prefect_yaml_exists_in_each_environment(path: Path) -> None:
    environment = load_environment(path.stem)
    used = {entry["work_pool"]["work_queue_name"] for entry in ENTRIES.values()}
    assert used <= set(environment.queues)
    assert {queue for worker in environment.workers for queue in worker.queues} <= set(environment.queues)
    assert {entry["work_pool"]["name"] for entry in ENTRIES.values()} == {environment.pool}


def test_the_form_offers_every_stage_and_the_engine() -> None:
    schema = flow_of("build-mask-dataset").parameters.model_dump()
    fields = schema["properties"]
    assert set(PipelineOptions.model_fields) - {"plan"} <= set(fields)
    assert fields["engine"]["default"]["kind"] == EngineOptions().kind == "threads"
    assert "min_shot_s" in schema["definitions"]["CutOptions"]["properties"]


def test_entry_points_are_installed() -> None:
    hooks = {point.name: point.value for point in importlib.metadata.entry_points(group="prefect.plugins")}
    commands = {point.name: point.value for point in importlib.metadata.entry_points(group="mvideo.commands")}
    assert hooks["mvideo"] == "mvideo.deployments.prefect_plugin"
    assert commands["server"] == "mvideo.deployments.commands:app"
