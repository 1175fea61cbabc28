"""Noise and velocity in fp32, against arithmetic and against diffusers."""

import pytest
import torch
from diffusers import CogVideoXDDIMScheduler

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.schedule import Schedule
from mvideo_core.cogvideox.sizes import SIZES


@pytest.fixture(params=["cogvideox-2b", "cogvideox-5b"])
def scheduler(request):
    return CogVideoXDDIMScheduler(**SIZES[request.param].scheduler)


def test_by_hand():
    schedule = Schedule(torch.tensor([0.8, 0.0]), torch.tensor([0.6, 1.0]))
    x0, noise, t = torch.tensor([[2.0], [2.0]]), torch.tensor([[1.0], [1.0]]), torch.tensor([0, 1])
    # 0.8 * 2 + 0.6 * 1 = 2.2; 0.8 * 1 - 0.6 * 2 = -0.4; at zero signal x_t is the noise and v is -x0
    torch.testing.assert_close(schedule.noisy(x0, noise, t), torch.tensor([[2.2], [1.0]]))
    torch.testing.assert_close(schedule.velocity(x0, noise, t), torch.tensor([[-0.4], [-2.0]]))
    x_t, v = schedule.noisy(x0, noise, t), schedule.velocity(x0, noise, t)
    torch.testing.assert_close(schedule.predict_clean(x_t, v, t), x0)


def test_equals_diffusers_in_double_precision(scheduler):
    schedule = Schedule.of(scheduler)
    x0, noise = torch.randn(2, 4, 3, 2, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0, 20, 500, 999])
    torch.testing.assert_close(schedule.noisy(x0, noise, t), scheduler.add_noise(x0, noise, t).float())
    torch.testing.assert_close(schedule.velocity(x0, noise, t), scheduler.get_velocity(x0, noise, t).float())


def test_half_precision_latents_keep_their_noise():
    # 5b at t = 0: diffusers in bf16 adds 0.0002 of noise where 0.0293 belongs.
    scheduler = CogVideoXDDIMScheduler(**SIZES["cogvideox-5b"].scheduler)
    zero, one = torch.zeros(1, 1, dtype=torch.bfloat16), torch.ones(1, 1, dtype=torch.bfloat16)
    mine = Schedule.of(scheduler).noisy(zero, one, torch.tensor([0]))
    assert mine.dtype == torch.float32
    assert mine.item() == pytest.approx(0.0293, abs=2e-4)
    assert scheduler.add_noise(zero, one, torch.tensor([0])).item() != pytest.approx(0.0293, abs=5e-3)


def test_last_step_has_no_signal(scheduler):
    schedule = Schedule.of(scheduler)
    assert len(schedule) == 1000
    assert schedule.signal_T[-1] == 0
    assert schedule.sigma_T[-1] == 1


def test_stratified_timesteps_fall_one_in_each_part():
    schedule = Schedule.of(CogVideoXDDIMScheduler(**SIZES["cogvideox-2b"].scheduler))
    t = schedule.sample_timesteps(torch.Generator().manual_seed(0), 8)
    assert sorted((t // 125).tolist()) == list(range(8))
    assert t.tolist() != sorted(t.tolist())
    assert torch.equal(t, schedule.sample_timesteps(torch.Generator().manual_seed(0), 8))
    many = torch.cat([schedule.sample_timesteps(torch.Generator().manual_seed(s), 1) for s in range(400)])
    assert many.min() < 50
    assert many.max() > 949
    free = schedule.sample_timesteps(torch.Generator().manual_seed(0), 1000, stratified=False)
    assert len(free.unique()) < 800
    assert 0 <= free.min() <= free.max() <= 999


def test_other_predictions_are_refused():
    with pytest.raises(ConfigError, match="epsilon"):
        Schedule.of(CogVideoXDDIMScheduler(prediction_type="epsilon"))


@pytest.mark.parametrize(("size", "sigma", "timestep"), [
    ("cogvideox-2b", 0.2369, 20), ("cogvideox-2b", 0.5213, 100),
    ("cogvideox-5b", 0.1414, 20), ("cogvideox-5b", 0.3365, 100), ("cogvideox-5b", 0.0, 0),
])  # fmt: skip
def test_sigma_is_found_in_the_schedule(size, sigma, timestep):
    """The first four were computed from alphas_cumprod by hand."""
    assert Schedule.of(CogVideoXDDIMScheduler(**SIZES[size].scheduler)).timesteps_at(torch.tensor([sigma])) == timestep


def test_the_nearest_timestep_is_that_of_a_search_through_all(scheduler):
    sigma_T = (1 - scheduler.alphas_cumprod.double()).sqrt()
    asked = torch.rand(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nearest = (sigma_T[None] - asked[:, None]).abs().argmin(dim=1)
    assert torch.equal(Schedule.of(scheduler).timesteps_at(asked), nearest)
