"""VBench-Long's splitting, in frames worked out by hand."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.protocol import ProtocolOptions, clip_ranges, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo


@pytest.mark.parametrize(
    ("n_frames", "clip_s", "first_and_last"),
    [
        (49, 10, [(0, 48)]),
        (97, 10, [(0, 79), (17, 96)]),
        (49, 2, [(0, 15), (16, 31), (32, 47), (33, 48)]),
        (97, 2, [(0, 15), (16, 31), (32, 47), (48, 63), (64, 79), (80, 95), (81, 96)]),
        (32, 2, [(0, 15), (16, 31)]),
        (15, 2, [(0, 14)]),
        (16, 2, [(0, 15)]),
    ],
)
def test_clips_at_8_fps(n_frames: int, clip_s: int, first_and_last: list[tuple[int, int]]) -> None:
    """6 s and 12 s of CogVideoX (49 and 97 frames), 16 or 80 frames per clip; the last one borrows."""
    clips = clip_ranges(n_frames, 8.0, clip_s)
    assert [(clip.start, clip.stop - 1) for clip in clips] == first_and_last


def test_rate_is_cut_to_a_whole_number() -> None:
    """23.976 fps counts as 23: 46 frames per 2 s clip, 50 frames are 0-45 and 4-49."""
    assert clip_ranges(50, 24000 / 1001, 2) == [range(46), range(4, 50)]


def test_below_one_frame_per_second_says_what_to_do() -> None:
    with pytest.raises(MediaError, match="protocol: short"):
        clip_ranges(50, 0.9, 2)


def test_short_sees_the_whole_video_and_long_its_clips() -> None:
    """Score = index of the first frame: 0 for the whole; clips start at 0, 2 and 3, mean 5/3."""
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    video = EvalVideo.of_arrays(frames, fps=2.0)

    def first(frames_THWC: np.ndarray) -> VideoScore:
        return VideoScore(value=float(frames_THWC[0, 0, 0, 0]), per_frame=(1.0,))

    assert score_by_protocol(video, ProtocolOptions(), first) == VideoScore(value=0, per_frame=(1.0,))
    long = score_by_protocol(video, ProtocolOptions(protocol="long", clip_s=1), first)
    assert long.value == pytest.approx(5 / 3)
    assert long.per_frame == ()
