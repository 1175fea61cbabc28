from pathlib import Path

import pytest

from mvideo.deployments._environment import FOLDER, default_environment, load_environment
from mvideo.deployments.stack import Stack, free_port
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.gpus import gpu_ids


def test_one_worker_per_gpu_and_one_without_on_a_cpu_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    plans = {plan.name: plan.cuda for plan in Stack(tmp_path, "gpu-host").plan_workers()}
    assert plans == {"orchestrator": "", "cpu": "", "gpu-2": "2", "gpu-5": "5", "trainer": "2,5"}
    assert default_environment() == "gpu-host"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_ids() == []
    plans = {plan.name: plan.cuda for plan in Stack(tmp_path, "gpu-host").plan_workers()}
    assert plans == {"orchestrator": "", "cpu": "", "gpu": "", "trainer": ""}
    assert default_environment() == "laptop"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_machine_with_a_server_has_workers_on_every_queue(path: Path) -> None:
    environment = load_environment(path.stem)
    served = {queue for worker in environment.workers for queue in worker.queues}
    assert served >= set(environment.queues) - (set() if environment.server else {"orchestrate"})


def test_gpu_all_sees_every_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    plans = {plan.name: plan.cuda for plan in Stack(tmp_path, "laptop").plan_workers()}
    assert plans["orchestrator"] == "0,1"


def test_a_silence_shorter_than_three_heartbeats_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hasty.yaml"
    path.write_text("{silent_s: 80}")
    with pytest.raises(ConfigError, match="silent_s: Input should be greater than or equal to 90; seen 80"):
        load_environment(str(path))


def test_a_server_for_other_hosts_needs_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    path = tmp_path / "open.yaml"
    path.write_text("{host: 0.0.0.0}")
    with pytest.raises(ConfigError, match=r"host is 0\.0\.0\.0, but there is no password; set PREFECT_SERVER_API_AUTH"):
        Stack(tmp_path / "state", str(path), port=0).up()


def test_runs_get_the_address_at_which_other_hosts_reach_the_server(tmp_path: Path) -> None:
    path = tmp_path / "head.yaml"
    path.write_text("{host: 0.0.0.0, api_url: 'http://head:4200/api/'}")
    stack = Stack(tmp_path / "state", str(path), port=4321)
    assert stack.settings["PREFECT_API_URL"] == "http://head:4200/api"
    assert "//127.0.0.1:" in stack.url  # what `up` itself asks


def test_an_address_of_a_server_for_this_machine_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unclear.yaml"
    path.write_text("{api_url: 'http://head:4200/api'}")
    with pytest.raises(
        ConfigError, match=r"api_url is http://head:4200/api, but .* for this machine alone; set server"
    ):
        load_environment(str(path))


def test_a_taken_port_is_refused_if_other_hosts_know_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "mvideo:correct-horse")
    path = tmp_path / "head.yaml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path.write_text(f"{{host: 0.0.0.0, port: {port}, api_url: 'http://head:{port}/api'}}")
        with pytest.raises(ConfigError, match=f"port {port} is taken, so that http://head:{port}/api would be another"):
            Stack(tmp_path / "state", str(path)).up()


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="gpu-host, laptop, multi-node, ray-cluster"):
        load_environment("cloud")


def test_worker_hosts_need_the_servers_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(ConfigError, match="set the address of the server"):
        _ = Stack(tmp_path, "multi-node").url
    monkeypatch.setenv("PREFECT_API_URL", "http://head:4200/api/")
    assert Stack(tmp_path, "multi-node").url == "http://head:4200/api"


def test_a_taken_port_gives_way_to_a_free_one() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
