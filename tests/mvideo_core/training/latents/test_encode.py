import dataclasses

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX

from mvideo_core.base.errors import ModelError
from mvideo_core.cogvideox.pixels import mask_CTHW, video_CTHW
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.training.latents.encode import WindowPixels, encode_windows, latent_shapes

FORMAT = VideoFormat(height_px=32, width_px=64, motion_height_px=16, motion_width_px=32, clip_frames=9)


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLCogVideoX:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    return AutoencoderKLCogVideoX(**SIZES["tiny-sincos"].vae).eval()


def pixels(seed: int, history: bool = True) -> WindowPixels:
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (17, 32, 64, 3), np.uint8)
    masks = np.zeros((9, 32, 64), bool)
    masks[:, 8:20, 4:30] = True
    return WindowPixels(f"w{seed}", frames[8:], masks, frames[:9] if history else None)


def encoded(vae: AutoencoderKLCogVideoX, video_CTHW: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return vae.encode(video_CTHW[None]).latent_dist.mean[0].permute(1, 0, 2, 3)


def test_names_shapes_and_dtype(vae: AutoencoderKLCogVideoX) -> None:
    (found,) = encode_windows(vae, [pixels(0)], FORMAT, logvar=True)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == latent_shapes(FORMAT, 16, 8)
    assert latent_shapes(FORMAT, 16, 8)["target"] == (3, 16, 4, 8)  # 9 frames -> 3, 32x64 px -> 4x8
    assert latent_shapes(FORMAT, 16, 8)["motion"] == (3, 16, 2, 4)
    assert {tensor.dtype for tensor in found.values()} == {torch.bfloat16}


def test_a_vae_of_less_compression_gives_more_cells() -> None:
    fine = AutoencoderKLCogVideoX(**SIZES["tiny-fine"].vae).eval()
    (found,) = encode_windows(fine, [pixels(0)], FORMAT)
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    # 32x64 px and 16x32 px in cells of 4x4, 8 channels
    assert shapes == {
        "target": (3, 8, 8, 16), "mask": (3, 8, 8, 16), "appearance": (1, 8, 8, 16), "motion": (3, 8, 4, 8),
    }  # fmt: skip
    assert shapes == {name: shape for name, shape in latent_shapes(FORMAT, 8, 4).items() if name in shapes}


def test_each_latent_is_the_mean_of_its_own_video(vae: AutoencoderKLCogVideoX) -> None:
    one = pixels(1)
    assert one.motion_THWC is not None
    (found,) = encode_windows(vae, [one], FORMAT)
    target = video_CTHW(one.target_THWC, 32, 64)
    wanted = {
        "target": encoded(vae, target),
        "mask": encoded(vae, mask_CTHW(one.masks_THW, 32, 64)),
        "appearance": encoded(vae, target[:, :1]),
        "motion": encoded(vae, video_CTHW(one.motion_THWC, 16, 32)),
    }
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor.bfloat16()), name


def test_the_appearance_frame_alone_is_not_the_first_latent_of_the_target(vae: AutoencoderKLCogVideoX) -> None:
    (found,) = encode_windows(vae, [pixels(2)], FORMAT)
    difference = (found["appearance"][0].float() - found["target"][0].float()).abs().mean()
    assert difference > 0.01 * found["target"][0].float().abs().mean()


def test_the_first_frames_of_a_longer_encode_are_the_shorter_encode(vae: AutoencoderKLCogVideoX) -> None:
    video = video_CTHW(np.random.default_rng(5).integers(0, 256, (17, 32, 64, 3), np.uint8), 32, 64)
    assert torch.equal(encoded(vae, video)[:3], encoded(vae, video[:, :9]))
    assert not torch.equal(encoded(vae, video)[2:], encoded(vae, video[:, 8:]))  # a later window cannot be cut out


def test_a_batch_gives_what_its_windows_give_alone_also_with_mixed_history(vae: AutoencoderKLCogVideoX) -> None:
    batch = [pixels(6), pixels(7, history=False), pixels(8)]
    together = encode_windows(vae, batch, FORMAT)
    for found, one in zip(together, batch, strict=True):
        (alone,) = encode_windows(vae, [one], FORMAT)
        assert (
            set(found)
            == set(alone)
            == {"target", "mask", "appearance"} | ({"motion"} if one.motion_THWC is not None else set())
        )
        for name in alone:
            torch.testing.assert_close(found[name], alone[name], rtol=2e-2, atol=2e-3)


def test_sloppy_masks_are_encoded_like_masks_and_change_nothing_else(vae: AutoencoderKLCogVideoX) -> None:
    plain = [pixels(1), pixels(2, history=False)]
    boxes = [np.roll(one.masks_THW, shift, axis=2) for one, shift in zip(plain, (3, 5), strict=True)]
    both = [dataclasses.replace(one, sloppy_THW=[box, one.masks_THW]) for one, box in zip(plain, boxes, strict=True)]
    for found, without, box in zip(
        encode_windows(vae, both, FORMAT), encode_windows(vae, plain, FORMAT), boxes, strict=True
    ):
        assert set(found) - set(without) == {"mask_sloppy0", "mask_sloppy1"}
        assert all(torch.equal(found[name], without[name]) for name in without)
        assert torch.equal(found["mask_sloppy1"], found["mask"])
        wanted = encoded(vae, mask_CTHW(box, 32, 64)).bfloat16()
        torch.testing.assert_close(found["mask_sloppy0"], wanted, rtol=2e-2, atol=2e-3)


def test_coverage_counts_the_pixels_of_each_cell_and_of_its_frames(vae: AutoencoderKLCogVideoX) -> None:
    """9 frames of 32x64 px are 3 latent frames (1, 4 and 4 frames) of 4x8 cells of 8x8 px."""
    one = pixels(0)
    masks = np.random.default_rng(0).random((9, 32, 64)) < 0.3
    masks[1:5, :8, 8:16] = True
    masks[1, :4, 8:16] = False
    (found,) = encode_windows(vae, [dataclasses.replace(one, masks_THW=masks)], FORMAT, coverage=True)
    cells = masks.reshape(9, 4, 8, 8, 8).sum(axis=(2, 4))
    wanted = np.stack([cells[0] / 64, cells[1:5].sum(axis=0) / 256, cells[5:].sum(axis=0) / 256])
    assert found["coverage"].dtype == torch.uint8
    assert found["coverage"].shape == (3, 4, 8)
    assert np.abs(found["coverage"].numpy() / 255 - wanted).max() <= 0.5 / 255 + 1e-9
    assert found["coverage"][1, 0, 1] == 223  # all but 32 of 256 pixels


def test_an_empty_mask_is_not_the_zero_latent(vae: AutoencoderKLCogVideoX) -> None:
    one = pixels(9)
    empty = WindowPixels("empty", one.target_THWC, np.zeros_like(one.masks_THW), None)
    (found,) = encode_windows(vae, [empty], FORMAT)
    assert found["mask"].abs().max() > 0


def test_a_latent_that_is_not_finite_names_window_and_remedy(vae: AutoencoderKLCogVideoX) -> None:
    import copy

    broken = copy.deepcopy(vae)
    next(broken.parameters()).data.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"w4: the target encoding is not finite; set base.dtype"):
        encode_windows(broken, [pixels(4)], FORMAT)
