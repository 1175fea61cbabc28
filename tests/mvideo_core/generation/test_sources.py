"""How many masks a video of some length gets, counted by hand."""

import numpy as np
import pytest

from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.sources import Source, SourceOptions, frames_of, on_grid
from mvideo_core.generation.video import masks_of_video
from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import MaskClip

GRID = VideoFormat(height_px=64, width_px=96, motion_height_px=32, motion_width_px=48, clip_frames=17)


def masks(n_frames: int, fps: float = 8.0) -> Source:
    """A square that moves a pixel a frame."""
    area = np.zeros((n_frames, 1, 64, 96), np.bool_)
    for t in range(n_frames):
        area[t, 0, 8:24, t % 64 : t % 64 + 16] = True
    return Source(MaskClip(encode(area), fps, ("box",)), "", {})


@pytest.mark.parametrize(
    ("n_frames", "fps", "seconds", "expected"),
    [
        (25, 8, None, 17),  # whole clips of 17: the second would need 33
        (25, 8, 3, 25),
        (25, 8, 12, 25),  # fewer than the 97 asked for: the message has to say 25
        (97, 8, 4, 33),
        (94, 8, 12, 97),  # 3 frames short, held: half a second may be
        (92, 8, 12, 92),  # 5 frames short
        (73, 24, 3, 25),
        (13, 4, 3, 25),
    ],
)
def test_masks_of_a_length(n_frames: int, fps: float, seconds: float | None, expected: int) -> None:
    found = on_grid(masks(n_frames, fps), SourceOptions(), GRID, seconds).masks
    assert found is not None
    assert found.sequence.n_frames == expected


def test_each_frame_shows_the_mask_of_its_time() -> None:
    """Masks at 24 fps for 8 fps: every third, so the square moves 3 px a frame."""
    found = on_grid(masks(73, 24), SourceOptions(), GRID, 2.0).masks
    assert found is not None
    lefts = [int(np.argmax(found.sequence.mask(t, 0).any(axis=0))) for t in range(found.sequence.n_frames)]
    assert lefts == [3 * t for t in range(frames_of(2.0, GRID))]


def test_what_is_kept_beside_a_shorter_video_has_its_frames() -> None:
    """97 masks and 4 s asked for: 33 frames of video, 33 masks."""
    whole = on_grid(masks(97), SourceOptions(), GRID).masks
    assert whole is not None
    assert whole.sequence.n_frames == 97
    assert masks_of_video(whole, GenerateOptions(seconds=4), GRID).sequence.n_frames == 33
