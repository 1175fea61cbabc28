"""What the mini trainings share, on a network of one number: step, mean, curve, checkpoint."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mvideo_core.base.errors import ConfigError, StoreError, TrainError
from mvideo_core.miniworld.training.option_values import option_values
from mvideo_core.miniworld.training.running_mean import copy_weights, hold, move_mean
from mvideo_core.miniworld.training.timed_run import TimedRun


class OneNumber(TimedRun):
    """Plain gradient descent from w = 1."""

    checkpoint_file, curve_file = "one.pt", "one.jsonl"

    def __init__(self, out: Path):
        self.out, self.w = out, torch.nn.Parameter(torch.ones(1))
        self.mean = {"w": self.w.detach().clone()}
        self.optimizer = torch.optim.SGD([self.w], lr=0.5)

    def weights(self) -> dict[str, Tensor]:
        return {"w": self.w.detach()}

    def take_weights(self, weights: dict[str, Tensor]) -> None:
        copy_weights({"w": self.w}, weights)

    def average(self) -> None:
        move_mean(self.mean, {"w": self.w}, 0.5, self.step)


@pytest.fixture
def run(tmp_path: Path) -> OneNumber:
    return OneNumber(tmp_path)


def test_a_step_by_hand(run: OneNumber) -> None:
    """Gradient 10 is clipped to 1: w goes from 1 to 0.5; the mean keeps a tenth of itself: 0.1 + 0.9 * 0.5."""
    assert run.descend((10 * run.w).sum(), [run.w]) == 10
    assert run.w.item() == pytest.approx(0.5, abs=1e-5)
    assert float(run.mean["w"]) == pytest.approx(0.55, abs=1e-5)
    assert run.step == 1


def test_decay_has_a_limit() -> None:
    mean = {"w": torch.zeros(1)}
    move_mean(mean, {"w": torch.ones(1)}, 0.75, 1000)
    assert float(mean["w"]) == 0.25


def test_a_loss_that_is_not_finite_changes_nothing(run: OneNumber) -> None:
    with pytest.raises(TrainError, match="nan at step 0"):
        run.descend((run.w * float("nan")).sum(), [run.w])
    assert (run.w.item(), float(run.mean["w"]), run.step) == (1, 1, 0)


def test_a_line_of_the_curve(run: OneNumber) -> None:
    run.step, run.seconds = 7, 90.0
    run.report({"phase": "a", "loss": 0.1234567, "norm": np.float32(0.5), "bins": [0.1234567]})
    line = '{"step": 7, "min": 1.5, "phase": "a", "loss": 0.12346, "norm": 0.5, "bins": [0.1234567]}'
    assert (run.out / "one.jsonl").read_text() == line + "\n"


def test_resuming(run: OneNumber) -> None:
    assert not run.resume()
    run.descend((10 * run.w).sum(), [run.w])
    run.seconds = 3.5
    run.save()
    again = OneNumber(run.out)
    assert again.resume()
    assert (again.step, again.seconds) == (1, 3.5)
    assert torch.equal(again.w, run.w)
    assert torch.equal(again.mean["w"], run.mean["w"])


@pytest.mark.parametrize("kind", ["another size", "another training", "cut off", "garbage", "a list"])
def test_a_checkpoint_that_cannot_be_used_is_one_line(run: OneNumber, kind: str) -> None:
    run.save()
    path = run.out / "one.pt"
    whole, error, line = path.read_bytes(), StoreError, "not a readable checkpoint"
    if kind == "another size":
        torch.save(run.state() | {"weights": {"w": torch.ones(7)}}, path)
        error, line = ConfigError, "a checkpoint of another size or training"
    elif kind == "another training":
        torch.save({"vae": {}}, path)
        error, line = ConfigError, "a checkpoint of another size or training ('weights')"
    elif kind == "a list":
        torch.save([1], path)
        line = "not a checkpoint (list)"
    else:
        path.write_bytes(whole[: len(whole) // 2] if kind == "cut off" else b"garbage")
    with pytest.raises(error) as caught:
        run.resume()
    said = str(caught.value)
    assert said.startswith(f"{path}: {line}")
    assert said.endswith("another --out, or delete the file")
    assert "\n" not in said
    assert "weights_only" not in said
    assert (run.step, run.w.item()) == (0, 1)


def test_options_of_the_command_line() -> None:
    assert option_values(["minutes=2.5", 'name="a=b"'], "--set") == {"minutes": 2.5, "name": "a=b"}
    for wrong in ("minutes", "minutes=", "name=x"):
        with pytest.raises(ConfigError, match=f"^--set {wrong}: expected NAME=VALUE"):
            option_values([wrong], "--set")


def test_other_weights_for_a_while(run: OneNumber) -> None:
    with hold({"w": run.w}, {"w": torch.full((1,), 5.0)}):
        assert run.w.item() == 5
    assert run.w.item() == 1
