"""The mini base's clips: shape, truth and captions of what is drawn, and the way they are read back."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.training.base_data import CLIP_FRAMES, Clips, render_clips, render_shot_clips
from mvideo_core.miniworld.training.world_clips import motion_caption, true_tracks
from mvideo_core.miniworld.world import render_shot, sample_shot
from tests.mvideo_core.miniworld.training.base_drawn import write_clips


def test_a_shot_gives_two_clips_with_masks_and_captions():
    (frames, masks, texts), (later, _, _) = render_shot_clips(1, "train")
    assert frames.shape == (CLIP_FRAMES, 64, 96, 3)
    assert frames.dtype == np.uint8
    assert masks.shape == (CLIP_FRAMES, 64, 12)
    assert not np.array_equal(frames, later)
    assert texts.plain == "A black bicycle is rolling back and forth by a lake. The camera tilts up."
    assert len(texts.motion) == 2
    assert all(text.startswith("A bicycle is in view. The bicycle starts") for text in texts.motion)
    covered = np.unpackbits(masks, axis=-1, bitorder="little").mean()
    assert 0.002 < covered < 0.5


def test_motion_caption_leaves_out_what_cannot_be_found():
    spec = sample_shot(2)
    frames = list(render_shot(spec, 5, 96, 64, 8.0))
    assert "stop sign" in motion_caption(spec, true_tracks(frames), 8.0)
    for frame in frames:
        frame.visible[1] = False
    assert "stop sign" not in motion_caption(spec, true_tracks(frames), 8.0)


def test_shards_are_drawn_once_and_read_by_window(tmp_path):
    render_clips(tmp_path, 2, shots_a_shard=1)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    render_clips(tmp_path, 2, shots_a_shard=1)
    assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == 6
    clips = Clips(tmp_path)
    assert len(clips) == 2 * 2 * 2  # shots, clips, windows
    np.testing.assert_array_equal(clips[4][16], clips[5][0])  # windows of a clip share a frame
    assert clips.texts(4)[0] == clips.texts(7)[0] != clips.texts(3)[0]


def test_clips_of_another_size_hold_the_same_world(tmp_path):
    (small, masks, texts), _ = render_shot_clips(1, "train")
    (large, wide, said), _ = render_shot_clips(1, "train", (96, 144))
    assert (large.shape, wide.shape) == ((CLIP_FRAMES, 96, 144, 3), (CLIP_FRAMES, 96, 18))
    assert said.plain == texts.plain
    covered = [np.unpackbits(one, axis=-1, bitorder="little").mean() for one in (masks, wide)]
    assert covered[1] == pytest.approx(covered[0], rel=0.05)
    shrunk = large[:, ::3, ::3].astype(float).mean(axis=(1, 2))
    np.testing.assert_allclose(shrunk, small.astype(float).mean(axis=(1, 2)), atol=4)


def test_clips_of_two_sizes_are_not_mixed(tmp_path):
    write_clips(tmp_path)  # 32x64
    render_clips(tmp_path, 3, size_hw=(32, 64))
    with pytest.raises(ConfigError, match=r"has clips of 32x64 px, but 64x96 are required"):
        render_clips(tmp_path, 3)


def test_masks_follow_the_frames(tmp_path):
    write_clips(tmp_path)
    clips = Clips(tmp_path)
    masks = clips.masks(3)  # second clip, second window: the square starts at 4 + 16
    assert masks.shape == (17, 32, 64)
    assert np.flatnonzero(masks[0].any(axis=0)).tolist() == list(range(20, 32))
    assert (clips[3][masks] == (200, 40, 30)).all()
    assert clips.texts(3) == ("A red car is parked.", "A car moves 1.")
