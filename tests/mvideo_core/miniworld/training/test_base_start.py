"""Initial weights of the mini VAE."""

import numpy as np
import pytest
import torch

from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_fast import skip_zero_blocks, use_fast_layers
from mvideo_core.miniworld.training.base_start import principal_components, repeat_channels, start_blocks
from mvideo_core.miniworld.training.base_vae import VaeOptions, VaeTraining, to_video
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
