import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from mvideo.flows._engine import Scheduler, open_engine
from mvideo.flows._steps import EngineOptions, Step
from mvideo_core.base.errors import ModelError
from mvideo_core.store.workspace import Workspace
from tests.flows.toy import ToyOptions, digests, planned, toy_a, toy_b, toy_gpu

ray = pytest.importorskip("ray", reason="extra ray is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A local Ray with two GPUs that do not exist: Ray hands out their numbers all the same."""
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    root = str(Path(__file__).resolve().parents[2])
    environment = {"env_vars": {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}}
    ray.init(
        num_cpus=2, num_gpus=2, include_dashboard=False, _node_ip_address="127.0.0.1",
        runtime_env=environment, log_to_driver=False, object_store_memory=80 * 2**20,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server", "cluster")
def test_flow_on_ray_with_two_fictitious_gpus(tmp_path: Path) -> None:
    log = tmp_path / "devices.txt"
    url, n_parts = planned(tmp_path, [f"v{i}" for i in range(16)], part_size=4)
    options = ToyOptions(log=str(log))
    steps = [
        Step("toy-a", toy_a, ToyOptions(), ("source",), "cpu"),
        Step("toy-gpu", toy_gpu, options, ("toy-a",), "gpu"),
        Step("toy-b", toy_b, ToyOptions(weights=False), ("toy-a",), "gpu"),
    ]
    engine = EngineOptions(kind="ray", cpu_slots=2, gpu_slots=2, parts_per_run=2, ray_cpus_per_task=0.5)

    @flow(name="toy-on-ray")
    def on_ray() -> None:
        with open_engine(engine, jobs=1) as running:
            Scheduler(running, steps, url, range(n_parts), 0.2).run()

    with pytest.raises(ModelError, match="toy weights are missing"):  # the error's class survives the way back from Ray
        on_ray()
    assert len(digests(url, "toy-gpu", n_parts)) == 4
    assert Workspace(url).current("toy-b", 0) is None
    lines = [line.split() for line in log.read_text().splitlines()]
    assert {gpu for _, gpu in lines} == {"0", "1"}
    assert len({pid for pid, _ in lines}) == 2  # two slices of two parts: weights were loaded twice, not four times
