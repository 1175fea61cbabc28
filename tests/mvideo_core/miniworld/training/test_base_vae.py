"""The mini base's VAE: faster layers give diffusers' result, training learns and resumes, export rescales exactly."""

import numpy as np
import pytest
import torch

from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_fast import use_fast_layers
from mvideo_core.miniworld.training.base_vae import (
    Phase,
    VaeOptions,
    VaeTraining,
    draw_batch,
    phase_at,
    rate_at,
    reconstruction_terms,
    to_frames,
    to_video,
)  # fmt: skip
from mvideo_core.miniworld.training.base_vae_eval import encode_mode, equalize, export, latent_statistics, measure, psnr
from tests.mvideo_core.miniworld.training.base_drawn import clips, one_thread

__all__ = ["clips", "one_thread"]

CONFIG = SIZES["tiny-sincos"].vae
OPTIONS = VaeOptions(minutes=1.0, warmup_steps=1)


def trained(out, clips: Clips, n_steps: int) -> VaeTraining:
    training = VaeTraining(out, CONFIG, OPTIONS)
    for _ in range(n_steps):
        training._step(clips, 0.0)
    return training


@pytest.mark.parametrize("n_frames", [1, 9, 17])
def test_fast_layers_equal_those_of_diffusers(n_frames: int):
    from diffusers import AutoencoderKLCogVideoX

    torch.manual_seed(0)
    vae = AutoencoderKLCogVideoX(**CONFIG).eval()
    video = torch.rand(2, 3, n_frames, 16, 32)
    with torch.no_grad():
        latents = vae.encode(video).latent_dist.mode()
        shown = vae.decode(latents).sample
        use_fast_layers(vae)
        torch.testing.assert_close(vae.encode(video).latent_dist.mode(), latents, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(vae.decode(latents).sample, shown, atol=1e-5, rtol=1e-5)


def test_terms_worked_out_by_hand():
    video = torch.zeros(1, 3, 1, 2, 4)
    shown = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 3, 1, 2, 4)
    terms = reconstruction_terms(shown, video)
    assert float(terms["l1"]) == 0.5
    assert float(terms["squares"]) == 0.5
    # One of three steps in x is 1; none in y; halved, the one step in x is 1 and counts twice. Height 1 has no step.
    video, shown = torch.zeros(1, 3, 1, 4, 4), shown[..., :1, :].expand(1, 3, 1, 4, 4)
    assert float(reconstruction_terms(shown, video)["edges"]) == pytest.approx((1 / 3 + 0 + 2 + 0) / 4)


def test_psnr_worked_out_by_hand():
    true = np.full((2, 2), 100, np.uint8)
    assert psnr(true, true) == np.inf
    assert psnr(true + 1, true) == pytest.approx(48.1308, abs=1e-4)


def test_schedule():
    assert [phase_at(done).name for done in (0.0, 0.5, 0.9, 1.0)] == ["crops", "short", "whole", "whole"]
    assert rate_at(0.0) == 1.0
    assert rate_at(0.5) == pytest.approx(0.51)
    assert rate_at(1.0) == pytest.approx(0.02)


def test_batches_hold_frames_masks_half_sizes_and_stills(clips: Clips):
    phase = Phase("whole", 1.0, 17, 1.0, 1)
    plain = VaeOptions(masks_frac=0, half_frac=0, still_frac=0)
    video = draw_batch(clips, np.random.default_rng(0), phase, plain)
    assert video.shape == (1, 3, 17, 32, 64)
    assert video.min() >= -1
    assert video.max() <= 1
    masks = draw_batch(clips, np.random.default_rng(0), phase, plain.model_copy(update={"masks_frac": 1.0}))
    assert set(masks.unique().tolist()) == {-1.0, 1.0}
    half = draw_batch(clips, np.random.default_rng(0), phase, plain.model_copy(update={"half_frac": 1.0}))
    assert half.shape == (4, 3, 17, 16, 32)
    still = draw_batch(clips, np.random.default_rng(0), phase, plain.model_copy(update={"still_frac": 1.0}))
    assert still.shape == (4, 3, 1, 32, 64)


def test_frames_survive_the_change_of_form():
    frames = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint16).astype(np.uint8).reshape(2, 3, 4, 4, 3)
    np.testing.assert_array_equal(to_frames(to_video(frames)), frames)


@pytest.mark.slow
def test_training_resumes_and_learns(tmp_path, clips: Clips):
    first = trained(tmp_path, clips, 3)
    first.save()
    second = VaeTraining(tmp_path, CONFIG, OPTIONS)
    assert second.resume()
    assert second.step == 3
    for name, value in second.vae.named_parameters():
        assert torch.equal(value, dict(first.vae.named_parameters())[name])
    rest = [second._step(clips, 0.0)["l1"] for _ in range(20)]
    assert np.mean(rest[-3:]) < 0.8 * np.mean(rest[:3])
    averaged = dict(second.mean_weights().named_parameters())
    for name, value in second.mean.items():
        torch.testing.assert_close(averaged[name], value)


@pytest.mark.slow
def test_equal_channels_leave_reconstructions_as_they_are(tmp_path, clips: Clips):
    vae = trained(tmp_path, clips, 2).mean_weights()
    video = to_video(np.stack([clips[0], clips[3]]))
    with torch.no_grad():
        before = vae.decode(vae.encode(video).latent_dist.mode()).sample
        _, std_C = latent_statistics(vae, clips)
        equalize(vae, std_C)
        after = vae.decode(vae.encode(video).latent_dist.mode()).sample
    torch.testing.assert_close(after, before, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(latent_statistics(vae, clips)[1], torch.ones(16), atol=0.05, rtol=0.05)


def test_export_can_be_loaded_and_has_latents_of_unit_spread(tmp_path, clips: Clips):
    from diffusers import AutoencoderKLCogVideoX

    vae = trained(tmp_path, clips, 2).mean_weights()
    figures = measure(vae, clips, tmp_path / "sheet.png", n_windows=2)
    assert 0 < figures["psnr_db"] < 60
    assert (tmp_path / "sheet.png").is_file()
    export(vae, clips, tmp_path / "vae", equal=True)
    loaded = AutoencoderKLCogVideoX.from_pretrained(tmp_path / "vae", torch_dtype=torch.float32).eval()
    latents = [encode_mode(loaded, to_video(np.asarray(clips[n])[None])) for n in range(len(clips))]
    spread = (torch.cat(latents) * loaded.config.scaling_factor).square().mean().sqrt()
    assert float(spread) == pytest.approx(1.0, abs=0.05)
