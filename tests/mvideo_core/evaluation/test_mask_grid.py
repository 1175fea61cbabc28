"""Which mask belongs to which frame: worked out by hand, and against every pair of times."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.mask_grid import GridMatch, check_match, match_frames


def scored(found: GridMatch) -> list[tuple[int, int]]:
    """(frame, mask) of what counts."""
    return [(k, int(found.masks[k])) for k in np.flatnonzero(found.scored).tolist()]


def test_as_many_masks_as_frames_belong_together_whatever_the_rates() -> None:
    found = match_frames(9, 24, 9, 8)
    assert scored(found) == [(k, k) for k in range(9)]
    assert (found.n_unmatched, len(found.lost)) == (0, 0)


def test_a_slower_video_takes_the_masks_of_its_times() -> None:
    assert scored(match_frames(25, 24, 9, 8)) == [(k, 3 * k) for k in range(9)]


def test_a_faster_video_counts_at_the_times_of_the_masks_only() -> None:
    """24 fps under 8 fps masks: frames 0, 3, 6, ... are the masks' own; the two between have no exact mask."""
    found = match_frames(9, 8, 25, 24)
    assert scored(found) == [(3 * k, k) for k in range(9)]
    assert found.masks.tolist() == [min((k + 1) // 3, 8) for k in range(25)]  # nearest, for the page
    assert (found.n_unmatched, len(found.lost)) == (0, 0)


@pytest.mark.parametrize(("n_masks", "masks_fps", "n_frames", "fps"), [
    (33, 8.0, 101, 25.0), (33, 8.0, 97, 23.976), (33, 8.0, 49, 12.0), (97, 24.0, 33, 8.0), (50, 12.0, 33, 8.0),
    (33, 8.0, 32, 8.0), (20, 8.0, 97, 24.0),
])  # fmt: skip
def test_partners_are_the_nearest_of_all_pairs(n_masks: int, masks_fps: float, n_frames: int, fps: float) -> None:
    """Each scored pair is the nearest frame of that mask (or mask of that frame), no two share one, none is far."""
    found = match_frames(n_masks, masks_fps, n_frames, fps)
    apart_s = np.abs(np.arange(n_frames)[:, None] / fps - np.arange(n_masks)[None] / masks_fps)
    reach_s = 0.5 / min(fps, masks_fps)
    for frame, mask in scored(found):
        nearest = apart_s[:, mask].min() if fps > masks_fps else apart_s[frame].min()
        assert apart_s[frame, mask] == pytest.approx(nearest, abs=1e-9)
        assert apart_s[frame, mask] <= reach_s + 1e-6
    assert len(scored(found)) == len({mask for _, mask in scored(found)})
    slower = apart_s.min(axis=0) if fps >= masks_fps else apart_s.min(axis=1)
    assert len(scored(found)) == int((slower <= reach_s + 1e-6).sum())


def test_one_frame_of_seventeen_leaves_sixteen_masks_unmatched() -> None:
    found = match_frames(17, 8, 1, 8)
    assert (scored(found), found.lost.tolist()) == ([(0, 0)], list(range(1, 17)))
    with pytest.raises(MediaError, match=r"16 masks \(94%\) are after the video's end; allowed: 5%"):
        check_match(found, 17, 8, 8, align=True)


@pytest.mark.parametrize(("n_masks", "rate"), [(12, 8.0), (12, None), (22, 24.0)])
def test_lengths_that_differ_are_an_error_unless_aligned(n_masks: int, rate: float | None) -> None:
    found = match_frames(n_masks, rate, 9, 8)
    with pytest.raises(MediaError, match="of a video of 9"):
        check_match(found, n_masks, rate, 8, align=False)


@pytest.mark.parametrize(("n_frames", "allowed"), [(97, True), (96, True), (93, True), (92, False), (140, True)])
def test_align_allows_a_twentieth(n_frames: int, allowed: bool) -> None:
    """97 masks: 4 of 97 are 4.1 %, 5 are 5.2 %; a longer video leaves no mask over."""
    found = match_frames(97, 8, n_frames, 8)
    if allowed:
        check_match(found, 97, 8, 8, align=True)
    else:
        with pytest.raises(MediaError, match="allowed: 5%"):
            check_match(found, 97, 8, 8, align=True)
