"""Trainings with sloppy masks and weights inside and outside the mask: which tensors a step sees, and the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.training import main
from mvideo_core.training.callbacks.metrics import read_metrics
from mvideo_core.training.draws import draw_step
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.sample_order import rank_slots
from tests.fixtures.drawn_latents import draw_latents
from tests.mvideo_core.training.test_training import ALONE, drop_times, same_bits, weights

Make = Callable[..., TrainOptions]
ON: dict[str, Any] = {"draws": {"sloppy_mask": 0.5}, "mask_loss": {"inside": 3.0}}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package's latents with two sloppy masks and the coverage of each window."""
    return str(draw_latents(tmp_path_factory.mktemp("latents") / "rich", n_sloppy=2, coverage=True))


def test_off_the_bits_are_those_of_latents_without_sloppy_masks(tiny: Make, rich: str) -> None:
    plain, unused = tiny("plain", steps=2), tiny("unused", steps=2, data={"latents": rich})
    used = tiny("used", steps=2, data={"latents": rich}, **ON)
    for run in (plain, unused, used):
        main.train(run)
    assert same_bits(weights(plain), weights(unused))
    assert not same_bits(weights(plain), weights(used))
    lines = [[drop_times(line) for line in read_metrics(run.out)[1:]] for run in (plain, unused)]
    assert lines[0] == lines[1]


def test_stop_and_resume_equals_straight_through_with_both(tiny: Make, rich: str) -> None:
    straight, broken = tiny("straight", data={"latents": rich}, **ON), tiny("broken", data={"latents": rich}, **ON)
    main.train(straight)
    main.train(broken.model_copy(update={"steps": 2}))
    main.train(broken)
    assert same_bits(weights(straight), weights(broken))


def test_each_slot_sees_the_mask_that_was_drawn_for_it_however_the_batch_is_split(tiny: Make, rich: str) -> None:
    options = tiny(data={"latents": rich}, draws={"sloppy_mask": 0.5, "mask": 0.0}, global_batch=8)
    trainer, close = main.build(options, ALONE)
    feed: Any = trainer.feed
    seen = set()
    for step in range(4):
        drawn = draw_step(options.draws, feed.make.schedule, options.seed, step, 8, n_sloppy=2)
        assert drawn.sloppy_G is not None
        samples = [feed.samples.get(index) for index in feed.order.step(step)]
        for world_size in (1, 2, 4):
            for rank in range(world_size):
                for slots in rank_slots(8, 2, rank, world_size):
                    batch = feed.make(step, slots, [samples[slot] for slot in slots])
                    for slot, mask in zip(slots, batch.mask_BFCHW, strict=True):
                        variant = int(drawn.sloppy_G[slot])
                        one = samples[slot]
                        own = one.mask_FCHW if variant < 0 else one.sloppy_KFCHW[variant]
                        assert torch.equal(mask, feed.make.scaling * own.float())
                        seen.add(variant)
    close()
    assert seen == {-1, 0, 1}


def test_the_loss_is_weighted_by_the_own_masks_coverage_and_the_consistency_loss_is_not(tiny: Make, rich: str) -> None:
    trainer, close = main.build(tiny(data={"latents": rich}, **ON, optimizer={"rate": {"peak": 0.05}}), ALONE)
    trainer.train_step()
    objective: Any = trainer.objective
    batch: Any = next(trainer.feed.step(1))
    plain = type(batch)(**{name: getattr(batch, name) for name in batch.__slots__ if name != "weight_BFHW"})
    with torch.no_grad():
        weighted, even = objective.sample_losses(batch), objective.sample_losses(plain)
        x_t = objective.schedule.noisy(batch.x0_BFCHW, batch.noise_BFCHW, batch.timestep_B)
        v = objective.schedule.velocity(batch.x0_BFCHW, batch.noise_BFCHW, batch.timestep_B)
        error_BFHW = (objective.predict(x_t, batch, True) - v).square().mean(2)
    drawn = draw_step(trainer.feed.make.draws, objective.schedule, 0, 1, 4, n_sloppy=2)
    samples = [trainer.feed.samples.get(index) for index in trainer.feed.order.step(1)[:2]]
    close()
    for n, sample in enumerate(samples):
        cells = torch.ones(error_BFHW.shape[1:]) if drawn.drop_mask_G[n] else 1 + 2 * sample.coverage_FHW.float() / 255
        wanted = (error_BFHW[n] * cells).sum() / cells.sum()
        torch.testing.assert_close(weighted.diffusion_B[n], wanted)
    assert not torch.equal(weighted.diffusion_B, even.diffusion_B)
    assert torch.equal(weighted.consistency_B, even.consistency_B)


def test_validation_is_plain_and_under_the_own_masks(tiny: Make, rich: str, latents: Path) -> None:
    """At step 0 both models are the same, so the validation loss is."""
    values = []
    for folder, more in ((str(latents), {}), (rich, ON)):
        options = tiny(data={"latents": folder}, validation={"every": 1, "bins": 2}, **more)
        trainer, close = main.build(options, ALONE)
        validation = next(one for one in trainer.callbacks if hasattr(one, "measure"))
        values.append(validation.measure(trainer))
        close()
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"draws": {"sloppy_mask": 0.5}},
            r"draws\.sloppy_mask is 0\.5, and these latents have no sloppy masks; encode again with `mvideo encode "
            r"--set sloppy\.variants=2`, or set draws\.sloppy_mask to 0$",
        ),
        (
            {"mask_loss": {"inside": 4.0}},
            r"mask_loss is 4 inside and 1 outside, and these latents have no coverage of the masks; encode again with "
            r"`mvideo encode --set store_coverage=true`, or make both equal$",
        ),
    ],
)
def test_latents_without_what_is_asked_for_are_refused_in_one_line(tiny: Make, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        main.train(tiny(**more))


def test_resuming_with_other_weights_or_share_is_refused(tiny: Make, rich: str) -> None:
    main.train(tiny(steps=1, data={"latents": rich}))
    with pytest.raises(
        ConfigError, match=r"draws\.sloppy_mask: 0\.0 then, 0\.5 now, mask_loss\.inside: 1\.0 then, 3\.0 now"
    ):
        main.train(tiny(data={"latents": rich}, **ON))
