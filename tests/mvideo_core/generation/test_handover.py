"""What a clip hands over: moments by hand, and the shapes the pipeline takes."""

import numpy as np
import pytest
import torch

from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.generation.handover import LastClip, match_moments, moments
from mvideo_core.generation.options import GenerateOptions

GRID = VideoFormat(height_px=32, width_px=64, motion_height_px=16, motion_width_px=32, clip_frames=9)
RANDOM = np.random.default_rng(0)


def frames(level: float, contrast: float = 30) -> np.ndarray:
    return RANDOM.normal(level, contrast, (9, 32, 64, 3)).round().clip(0, 255).astype(np.uint8)


def test_moments_by_hand() -> None:
    """Channel 0 is 1 and 3 (mean 2, deviation 1), channel 1 is 10 twice."""
    values = np.array([[1, 10], [3, 10]], np.uint8)
    assert moments(values).tolist() == [[2, 10], [1, 0]]


def test_matching_by_hand_and_its_limit() -> None:
    values = np.array([[1.0], [3.0]])
    assert match_moments(values, np.array([[10.0], [1.5]])).ravel().tolist() == [8.5, 11.5]
    assert match_moments(values, np.array([[10.0], [9.0]])).ravel().tolist() == [8, 12]  # twice the contrast at most
    assert match_moments(np.full((4, 1), 5.0), np.array([[7.0], [1.0]])).ravel().tolist() == [7] * 4


def test_matched_frames_have_the_first_clips_moments_and_the_first_clip_is_kept() -> None:
    options = GenerateOptions(match_statistics=True)
    first = LastClip.of(frames(100), None, options, None)
    second = LastClip.of(frames(120, 20), None, options, first)
    third = LastClip.of_arrays(LastClip.of(frames(140, 40), None, options, second).arrays())
    for clip in (second, third):
        appearance, motion = clip.history(options, GRID)
        assert motion.dtype == np.uint8
        assert moments(motion) == pytest.approx(moments(first.frames_THWC), abs=0.3)
        assert np.array_equal(appearance, motion[-1])


def test_latents_have_the_shapes_of_encoded_frames() -> None:
    """Shapes are (1, 1, C, 4, 8) and, at half the size, (1, 3, C, 2, 4); constant channels stay constant.

    Appearance is the last latent frame, which is 2 higher than the first.
    """
    options = GenerateOptions(handover="latents")
    levels = torch.arange(16.0)[None, None, :, None, None] + torch.arange(3.0)[None, :, None, None, None]
    latents = levels.expand(1, 3, 16, 4, 8)
    appearance, motion = LastClip.of(frames(100), latents, options, None).history(options, GRID)
    assert appearance.shape == (1, 1, 16, 4, 8)
    assert motion.shape == (1, 3, 16, 2, 4)
    assert torch.equal(appearance, (latents[:, :1] + 2))
    assert torch.allclose(motion, levels.expand(1, 3, 16, 2, 4))


def test_conditions_that_are_off_are_not_handed_over() -> None:
    options = GenerateOptions(appearance=False)
    appearance, motion = LastClip.of(frames(100), None, options, None).history(options, GRID)
    assert appearance is None
    assert motion is not None
