"""The shipped profiles against the paper, and the command lines that start processes."""

import sys
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.training.launch import command
from mvideo_core.training.options import load_profile

SIZES = [("mvideo-2b", 32, 16), ("mvideo-5b", 64, 32), ("mvideo-2b-1gpu", 32, 1), ("mvideo-5b-1gpu", 64, 1)]


@pytest.mark.parametrize(("name", "batch", "gpus"), SIZES)
def test_the_large_profiles_have_the_papers_figures(name: str, batch: int, gpus: int) -> None:
    """Section 4.1 for 5b, the ablations of section 4.3 for 2b."""
    options = load_profile(name)
    assert (options.global_batch, options.launch.processes * options.launch.nodes) == (batch, gpus)
    assert (options.steps, options.optimizer.rate.peak, options.consistency.alpha) == (10_000, 2e-4, 1.0)
    assert options.base.weights == f"cogvideox-{name[7:9]}"
    assert batch % (gpus * options.micro_batch) == 0


def test_one_process_is_started_plainly_and_several_by_torchrun() -> None:
    config = Path("run.yaml")
    entry = ["-m", "mvideo_core.training.main", "--config", "run.yaml"]
    assert command(load_profile("mini"), config) == [sys.executable, *entry]
    two = command(load_profile("mini", {"launch": {"processes": 2}}), config)
    assert two[1:6] == ["-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2", "--standalone"]
    assert two[6:] == entry
    many = command(load_profile("mvideo-5b", {"launch": {"rendezvous": "node0:29500"}}), config)
    assert {"--nnodes=4", "--nproc-per-node=8", "--rdzv-backend=c10d", "--rdzv-endpoint=node0:29500"} <= set(many)
    with pytest.raises(ConfigError, match=r"launch\.nodes is 4 and launch\.rendezvous is empty"):
        command(load_profile("mvideo-5b"), config)


def test_steps_fix_the_course_only_where_the_rate_depends_on_them() -> None:
    constant, longer = load_profile("mini"), load_profile("mini", {"steps": 999})
    assert constant.course() == longer.course()
    cosine = {"optimizer": {"rate": {"shape": "cosine"}}}
    assert load_profile("mini", cosine).course() != load_profile("mini", cosine | {"steps": 999}).course()


def test_a_key_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate"):
        load_profile("mini", {"optimizer": {"learning_rate": 1e-4}})
    with pytest.raises(ConfigError, match="one of: mini, mvideo-2b, mvideo-2b-1gpu, mvideo-5b, mvideo-5b-1gpu"):
        load_profile("maxi")


@pytest.mark.parametrize(("visible", "n"), [("", 2), ("0", 1), ("0,1,2", 2), ("0,1,2,3,4,5,6,7", 4)])
def test_processes_follow_the_gpus(visible: str, n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    """One per GPU, as far as 8 samples can be dealt out two at a time."""
    batch = {"global_batch": 8, "micro_batch": 2}
    options = load_profile("mini", batch | {"launch": {"processes": 0, "cpu_processes": 2}})
    line = command(options, tmp_path / "run.yaml")
    assert [word for word in line if word.startswith("--nproc")] == ([f"--nproc-per-node={n}"] if n > 1 else [])


@pytest.mark.parametrize(("precision", "base"), [("fp32", "bf16"), ("fp32", "fp16"), ("bf16", "fp16")])
def test_types_that_cannot_be_trained_together_are_refused_with_the_pairs_that_can(precision: str, base: str) -> None:
    values = {"execution": {"precision": precision}, "base": {"dtype": base}}
    with pytest.raises(ConfigError) as refused:
        load_profile("mini", values)
    assert str(refused.value) == (
        f"values over the profile mini: execution.precision {precision} does not train with base.dtype {base}; "
        "allowed: bf16 with bf16 or fp32, fp32 with fp32"
    )
