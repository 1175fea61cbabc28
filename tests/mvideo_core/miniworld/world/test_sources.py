"""Source videos: where joins lie, what the truth file says, atomic writing."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.media.decode import read_clip
from mvideo_core.miniworld.world import (
    make_gallery,
    make_world,
    read_masks,
    read_truth,
    render_source,
    sample_source,
    write_source,
)
from mvideo_core.miniworld.world.source import Join, cut_frames


def small_source(joins=("dissolve", "fade", "hard")):
    """Four tiny shots of 12, 10, 14 and 6 frames at 10 frames/s."""
    spec = sample_source(1, "val", n_shots=len(joins) + 1)
    frames = {"hard": 0, "dissolve": 4, "fade": 6}
    return replace(spec, name="tiny", width=96, height=64, fps=Fraction(10), lengths=(12, 10, 14, 6)[: len(joins) + 1],
                   joins=tuple(Join(kind, frames[kind]) for kind in joins))  # fmt: skip


def test_joins_lie_where_the_lengths_put_them():
    spec = small_source()
    # the dissolve overlaps by 4: shot 1 starts at 12 - 4 = 8 and ends at 18; shot 2 is 18..32; shot 3 is 32..38
    assert spec.starts() == [0, 8, 18, 32]
    assert spec.n_frames == 38
    assert cut_frames(spec) == [("dissolve", 8, 12), ("fade", 15, 21), ("hard", 32, 32)]


def test_mixing_weights_inside_joins():
    frames = list(render_source(small_source()))
    assert len(frames) == 38
    assert [len(frame.shots) for frame in frames[7:13]] == [1, 2, 2, 2, 2, 1]
    first, second = (one[2].rgb.astype(float) for one in frames[8].shots)
    np.testing.assert_allclose(frames[8].rgb, 0.8 * first + 0.2 * second, atol=1.0)
    assert frames[17].rgb.max() == 0
    assert frames[18].rgb.max() == 0
    np.testing.assert_allclose(frames[16].rgb, frames[16].shots[0][2].rgb / 3, atol=1.0)
    np.testing.assert_array_equal(frames[21].rgb, frames[21].shots[0][2].rgb)


def test_truth_file_matches_the_video(tmp_path):
    spec = small_source()
    truth = write_source(spec, tmp_path)
    assert read_truth(tmp_path / "truth" / "tiny.json") == truth
    assert read_clip(tmp_path / "tiny.mp4").shape == (38, 64, 96, 3)
    assert [(cut.kind, cut.time_s) for cut in truth.cuts] == [("dissolve", 1.0), ("fade", 1.8), ("hard", 3.2)]
    shot = truth.shots[1]
    assert (shot.start_s, shot.end_s, shot.clean_start_s, shot.clean_end_s) == (0.8, 1.8, 1.2, 1.5)
    masks = read_masks(tmp_path / "truth" / "tiny.json", shot)
    assert masks.shape == (10, len(shot.objects), 64, 96)
    for thing in shot.objects:
        pixels = [masks.mask(frame, thing.object_id) for frame in range(10)]
        assert [int(mask.sum()) for mask in pixels] == thing.visible_px
        box = thing.boxes_xyxy[3]
        if box:
            rows, columns = np.nonzero(pixels[3])
            assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert all(full >= seen for full, seen in zip(thing.full_px, thing.visible_px, strict=True))
    assert not list(tmp_path.glob(".*"))


def test_writing_twice_gives_the_same_bytes_and_a_finished_video_is_kept(tmp_path):
    spec = small_source(("hard",))
    write_source(spec, tmp_path / "a")
    write_source(spec, tmp_path / "b")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    before = (tmp_path / "a" / "tiny.mp4").stat().st_mtime_ns
    write_source(spec, tmp_path / "a")
    assert (tmp_path / "a" / "tiny.mp4").stat().st_mtime_ns == before


def test_a_kill_before_the_truth_file_leaves_work_to_redo(tmp_path):
    spec = small_source(("hard",))
    write_source(spec, tmp_path)
    wanted = (tmp_path / "tiny.mp4").read_bytes()
    (tmp_path / "truth" / "tiny.json").unlink()
    (tmp_path / "tiny.mp4").write_bytes(b"half")
    (tmp_path / ".tiny.part").mkdir()
    write_source(spec, tmp_path)
    assert (tmp_path / "tiny.mp4").read_bytes() == wanted


def test_sampled_sources_have_long_and_short_shots_and_all_joins():
    specs = [sample_source(seed, "heldout") for seed in range(60)]
    lengths = [length / float(spec.fps) for spec in specs for length in spec.lengths]
    assert all(second <= 6.1 or second >= 9.9 for second in lengths)
    assert 0.1 < np.mean([second < 8 for second in lengths]) < 0.3
    assert {join.kind for spec in specs for join in spec.joins} == {"hard", "dissolve", "fade"}
    assert len({spec.fps for spec in specs}) == 4


def test_make_world_refuses_unseen_classes_in_training(tmp_path):
    with pytest.raises(ConfigError, match="must not be used in training"):
        make_world(tmp_path, 1, split="train", unseen_frac=0.5)
    with pytest.raises(ConfigError, match="at least 1"):
        make_world(tmp_path, 0)


def test_gallery_names_every_shot(tmp_path):
    truth = write_source(small_source(("hard",)), tmp_path)
    page = make_gallery(tmp_path)
    text = page.read_text()
    for shot in truth.shots:
        assert shot.caption in text
    assert (page.parent / "classes.png").stat().st_size > 10_000


def test_damaged_truth_is_a_media_error(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(MediaError, match="recreate the world"):
        read_truth(path)
    path.write_text("{}")
    with pytest.raises(MediaError, match="not a truth file"):
        read_truth(path)
