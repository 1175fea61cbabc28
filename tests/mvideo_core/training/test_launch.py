"""More processes than GPUs: refused before anything is loaded, with the ways out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.training.launch import check_processes, launch
from mvideo_core.training.options import TrainOptions, load_profile


def test_a_profile_for_more_gpus_names_three_ways_out() -> None:
    with pytest.raises(ConfigError) as error:
        check_processes(load_profile("mvideo-2b"), gpus=3)
    said = str(error.value)
    assert "launch.processes is 8 and this machine has 3 GPUs" in said
    # 32 is no multiple of 3, so two GPUs are used: 16 micro-batches a step, or 8 machines.
    assert "(1) fewer processes and accumulation (16 micro-batches a step): launch.processes=2 launch.nodes=1" in said
    assert "(2) the profile mvideo-2b-1gpu" in said
    assert "(3) more machines like this one: launch.processes=2 launch.nodes=8 launch.rendezvous=HOST:PORT" in said
    assert "(4)" not in said


def test_what_fits_is_let_through() -> None:
    check_processes(load_profile("mvideo-5b"), gpus=8)
    check_processes(load_profile("mvideo-5b-1gpu"), gpus=1)
    check_processes(load_profile("mini"), gpus=0)
    check_processes(load_profile("mini", {"launch": {"processes": 2}, "distributed": {"device": "cpu"}}), gpus=0)
    with pytest.raises(ConfigError, match=r"has 0 GPUs.*\(3\) no GPU at all, slow: distributed.device=cpu"):
        check_processes(load_profile("mini", {"launch": {"processes": 2}}), gpus=0)


def test_the_launcher_refuses_before_it_makes_a_folder(
    tiny: Callable[..., TrainOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    chosen = tiny(launch={"processes": 2}, distributed={"device": "auto"})
    with pytest.raises(ConfigError, match=r"launch.processes is 2 and this machine has 1 GPU. Options"):
        launch(chosen)
    assert not Path(chosen.out).exists()


@pytest.mark.parametrize(
    ("rendezvous", "message"),
    [("node.invalid:29500", "the host 'node.invalid' cannot be resolved"), ("node0", "host:port of one machine")],
)
def test_a_meeting_place_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, rendezvous: str, message: str
) -> None:
    where = {"nodes": 2, "rendezvous": rendezvous, "processes": 1}
    options = TrainOptions.parse({"out": str(tmp_path / "run"), "launch": where, "distributed": {"device": "cpu"}})
    with pytest.raises(ConfigError, match=message):
        launch(options)
    assert not (tmp_path / "run").exists()
