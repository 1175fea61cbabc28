"""The loss of the real transformer at a tiny size, against the same numbers taken apart."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from mvideo_core.training import main
from mvideo_core.training.distributed import World
from mvideo_core.training.losses import squared_error
from mvideo_core.training.options import TrainOptions

ALONE = World(0, 0, 1, torch.device("cpu"))


@pytest.fixture
def trained(tiny: Callable[..., TrainOptions]) -> Iterator[Callable[..., Any]]:
    """A trainer after one large step, so that adapters and mask weight are not zero."""
    closing = []

    def make(**values: Any) -> Any:
        rate = {"optimizer": {"rate": {"peak": 0.05, "warmup_steps": 0}}}
        trainer, close = main.build(tiny(**values, **rate), ALONE)
        closing.append(close)
        trainer.train_step()
        return trainer

    yield make
    for close in closing:
        close()


def test_the_error_of_each_sample_is_a_plain_mean() -> None:
    """(1 + 9) / 2 and (0 + 4) / 2."""
    one = torch.tensor([[1.0, 3.0], [0.0, 2.0]])
    assert squared_error(one, torch.zeros(2, 2)).tolist() == [5.0, 2.0]


def test_the_target_is_the_velocity_and_the_total_is_diffusion_plus_alpha_consistency(trained: Any) -> None:
    trainer = trained(consistency={"alpha": 0.5}, draws={"history_none": 0.0})
    objective, batch = trainer.objective, next(trainer.feed.step(1))
    signal, sigma = (
        table[batch.timestep_B].view(-1, 1, 1, 1, 1)
        for table in (objective.schedule.signal_T, objective.schedule.sigma_T)
    )
    x_t = signal * batch.x0_BFCHW + sigma * batch.noise_BFCHW
    v = signal * batch.noise_BFCHW - sigma * batch.x0_BFCHW
    with torch.no_grad():
        student, taught = objective.predict(x_t, batch, True), objective.teach(x_t, batch)
        losses = objective.loss(batch)
    diffusion, consistency = (student - v).square().mean(), (student - taught).square().mean()
    assert consistency > 1e-4
    torch.testing.assert_close(losses.parts["diffusion"], diffusion)
    torch.testing.assert_close(losses.parts["consistency"], consistency)
    torch.testing.assert_close(losses.total, diffusion + 0.5 * consistency)


def test_extra_forward_compares_predictions_without_conditions(trained: Any) -> None:
    trainer = trained(consistency={"prediction": "extra_forward"}, draws={"history_none": 0.0})
    objective, batch = trainer.objective, next(trainer.feed.step(1))
    x_t = objective.schedule.noisy(batch.x0_BFCHW, batch.noise_BFCHW, batch.timestep_B)
    with torch.no_grad():
        bare, taught = objective.predict(x_t, batch, False), objective.teach(x_t, batch)
        losses = objective.loss(batch)
    torch.testing.assert_close(losses.parts["consistency"], (bare - taught).square().mean())
    assert losses.parts["consistency"] > 0


def test_dropped_masks_are_zeros_and_dropped_text_is_the_empty_prompt(trained: Any) -> None:
    trainer = trained(draws={"mask": 1.0, "text": 1.0, "history_none": 1.0})
    assert trainer.feed.samples.get(0).mask_FCHW.any()
    batch = next(trainer.feed.step(1))
    assert batch.appearance_BFCHW is None
    assert batch.motion_BFCHW is None
    assert not batch.mask_BFCHW.any()
    assert not batch.text_BLC.any()  # the drawn cache's empty prompt is zeros


def test_the_teacher_is_skipped_on_the_steps_between(trained: Any) -> None:
    trainer = trained(consistency={"every": 2})
    assert trainer.train_step()["train/loss_consistency"] == 0.0
    assert trainer.train_step()["train/loss_consistency"] > 0.0
