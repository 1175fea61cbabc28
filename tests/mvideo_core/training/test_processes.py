"""Real child processes: killed, stopped and resumed; two gloo ranks. Few starts, since each imports torch."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mvideo_core.base.errors import TrainError
from mvideo_core.training import main
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.checkpoint import list_complete
from mvideo_core.training.launch import command, launch, read_error
from mvideo_core.training.options import TrainOptions

Make = Callable[..., TrainOptions]


def weights(options: TrainOptions) -> dict[str, torch.Tensor]:
    """All tensors of the newest complete checkpoint, by file and name."""
    newest = list_complete(Path(options.out) / "checkpoints")[-1]
    files = newest.rglob("*.safetensors")
    return {f"{file.relative_to(newest)} {key}": one for file in files for key, one in load_file(file).items()}


@pytest.mark.slow
def test_killed_started_anew_stopped_and_resumed_ends_with_the_bits_of_an_unbroken_run(
    tiny: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL once step 25 is seen (checkpoints every 20): a new start; a stop at step 45; then to the end.

    Steps take milliseconds: there are enough of them that the launcher sees the first ones long before the last.
    """
    monkeypatch.setattr("mvideo_core.training.launch.POLL_S", 0.01)
    more: dict[str, Any] = {"steps": 120, "checkpoints": {"every": 20}}
    unbroken, broken = tiny("unbroken", **more), tiny("broken", **more, launch={"restarts": 1})
    killed, stop = [], threading.Event()

    def watch(line: dict[str, Any]) -> None:
        if line["step"] >= 25 and not killed:
            killed.append(int((Path(broken.out) / ".lock").read_text()))
            os.kill(killed[0], signal.SIGKILL)
        elif line["step"] >= 45:
            stop.set()

    report = launch(broken, watch, stop)
    assert killed
    assert 45 <= report.step < 120
    assert [line["step"] for line in read_metrics(broken.out)] == list(range(1, report.step + 1))
    main.train(broken)
    main.train(unbroken)
    one, other = weights(unbroken), weights(broken)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def two_ranks(latents: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainOptions]:
    """One torchrun of two_ranks.py: a run of three steps, then one that meets a NaN on the second rank."""
    import yaml

    from mvideo_core.base.options import merge
    from tests.mvideo_core.training.conftest import TINY

    folder = tmp_path_factory.mktemp("two")
    places = {"out": str(folder / "pair"), "data": {"latents": str(latents)}, "steps": 3, "micro_batch": 1}
    places |= {"launch": {"processes": 2}, "validation": {"every": 3, "bins": 2}}
    options = TrainOptions.parse(merge(TINY, places))
    config = folder / "run.yaml"
    config.write_text(yaml.safe_dump(options.model_dump(mode="json")))
    line = command(options, config)
    line[line.index("-m", 3) + 1] = "tests.mvideo_core.training.two_ranks"
    done = subprocess.run(line, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stdout + done.stderr
    assert line[0] == sys.executable
    return folder, options


def test_two_gloo_ranks_equal_one(two_ranks: tuple[Path, TrainOptions], tiny: Make) -> None:
    """Same global batch. Losses to 1e-5; weights to 2e-5 after three steps of 1e-3, 0.7 % of the way Adam can go."""
    _, pair = two_ranks
    alone = tiny("alone", steps=3, micro_batch=1, validation={"every": 3, "bins": 2})
    main.train(alone)
    names = ("train/loss", "train/loss_consistency", "train/grad_norm")
    for one, two in zip(read_metrics(alone.out), read_metrics(pair.out), strict=True):
        for name in (*names, *(key for key in one if key.startswith("val/"))):
            assert two[name] == pytest.approx(one[name], rel=1e-4, abs=1e-6), name
    one, two = weights(alone), weights(pair)
    assert one.keys() == two.keys()
    for name in (name for name in one if name.startswith("adapter")):
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=2e-5)


def test_a_nan_on_one_rank_stops_both_in_the_same_step(two_ranks: tuple[Path, TrainOptions]) -> None:
    folder, _ = two_ranks
    said = [(folder / f"rank-{rank}.txt").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert "step 1: loss nan" in said[0]
    assert "non-finite tensor: latents of sample clip" in said[0]
    assert "(rank 1)" in said[0]
    assert "rank 0" not in said[0]


def test_what_the_training_said_is_raised_as_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "rank-1.json").write_text('{"kind": "TrainError", "message": "step 3: loss nan"}')
    error = read_error(tmp_path)
    assert isinstance(error, TrainError)
    assert str(error) == "step 3: loss nan"
    assert read_error(tmp_path / "other") is None
    (tmp_path / "errors" / "rank-1.json").write_text('{"kind": "RankLost", "message": "another process"}')
    assert read_error(tmp_path) is None
