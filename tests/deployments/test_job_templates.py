"""Base job templates of docker and kubernetes pools, and the image that they run."""

import importlib.resources
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values

from tests.reference import REPOSITORY

TEMPLATES = REPOSITORY / "deployments" / "job_templates"
CONTAINERFILE = REPOSITORY / "deployments" / "containers" / "Containerfile"
KINDS = ("docker", "kubernetes")
DEPLOYMENTS = {
    entry["name"]: entry["work_pool"]
    for entry in yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
}


def template(kind: str) -> dict[str, Any]:
    found = json.loads((TEMPLATES / f"{kind}.json").read_text())
    assert isinstance(found, dict)
    return found


def shipped_with_prefect(kind: str) -> dict[str, Any]:
    """The template that Prefect's server offers for a new pool of this kind."""
    views = importlib.resources.files("prefect.server.api.collections_data.views")
    workers = json.loads((views / "aggregate-worker-metadata.json").read_text())
    found = workers[f"prefect-{kind}"][kind]["default_base_job_configuration"]
    assert isinstance(found, dict)
    return found


def placeholders(value: Any) -> set[str]:
    return set(re.findall(r"{{ (\w+) }}", json.dumps(value)))


def rendered(kind: str, deployment: str) -> dict[str, Any]:
    """What a worker would start for a run of a deployment: its job variables over the pool's defaults."""
    variables = template(kind)["variables"]["properties"]
    defaults = {name: field["default"] for name, field in variables.items() if "default" in field}
    given = DEPLOYMENTS[deployment]["job_variables"]
    job = apply_values(template(kind)["job_configuration"], defaults | given, remove_notset=True)
    assert isinstance(job, dict)
    return job


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_has_all_that_its_worker_reads_and_each_variable_is_used_and_described(kind: str) -> None:
    ours, prefects = template(kind), shipped_with_prefect(kind)
    variables = ours["variables"]["properties"]
    assert placeholders(ours["job_configuration"]) == set(variables)
    assert [name for name, field in variables.items() if not field.get("description")] == []
    credentials = {"registry_credentials"}  # a block of a package that only the worker has
    assert set(prefects["job_configuration"]) - set(ours["job_configuration"]) <= credentials
    assert set(prefects["variables"]["properties"]) - set(variables) <= credentials


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_takes_the_template_and_our_deployments_with_their_job_variables(kind: str) -> None:
    with get_client(sync_client=True) as client:
        pool = client.create_work_pool(
            WorkPoolCreate(name=f"ours-{kind}", type=kind, base_job_template=template(kind)), overwrite=True
        )
        assert pool.type == kind
        flow = client.create_flow_from_name("pools")
        for name in ("cut", "segment", "train-mvideo"):
            made = client.create_deployment(
                flow, f"{name}-{kind}", work_pool_name=pool.name, work_queue_name=DEPLOYMENTS[name]["work_queue_name"],
                job_variables=DEPLOYMENTS[name]["job_variables"],
            )  # fmt: skip
            client.create_flow_run_from_deployment(made)


def gpus_of(kind: str, deployment: str) -> int:
    job = rendered(kind, deployment)
    if kind == "docker":
        return sum(one["count"] for one in job["container_create_kwargs"]["device_requests"])
    (container,) = job["job_manifest"]["spec"]["template"]["spec"]["containers"]
    return int(container["resources"]["limits"]["nvidia.com/gpu"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_queues_gpu_and_train_get_a_gpu_and_the_others_none(kind: str) -> None:
    wanted = {name: int(pool["work_queue_name"] in ("gpu", "train")) for name, pool in DEPLOYMENTS.items()}
    assert {name: gpus_of(kind, name) for name in DEPLOYMENTS} == wanted


def test_a_run_in_kubernetes_is_the_image_s_user_and_sees_the_data_and_shared_memory() -> None:
    pod = rendered("kubernetes", "train-mvideo")["job_manifest"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/data", "/dev/shm"]
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"] for mount in container["volumeMounts"]}
    assert f"--uid {pod['securityContext']['runAsUser']} " in CONTAINERFILE.read_text()


QUEUES = {pool["work_queue_name"] for pool in DEPLOYMENTS.values()}


@pytest.mark.parametrize("kind", ["process", *KINDS])
def test_the_example_workers_of_a_pool_serve_every_queue(kind: str) -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    workers = re.findall(rf"prefect worker start --type {kind} --pool mvideo (.*)", text)
    assert set(re.findall(r"--work-queue (\S+)", " ".join(workers))) == QUEUES


def test_the_containers_of_the_compose_file_serve_every_queue_and_set_nothing_that_deployments_set() -> None:
    services = yaml.safe_load((CONTAINERFILE.parent / "compose.yaml").read_text())["services"]
    workers = [service for service in services.values() if "mvideo.deployments.worker" in service.get("command", ())]
    commands = [service["command"] for service in workers]
    assert {b for command in commands for a, b in itertools.pairwise(command) if a == "--work-queue"} == QUEUES
    assert not {name for service in workers for name in service["environment"]} & set(
        DEPLOYMENTS["cut"]["job_variables"]["env"]
    )


def instructions() -> Iterator[tuple[str, str]]:
    """(instruction, its words) of the Containerfile, continued lines joined, comments left out."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, words = line.partition(" ")
            yield name, words.strip()


def test_the_containerfile_names_a_version_copies_what_is_there_and_runs_as_a_user() -> None:
    found = list(instructions())
    names = [name for name, _ in found]
    assert names[0] == "FROM"
    assert set(names) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD", "LABEL", "ARG", "ENTRYPOINT"}
    for name, words in found:
        if name == "FROM":
            assert re.fullmatch(r"\S+:\S*\d\S*", words), words
        if name == "COPY":
            sources = [word for word in shlex.split(words)[:-1] if not word.startswith("--")]
            assert [source for source in sources if not (REPOSITORY / source).exists()] == []
        if name == "RUN" and "apt-get install" in words:
            assert "--no-install-recommends" in words
            assert words.endswith("rm -rf /var/lib/apt/lists/*")
        if name == "RUN" and "pip install" in words:
            assert words.count("--no-cache-dir") == words.count("pip install")
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("RUN", "COPY"))
    assert dict(found)["USER"] not in ("root", "0")
    assert json.loads(dict(found)["CMD"]), "exec form, so that signals reach the worker"
