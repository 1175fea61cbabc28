"""Initial weights of the mini VAE and of a transformer that starts from another base."""

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.base import random_base, save_base
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_fast import skip_zero_blocks, use_fast_layers
from mvideo_core.miniworld.training.base_latents import caption_tokens
from mvideo_core.miniworld.training.base_start import principal_components, repeat_channels, start_blocks
from mvideo_core.miniworld.training.base_text2video import Text2Video, Text2VideoOptions, plain_transformer
from mvideo_core.miniworld.training.base_vae import VaeOptions, VaeTraining, to_video
from mvideo_core.miniworld.training.base_warm_start import (
    READING,
    WRITING,
    fit,
    fit_output,
    latents_of,
    tokens,
    warm_start,
)
from tests.mvideo_core.miniworld.training.base_drawn import clips, one_thread

__all__ = ["clips", "one_thread"]

FINE = SIZES["tiny-fine"].vae


@pytest.fixture(scope="module")
def started(tmp_path_factory, clips: Clips) -> VaeTraining:
    training = VaeTraining(tmp_path_factory.mktemp("vae"), FINE, VaeOptions(bfloat16=False))
    training.start(clips)
    return training


@torch.no_grad()
def encode(vae, video: torch.Tensor) -> torch.Tensor:
    return vae.encode(video).latent_dist.mode()


def encoded(vae, clips: Clips) -> tuple[list[np.ndarray], torch.Tensor]:
    """All windows and their latents."""
    windows = [np.asarray(clips[index]) for index in range(len(clips))]
    return windows, torch.stack([latents_of(vae, window) for window in windows])


def test_components_equal_those_of_numpy():
    blocks = np.random.default_rng(0).normal(size=(500, 3, 2, 2)).astype(np.float32) * np.arange(1, 13).reshape(3, 2, 2)
    found = principal_components(torch.from_numpy(blocks), 4)
    flat = blocks.reshape(500, 12)
    values, axes = np.linalg.eigh(np.cov(flat.T, bias=True))
    np.testing.assert_allclose(found.spreads_K, np.sqrt(values[::-1][:4]), rtol=1e-4)
    along = np.abs(found.axes_KC22.numpy().reshape(4, 12) @ axes[:, ::-1][:, :4])
    np.testing.assert_allclose(along, np.eye(4), atol=1e-3)
    np.testing.assert_allclose(found.means_K, found.axes_KC22.numpy().reshape(4, 12) @ flat.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("n_frames", [1, 9, 17])
def test_the_first_encoder_is_linear(started: VaeTraining, clips: Clips, n_frames: int):
    video = to_video(np.asarray(clips[1])[None, :n_frames])
    black, half, whole = (encode(started.vae, share * video) for share in (0.0, 0.5, 1.0))
    error = (half - (black + whole) / 2).abs().max()
    assert float(error) < 0.02 * float((whole - black).abs().max())


def test_its_latents_say_more_than_the_means_of_their_squares(started: VaeTraining, clips: Clips):
    frames = np.concatenate([clips[index][1::4] for index in range(len(clips))])
    latents = torch.cat([encode(started.vae, to_video(one[None, None]))[:, :, 0] for one in frames])
    cells = latents.permute(0, 2, 3, 1).reshape(-1, 8).numpy()
    n, h, w, _ = frames.shape
    blocks = frames.reshape(n, h // 4, 4, w // 4, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48).astype(float)
    given = np.concatenate([cells, np.ones((len(cells), 1))], axis=1)
    left = blocks - given @ np.linalg.lstsq(given, blocks, rcond=None)[0]
    flat = blocks - blocks.reshape(-1, 16, 3).mean(axis=1).repeat(16, axis=0).reshape(blocks.shape)
    assert np.square(left).mean() < 0.5 * np.square(flat).mean()


def test_more_latents_than_pairs_of_channels_stay_zero(tmp_path, clips: Clips):
    training = VaeTraining(tmp_path, SIZES["tiny-sincos"].vae, VaeOptions(bfloat16=False))
    training.start(clips)
    latents = encode(training.vae, to_video(np.asarray(clips[0])[None]))
    assert latents[:, :8].std() > 0
    assert not latents[:, 8:].any()


def test_blocks_that_add_nothing_are_skipped_with_the_same_result(clips: Clips):
    from diffusers import AutoencoderKLCogVideoX

    torch.manual_seed(0)
    vae = AutoencoderKLCogVideoX(**FINE).eval()
    start_blocks(vae)
    video = to_video(np.asarray(clips[0])[None])
    before = encode(vae, video)
    used = vae.encoder.mid_block.resnets[0]
    torch.nn.init.normal_(used.conv2.conv.weight, std=0.1)
    changed = encode(vae, video)
    assert not torch.equal(before, changed)
    use_fast_layers(vae)
    skip_zero_blocks(vae.encoder)
    torch.testing.assert_close(encode(vae, video), changed, atol=1e-5, rtol=1e-5)
    used.conv2.conv.weight.data.zero_()
    torch.testing.assert_close(encode(vae, video), before, atol=1e-5, rtol=1e-5)


def test_a_block_that_widens_repeats_its_inputs():
    weight = repeat_channels(2, 4)[:, :, 0, 0, 0]
    assert weight.tolist() == [[0.5, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.5]]


def test_tokens_are_what_the_transformer_reads():
    transformer = plain_transformer(random_base("tiny-fine", parts=("transformer",)))
    latents = torch.randn(3, 8, 8, 16)
    with torch.no_grad():
        seen = transformer.patch_embed.proj(latents).flatten(2).transpose(1, 2).reshape(-1, 32)
        layer = transformer.patch_embed.proj
        torch.testing.assert_close(tokens(latents, 4) @ layer.weight.flatten(1).T + layer.bias, seen)


def test_a_linear_map_is_found():
    x = torch.randn(2000, 5)
    weight, bias = torch.randn(3, 5), torch.randn(3)
    found = fit(x, x @ weight.T + bias, 0.0)
    torch.testing.assert_close(found.weight_OI, weight, atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(found.bias_O, bias, atol=1e-2, rtol=1e-2)


def test_a_linear_map_that_expects_noise_is_the_one_fitted_to_noisy_inputs():
    torch.manual_seed(0)
    x, weight = torch.randn(200_000, 4), torch.randn(3, 4)
    noisy = x + torch.randn_like(x)
    wanted = torch.linalg.lstsq(noisy, x @ weight.T).solution.T
    torch.testing.assert_close(fit(x, x @ weight.T, 1.0).weight_OI, wanted, atol=0.02, rtol=0.02)


def test_a_start_copies_all_but_the_layers_at_the_latents(tmp_path, clips: Clips):
    old, new = random_base("tiny-fine", seed=5), random_base("tiny-fine", seed=6)
    save_base(old, tmp_path / "old")
    transformer, before = plain_transformer(new), plain_transformer(old).state_dict()
    writing = transformer.proj_out.weight.detach().clone()
    warm_start(transformer, new.text_encoder, str(tmp_path / "old"), *encoded(old.vae, clips))
    same = {name for name, value in transformer.state_dict().items() if torch.equal(value, before[name])}
    assert before.keys() - same == {f"{layer}.{kind}" for layer in (READING, WRITING) for kind in ("weight", "bias")}
    assert torch.equal(transformer.proj_out.weight, writing)
    assert torch.equal(new.text_encoder.shared.weight, old.text_encoder.shared.weight)


def test_training_that_starts_from_a_base_predicts_better_from_the_first_step(tmp_path, clips: Clips):
    old = random_base("tiny-fine", seed=5)
    save_base(old, tmp_path / "old")
    runs = [
        Text2Video(tmp_path, "tiny-fine", Text2VideoOptions(bfloat16=False, start=start), old.vae)
        for start in (str(tmp_path / "old"), None)
    ]
    _, latents = encoded(old.vae, clips)
    tokens_N3L = caption_tokens(old.tokenizer, clips, len(clips), runs[0].length)
    losses = []
    for run in runs:
        run.start(clips)
        losses.append(sum(run.validate(latents, tokens_N3L)))
    assert losses[0] < 0.8 * losses[1]


@torch.no_grad()
def test_the_output_layer_is_the_least_squares_fit():
    torch.manual_seed(0)
    transformer = plain_transformer(random_base("tiny-fine", parts=("transformer",)))
    latents, text, t = torch.randn(12, 3, 8, 8, 16), torch.randn(1, 16, 32), torch.tensor([300])
    inputs = []
    hook = transformer.proj_out.register_forward_pre_hook(lambda _, given: inputs.append(given[0].flatten(0, -2)))

    def predict(index: int) -> torch.Tensor:
        return transformer(latents[index : index + 1], text, t, return_dict=False)[0]

    fit_output(transformer, predict, latents)
    hook.remove()
    given = torch.cat([torch.cat(inputs), torch.ones(len(torch.cat(inputs)), 1)], dim=1).double()
    wanted = torch.cat([tokens(one, 4) for one in latents]).double()
    best = float((given @ torch.linalg.lstsq(given, wanted).solution - wanted).square().mean())
    got = torch.cat([predict(index) for index in range(len(latents))])
    assert best < 0.9 * float(wanted.var())
    assert float((got - latents).square().mean()) == pytest.approx(best, rel=0.03)


def test_a_start_from_another_width_is_one_line(tmp_path, clips: Clips):
    save_base(random_base("tiny-fine"), tmp_path / "old")
    new = random_base("mini-fine")
    with pytest.raises(ConfigError, match=r"shape \(.*\), but \(.*\) is required; start from a base of the same width"):
        warm_start(plain_transformer(new), new.text_encoder, str(tmp_path / "old"), *encoded(new.vae, clips))
