"""Two hosts, and one of them lost midway: `make hosts`. What docs/operations.md says under "Many hosts"."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mvideo_core.training.options import TrainOptions
from tests import s3_server
from tests.e2e.conftest import Material
from tests.e2e.harness import until
from tests.e2e.hosts import Host, missing, two_hosts
from tests.e2e.test_postgres import MISSING, ask, installed, running_postgres
from tests.reference import REPOSITORY

pytestmark = pytest.mark.slow

PASSWORD = "mvideo:correct-horse"
MVIDEO = (sys.executable, "-m", "mvideo_core.cli.main")
PREFECT = (sys.executable, "-m", "prefect")
LONG_STAGES = ("cut", "detect", "segment")
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "head": {"host": "0.0.0.0", "workers": [{"name": "head", "queues": ["orchestrate", "cpu", "gpu"], "runs": 2}]},
    "second": {"server": False, "workers": [{"name": "second", "queues": ["cpu", "gpu"], "runs": 1}]},
}
RAY_PORTS = {"head": ("--head", "--port=6379", "--include-dashboard=false"), "second": ("--address=head:6379",)}
RAY_SIZE = ("--num-cpus=1", "--num-gpus=1", f"--object-store-memory={80 * 2**20}")
RUNS = "select name, state_name, run_count from flow_run order by start_time"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    if why := missing():
        pytest.skip(why)
    with two_hosts(tmp_path / "hosts") as pair:
        yield pair


@pytest.fixture
def bucket(hosts: tuple[Host, Host]) -> Iterator[dict[str, str]]:
    """An S3 server on the first host; the variables that point to it."""
    if not s3_server.INSTALLED:
        pytest.skip(s3_server.SKIP)
    head, _ = hosts
    with s3_server.s3_server("films", head.address, 9000, head.command()) as known:
        yield known


def up(host: Host, known: dict[str, str], folder: Path, more: Mapping[str, Any] = {}) -> None:
    """`mvideo server up` on a host, with more settings in its environment's file."""
    environment = folder / f"{host.name}.yaml"
    environment.write_text(yaml.safe_dump({"poll_s": 0.5, "silent_s": 90} | ENVIRONMENTS[host.name] | dict(more)))
    words = ("server", "up", "--state", str(folder / f"{host.name}-state"), "--environment", str(environment))
    say(host.run(*MVIDEO, *words, known=known, timeout_s=600).strip().splitlines()[-1])


def start_ray(host: Host, known: dict[str, str]) -> None:
    """`ray start`: one task at a time, with a GPU that does not exist; Ray hands out its number all the same."""
    ray = str(Path(sys.executable).with_name("ray"))
    # Its sockets are in /tmp/ray, which is the host's own: below TMPDIR their paths would be too long.
    alone = {"RAY_TMPDIR": "/tmp", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    started = (ray, "start", *RAY_PORTS[host.name], f"--node-ip-address={host.address}", *RAY_SIZE)
    host.run(*started, known={**known, **alone})


def working(known: dict[str, str], host: Host) -> str:
    """The lease of a part on which this host is working; "" if it is not."""
    s3 = s3_server.client(known["AWS_ENDPOINT_URL"])
    for stage in LONG_STAGES:
        for one in s3.list_objects_v2(Bucket="films", Prefix=f"ws/locks/{stage}-").get("Contents", ()):
            try:
                lease = json.loads(s3.get_object(Bucket="films", Key=one["Key"])["Body"].read())
            except s3.exceptions.NoSuchKey:
                continue
            if lease["owner"].endswith(f" on {host.name}") and not lease.get("released"):
                return f"{one['Key']}: {lease['owner']}"
    return ""


def test_a_host_lost_midway_leaves_the_dataset_of_an_undisturbed_run(
    hosts: tuple[Host, Host], bucket: dict[str, str], material: Material, tmp_path: Path
) -> None:
    if not installed():
        pytest.skip(MISSING)
    head, second = hosts
    with running_postgres(head.command()) as (folder, port):
        auth = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD, "PREFECT_API_AUTH_STRING": PASSWORD}
        database = f"postgresql+asyncpg://prefect:unused@127.0.0.1:{port}/prefect"
        at_head = {**bucket, **auth, "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
        api = "http://head:4200/api"
        up(head, at_head, tmp_path)
        up(second, {**bucket, "PREFECT_API_AUTH_STRING": PASSWORD, "PREFECT_API_URL": api}, tmp_path)
        parameters = {
            "workspace": "s3://films/ws",
            "source": {"folder": str(material.videos)},
            "profile": str(material.profile),
            "engine": {"kind": "workers", "cpu_slots": 2, "gpu_slots": 2, "parts_per_run": 2, "poll_s": 0.5},
        }
        words = ("deployment", "run", "build-mask-dataset/build-mask-dataset", "--params", json.dumps(parameters))
        client = {"PREFECT_API_URL": api, "PREFECT_API_AUTH_STRING": PASSWORD}
        head.run(*PREFECT, *words, known=client)

        def state() -> str:
            query = "select r.state_name from flow_run r join flow f on f.id = r.flow_id where f.name = "
            return ask(folder, port, f"{query}'build-mask-dataset'")[0][0]

        def tail() -> str:
            logs = sorted(tmp_path.glob("*-state/logs/*.log"))
            return "\n".join(log.read_text()[-3000:] for log in logs) + str(ask(folder, port, RUNS))

        until(lambda: bool(working(bucket, second)) or state() in ("Failed", "Completed"), 900, tail, every_s=0.1)
        lease = working(bucket, second)
        second.unplug()
        n_killed, killed = second.kill(), time.monotonic()
        say(f"{second.name}: link down, {n_killed} processes killed; it held {lease}")
        assert lease, f"the run ended before {second.name} worked on a long stage"
        until(lambda: state() in ("Completed", "CompletedWithWarnings", "Failed", "Crashed"), 900, tail, every_s=1)
        say(f"{state()} {time.monotonic() - killed:.0f} s after the loss")
        for row in ask(folder, port, RUNS):
            say("  ".join(row))
        assert state().startswith("Completed"), tail()
        crashed = "select r.name, r.run_count from flow_run r join flow_run_state s on s.flow_run_id = r.id"
        resumed = ask(folder, port, f"{crashed} where s.type = 'CRASHED'")
        say(f"crashed, then run again (runs): {resumed}")
        assert [runs for _, runs in resumed] == ["2"]
    check(head, bucket, material.digest)


def test_ray_runs_tasks_on_both_hosts(
    hosts: tuple[Host, Host], bucket: dict[str, str], material: Material, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="extra ray is not installed")
    head, second = hosts
    auth = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD, "PREFECT_API_AUTH_STRING": PASSWORD}
    up(head, {**bucket, **auth}, tmp_path, {"api_url": "http://head:4200/api"})
    for host in hosts:
        start_ray(host, bucket)
    parameters = {
        "workspace": "s3://films/ws",
        "source": {"folder": str(material.videos)},
        "profile": str(material.profile),
        "engine": {"kind": "ray", "ray_address": "ray://head:10001", "cpu_slots": 2, "gpu_slots": 2},
    }
    words = ("deployment", "run", "build-mask-dataset/build-mask-dataset", "--watch", "--params")
    client = {"PREFECT_API_URL": "http://head:4200/api", "PREFECT_API_AUTH_STRING": PASSWORD}
    started = time.monotonic()
    head.run(*PREFECT, *words, json.dumps(parameters), known=client, timeout_s=900)
    say(f"Ray on {head.name} and {second.name}: {time.monotonic() - started:.0f} s")
    found = s3_server.versions(bucket["AWS_ENDPOINT_URL"], "films")
    leases = {(key, json.loads(one)["owner"]) for key, bodies in found.items() if "/locks/" in key for one in bodies}
    parts = {name: sum(owner.endswith(f" on {name}") for _, owner in leases) for name in (head.name, second.name)}
    say(f"parts finished per host: {parts}")
    assert min(parts.values()) >= 3
    check(head, bucket, material.digest)


def check(head: Host, bucket: dict[str, str], digest: str) -> None:
    """The dataset of the undisturbed run, every file as recorded, and no part that was published twice."""
    found = s3_server.versions(bucket["AWS_ENDPOINT_URL"], "films")
    pointer = json.loads(found["ws/heads/dataset.json"][0])
    say(f"digest {pointer['digest']}, undisturbed on one host {digest}")
    assert pointer["digest"] == digest
    markers = {key: len(contents) for key, contents in found.items() if key.startswith("ws/done/")}
    files = {key: len(set(one)) for key, one in found.items() if key.startswith(("ws/rows/", "ws/blobs/"))}
    say(f"{len(markers)} markers and {len(files)} files, each with one content")
    assert set(markers.values()) == {1}
    assert set(files.values()) == {1}
    say(head.run(*MVIDEO, "verify", "-w", "s3://films/ws", "--deep", known=bucket).strip().splitlines()[-1])


def test_two_hosts_train_as_one(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    """torchrun's rendezvous over both, gloo between them; the same global batch as one process."""
    import torch

    from mvideo_core.base.options import merge
    from tests.fixtures.drawn_latents import draw_latents
    from tests.mvideo_core.training.conftest import TINY
    from tests.mvideo_core.training.test_processes import weights

    torch.set_num_threads(1)
    latents = draw_latents(tmp_path / "latents")
    outs = {"alone": tmp_path / "alone", "pair": tmp_path / "pair"}
    places = {"data": {"latents": str(latents)}, "steps": 3, "micro_batch": 1}
    options = merge(TINY, places)
    profile = tmp_path / "tiny.yaml"
    profile.write_text(
        yaml.safe_dump(TrainOptions.parse({**options, "out": "x"}).model_dump(mode="json", exclude={"out"}))
    )
    known = {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1"}
    words = (*MVIDEO, "train", "run")
    several = ("-s", "launch.nodes=2", "-s", "launch.rendezvous=head:29500")
    running = [
        subprocess.Popen(
            host.command(*words, str(outs["pair"]), "-p", str(profile), *several), env=host.environment(known),
            cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for host in hosts
    ]  # fmt: skip
    said = [process.communicate(timeout=600)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    hosts[0].run(*words, str(outs["alone"]), "-p", str(profile), known=known)
    logs = sorted(path.name for path in (outs["pair"] / "launch").glob("*.log"))
    say(f"logs of {logs}")
    assert logs == ["head.log", "second.log"]
    pair, alone = (weights(TrainOptions.parse({**options, "out": str(out)})) for out in (outs["pair"], outs["alone"]))
    names = [name for name in alone if name.startswith("adapter")]
    assert names
    for name in names:  # three steps of 1e-3: 0.7% of the way that Adam can go
        torch.testing.assert_close(pair[name], alone[name], rtol=0, atol=2e-5)


def say(line: str) -> None:
    """A line for `make hosts`, which shows it."""
    print(line, flush=True)
