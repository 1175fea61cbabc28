import itertools

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.training.latents.source import frame_spans
from mvideo_core.training.latents.windows import Window, windows_of


def test_the_papers_clip_of_eight_seconds_gives_one_window() -> None:
    (window,) = windows_of(65, 33)
    assert window == Window(32, history=True)
    assert window.motion(33) == range(0, 33)
    assert window.target(33) == range(32, 65)
    assert window.frames(33) == range(0, 65)


@pytest.mark.parametrize(
    ("n_frames", "starts", "history"),
    [(32, [], None), (33, [0], False), (64, [0], False), (65, [32], True), (96, [32], True), (97, [32, 64], True)],
)
def test_windows_by_length_of_the_clip(n_frames: int, starts: list[int], history: bool | None) -> None:
    found = windows_of(n_frames, 33)
    assert [window.target_start for window in found] == starts
    assert all(window.history == history for window in found)


def test_each_windows_target_is_the_history_of_the_next() -> None:
    found = windows_of(81, 17)  # targets at 16, 32, 48, 64
    assert [window.target_start for window in found] == [16, 32, 48, 64]
    assert all(a.target(17) == b.motion(17) for a, b in itertools.pairwise(found))


def test_stride_and_limit() -> None:
    assert [window.target_start for window in windows_of(33, 9, stride_frames=4)] == [8, 12, 16, 20, 24]
    assert [window.target_start for window in windows_of(33, 9, stride_frames=4, max_windows=2)] == [8, 12]


def test_a_window_without_history_needs_its_target_only() -> None:
    window = Window(0, history=False)
    assert list(window.motion(9)) == []
    assert window.frames(9) == range(0, 9)


def test_overlapping_spans_of_a_video_read_once() -> None:
    frames = iter([np.full((1, 1, 3), at, np.uint8) for at in range(12)])
    spans = [range(0, 5), range(4, 9), range(7, 12)]
    found = [list(span[:, 0, 0, 0]) for span in frame_spans(frames, spans)]
    assert found == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [7, 8, 9, 10, 11]]


def test_spans_with_a_gap_and_a_video_that_ends_too_early() -> None:
    video = [np.full((1, 1, 3), at, np.uint8) for at in range(10)]
    assert [int(span[0, 0, 0, 0]) for span in frame_spans(iter(video), [range(0, 2), range(6, 8)])] == [0, 6]
    with pytest.raises(MediaError, match="before frame 10"):
        list(frame_spans(iter(video), [range(6, 11)]))
