"""What is random in a step, and the weights of the consistency loss."""

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from mvideo_core.cogvideox.schedule import Schedule
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.training.draws import DrawOptions, StepDraws, draw_step
from mvideo_core.training.losses import ConsistencyOptions, consistency_weights

FLAT = Schedule(torch.ones(1000), torch.zeros(1000))


def drawn(
    step: int = 0, history: str = "none", masks_dropped: tuple[bool, ...] = (True, False, False, True)
) -> StepDraws:
    dropped = torch.tensor(masks_dropped)
    return StepDraws(step, history, torch.zeros(len(dropped)), None, dropped, dropped)  # type: ignore[arg-type]


def test_shares_of_2000_steps_are_those_asked_for() -> None:
    """No history 0.3; of the rest 0.15 the last frame alone: 0.105. Limits: three standard deviations."""
    steps = [draw_step(DrawOptions(), FLAT, 0, step, 4) for step in range(2000)]
    share = {name: sum(one.history == name for one in steps) / 2000 for name in ("none", "appearance", "both")}
    assert abs(share["none"] - 0.3) < 0.031
    assert abs(share["appearance"] - 0.105) < 0.021
    masks = torch.stack([one.drop_mask_G for one in steps]).float().mean()
    texts = torch.stack([one.drop_text_G for one in steps]).float().mean()
    assert abs(masks - 0.15) < 0.012
    assert abs(texts - 0.10) < 0.01


def test_draws_without_sloppy_masks_are_those_of_before() -> None:
    """Taken from the version before sloppy masks."""
    one = draw_step(DrawOptions(), FLAT, 7, 0, 8)
    assert (one.history, one.timestep_G.tolist()) == ("both", [695, 829, 318, 217, 473, 31, 501, 935])
    assert (one.drop_mask_G.nonzero().flatten().tolist(), one.drop_text_G.nonzero().flatten().tolist()) == ([5, 7], [7])
    assert one.sloppy_G is None
    assert draw_step(DrawOptions(), FLAT, 7, 0, 8, n_sloppy=2).sloppy_G is None
    assert draw_step(DrawOptions(sloppy_mask=0.5), FLAT, 7, 0, 8).sloppy_G is None


def test_the_share_of_sloppy_masks_and_each_of_them_is_the_one_asked_for() -> None:
    """8000 samples, 0.4 of them, three masks: 1067 each, standard deviation 30. No other draw is moved by it."""
    options = DrawOptions(sloppy_mask=0.4)
    steps = [draw_step(options, FLAT, 0, step, 4, n_sloppy=3) for step in range(2000)]
    found = torch.stack([one.sloppy_G for one in steps])  # type: ignore[misc]
    counts = torch.bincount(found.flatten() + 1, minlength=4)
    assert counts[1:].tolist() == pytest.approx([1067] * 3, abs=90)
    assert counts.sum() == 8000
    dropped = torch.stack([one.drop_mask_G for one in steps])
    assert (found[dropped] >= 0).float().mean() == pytest.approx(0.4, abs=0.05)
    for one, plain in zip(steps[:20], (draw_step(DrawOptions(), FLAT, 0, step, 4) for step in range(20)), strict=True):
        assert torch.equal(one.timestep_G, plain.timestep_G)
        assert torch.equal(one.drop_mask_G, plain.drop_mask_G)
        assert torch.equal(one.drop_text_G, plain.drop_text_G)
        assert one.history == plain.history
    always = draw_step(DrawOptions(sloppy_mask=1), FLAT, 0, 0, 64, n_sloppy=2).sloppy_G
    assert always is not None
    assert set(always.tolist()) == {0, 1}


def test_every_stratum_of_the_global_batch_has_one_timestep() -> None:
    one = draw_step(DrawOptions(), FLAT, 0, 5, 8)
    assert sorted((one.timestep_G // 125).tolist()) == list(range(8))


@pytest.mark.parametrize("size", ["cogvideox-2b", "cogvideox-5b", "mini-sincos"])
def test_noise_on_the_history_is_uniform_in_sigma_for_every_base(size: str) -> None:
    """Up to 0.34; what is below the noise of t = 0 (0.05 in 2b, 0.03 in the others) becomes that."""
    alpha_bar = CogVideoXDDIMScheduler(**SIZES[size].scheduler).alphas_cumprod.double()
    schedule = Schedule(alpha_bar.sqrt().float(), (1 - alpha_bar).sqrt().float())
    drawn = draw_step(DrawOptions(history_none=0), schedule, 0, 0, 4000).history_timestep_G
    assert drawn is not None
    sigma = (1 - alpha_bar[drawn]).sqrt()
    least = (1 - alpha_bar[0]).sqrt().item()
    mean, square = (0.34**2 + least**2) / (2 * 0.34), (0.34**3 + 2 * least**3) / (3 * 0.34)
    assert sigma.mean().item() == pytest.approx(mean, abs=0.005)
    assert sigma.std().item() == pytest.approx((square - mean**2) ** 0.5, abs=0.003)
    assert 0.33 < sigma.max() < 0.342
    assert draw_step(DrawOptions(history_none=0, history_sigma=0), schedule, 0, 0, 4).history_timestep_G is None


def test_draws_depend_on_seed_and_step_alone() -> None:
    first, again, other = (draw_step(DrawOptions(), FLAT, 0, step, 8) for step in (5, 5, 6))
    assert torch.equal(first.timestep_G, again.timestep_G)
    assert not torch.equal(first.timestep_G, other.timestep_G)


def test_weights_of_the_consistency_loss_by_hand() -> None:
    """Of four samples two saw nothing: they share the weight of four, 2 each. Every third step counts three times."""

    def weights(**given: object) -> list[float]:
        step = drawn(given.pop("step", 0), given.pop("history", "none"))  # type: ignore[arg-type]
        return consistency_weights(ConsistencyOptions.parse(given), step).tolist()

    assert weights() == [1, 1, 1, 1]
    assert weights(prediction="dropped") == [2, 0, 0, 2]
    assert weights(prediction="dropped", history="both") == [0, 0, 0, 0]
    assert weights(every=3, step=3) == [3, 3, 3, 3]
    assert weights(every=3, step=4) == [0, 0, 0, 0]
    assert weights(alpha=0.0) == [0, 0, 0, 0]
