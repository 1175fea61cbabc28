"""What a fresh server needs: pool, queues, heartbeat automation, deployments. Repeating it changes nothing."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.workers.process import ProcessWorker

from mvideo.deployments._environment import Environment
from mvideo.deployments._processes import python_module
from mvideo.deployments.names import TAG
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import read_yaml
from mvideo_core.base.shipped import shipped_path
from mvideo_core.engine import STAGES

AUTOMATION = "mvideo: runs without heartbeat are crashed"
FINAL_STATES = ("Completed", "Failed", "Cancelled", "Crashed")


def set_up(client: SyncPrefectClient, environment: Environment, *, keep_automation: bool = False) -> None:
    """Create the pool, queues and automation.

    Args:
        keep_automation: leave an automation that is already there as it is, with the `silent_s` of its server's host.
    """
    _pool(client, environment)
    _automation(client, environment, keep=keep_automation)


def deploy_all(environment: Environment, settings: Mapping[str, str]) -> None:
    """Register every deployment of prefect.yaml, in the environment's pool.

    Raises:
        ConfigError: with Prefect's message, e.g. an entrypoint that does not import.
    """
    with tempfile.TemporaryDirectory(prefix="mvideo-deploy-") as folder:
        text = yaml.safe_dump(in_pool(environment.pool), sort_keys=False)
        (Path(folder) / "prefect.yaml").write_text(text, encoding="utf-8")
        done = subprocess.run(
            python_module("prefect", "--no-prompt", "deploy", "--all"),
            cwd=folder,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise ConfigError(f"prefect deploy --all failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


def in_pool(pool: str) -> dict[str, Any]:
    """The contents of prefect.yaml with another work pool, and with the stages that installed packages add."""
    project: dict[str, Any] = read_yaml(shipped_path("prefect.yaml"))
    like = {"cpu": "cut", "gpu": "detect"}
    by_name = {entry["name"]: entry for entry in project["deployments"]}
    for stage in map(STAGES.get, STAGES.from_packages()):
        project["deployments"].append(
            {
                **by_name[like[stage.resource]],
                "name": stage.name,
                "description": stage.title,
                "entrypoint": f"mvideo.flows.stages.{stage.name}",
            }
        )
    for entry in project["deployments"]:
        entry["work_pool"] = {**entry["work_pool"], "name": pool}
    return project


def _pool(client: SyncPrefectClient, environment: Environment) -> None:
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=environment.pool, type="process", base_job_template=template)
    with contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(pool)
    for queue in environment.queues:
        try:
            client.read_work_queue_by_name(queue, work_pool_name=environment.pool)
        except ObjectNotFound:
            client.create_work_queue(queue, work_pool_name=environment.pool)


def _automation(client: SyncPrefectClient, environment: Environment, keep: bool) -> None:
    """Mark our runs Crashed if their heartbeat stopped: the host is gone, so nothing else can report it."""
    wanted = AutomationCore(
        name=AUTOMATION,
        description="A heartbeat must be followed by the next heartbeat or a final state.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{state}" for state in FINAL_STATES)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification({"prefect.resource.id": [f"prefect.tag.{TAG}"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=environment.silent_s),
        ),
        actions=[
            ChangeFlowRunState(
                name="Crashed",
                force=False,
                state=StateType.CRASHED,
                message=f"no heartbeat for {environment.silent_s} s: its process or host is gone",
            )
        ],
    )
    found = client.read_automations_by_name(AUTOMATION)
    if not found:
        client.create_automation(wanted)
    elif not keep and found[0].trigger != wanted.trigger:
        client.update_automation(found[0].id, wanted)
