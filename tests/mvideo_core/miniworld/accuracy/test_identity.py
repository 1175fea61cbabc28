"""Identity: the right masklets keep it through crossing and absence, swapped or lost ones do not; both are drawn."""

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from mvideo_core.base.records import Blob, ClipRow, MaskRow, ObjectStats
from mvideo_core.masks import encode
from mvideo_core.masks.draw import COLORS, TINT
from mvideo_core.media.decode import read_clip
from mvideo_core.miniworld.accuracy import AccuracyReport, Rows, measure, write_report
from mvideo_core.miniworld.accuracy.identity import find_meeting, frames_to_show
from mvideo_core.miniworld.accuracy.mapping import clip_truth, track_of
from mvideo_core.miniworld.world import Path, read_truth, sample_shot, sample_source, write_source

N_FRAMES = 65


def walking(folder, paths):
    """The truth of a clip of 8 s at 8 frames/s: one person per path, seen by a camera that stands still."""
    specs = (sample_shot(i, classes=("person",)) for i in range(99))
    spec = next(s for s in specs if len(s.actors) == len(paths))
    actors = tuple(
        replace(actor, action="walk", height=0.5, depth=float(i), path=path, role="crossing")
        for i, (actor, path) in enumerate(zip(spec.actors, paths, strict=True))
    )
    camera = replace(spec.camera, kind="static", start=(0, 0.5, 1), end=(0, 0.5, 1), shake=0.0, target=-1)
    spec = replace(spec, actors=actors, occluders=(), camera=camera, duration_s=8.0)
    source = replace(sample_source(0, n_shots=1), name="x", width=144, height=96, fps=Fraction(8), shots=(spec,),
                     lengths=(N_FRAMES,))  # fmt: skip
    write_source(source, folder)
    clip = ClipRow(key="x_0", parent="x", start_s=0.0, end_s=8.125, fps=8.0, n_frames=N_FRAMES, width=144, height=96)
    path = folder / "truth" / "x.json"
    return clip_truth(path, read_truth(path), clip)


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """Two people who walk past each other: x = -0.4 + 0.1 t and 0.4 - 0.1 t, so they meet at t = 4 s of 8 s."""
    return walking(tmp_path_factory.mktemp("crossing"), [Path(0.4 * side, 0.9, -0.1 * side) for side in (-1, 1)])


@pytest.fixture(scope="module")
def leaving(tmp_path_factory):
    """One who walks out of the picture (its edge is at x = 0.75) and back: x = 0.5 + 0.2 t up to 1.2, at t = 3.5 s."""
    return walking(tmp_path_factory.mktemp("leaving"), [Path(0.5, 0.9, 0.2, low=-9.0, high=1.2)])


def rows_of(clip, pixels):
    """The rows of a run that found these masklets, (T, N, H, W) bool."""
    stats = [ObjectStats(object_id=i, label="person", detection_score=1, mask_score=1, visible_frac=1, mean_area_frac=0,
                         drift=0) for i in range(pixels.shape[1])]  # fmt: skip
    row = MaskRow(key="x_0", masks=Blob(path="x", sha256="", size_bytes=0), objects=stats)
    sequence, video = encode(pixels), clip.truth_path.parent.parent / "x.mp4"
    return Rows([clip.clip], [], [row], [], lambda _: sequence, lambda _: video)


def measured(clip, pixels):
    return measure(clip.truth_path.parent, rows_of(clip, pixels))


def truth_pixels(clip):
    return np.stack([[clip.visible(k, thing.object_id) for thing in clip.objects] for k in range(N_FRAMES)])


def swapped_pixels(clip):
    """The two masklets change places when their objects meet."""
    pixels = truth_pixels(clip)
    return np.concatenate([pixels[:33], pixels[33:, ::-1]])


@pytest.fixture(scope="module")
def right(crossing):
    """The report on faultless masklets."""
    return measured(crossing, truth_pixels(crossing))


@pytest.fixture(scope="module")
def wrong(crossing):
    """The report on swapped ones."""
    return measured(crossing, swapped_pixels(crossing))


def test_they_meet_in_the_middle_and_part(crossing):
    tracks = {obj: track_of(crossing, obj) for obj in range(2)}
    overlap = [k for k in range(N_FRAMES) if tracks[0].seen_area[k] < 0.9 * tracks[0].amodal_area[k]]
    assert 32 in overlap
    assert abs(np.mean(overlap) - 32) < 3
    met = find_meeting(crossing, 0, 1, tracks)
    assert met.start in (overlap[0] - 1, overlap[0], overlap[0] + 1)
    assert met.end > 34
    assert tracks[0].seen_area[met.end] == tracks[0].amodal_area[met.end]


def test_right_masklets_keep_identity_and_swapped_ones_lose_it(right, wrong):
    assert (right.masks.crossings, right.masks.crossings_kept, right.masks.returns) == (2, 2, 0)
    occlusion = right.masks.by_occlusion
    assert occlusion["partial"].n_objects + occlusion["vanishes"].n_objects == 1
    assert (wrong.masks.crossings, wrong.masks.crossings_kept) == (2, 0)
    assert wrong.masks.matched.j < 0.7


def test_records_say_which_objects_crossed_when_and_where_the_masklet_went(right, wrong):
    # apart at the parting: a true mask shares nothing with the other object, J 1 and 0; swapped, 0 and 1
    assert [(one.object_id, one.other_id, one.kept, one.j_own, one.j_other) for one in right.crossings] == [
        (0, 1, True, 1.0, 0.0), (1, 0, True, 1.0, 0.0)]  # fmt: skip
    first = right.crossings[0]
    assert 32 - first.from_frame == pytest.approx(first.parted_frame - 32, abs=6)
    assert [(one.kept, one.j_own, one.j_other) for one in wrong.crossings] == [(False, 0.0, 1.0)] * 2
    first = wrong.crossings[0]
    assert (first.video, first.clip, first.mask_index, first.other_mask_index) == ("x", "x_0", 0, 1)


def test_an_absence_is_found_again_or_lost(leaving):
    pixels = truth_pixels(leaving)
    found = measured(leaving, pixels)
    assert (found.masks.returns, found.masks.returns_kept, found.crossings) == (1, 1, [])
    # in sight by half when its middle is at the edge: 0.75 = 1.2 - 0.2 (t - 3.5), t = 5.75 s, frame 46
    assert found.returns[0].back_frame == pytest.approx(46, abs=2)
    assert 10 < found.returns[0].from_frame < 28
    pixels[28:] = False
    lost = measured(leaving, pixels)
    assert (lost.masks.returns_kept, lost.returns[0].kept, lost.returns[0].j_own) == (0, False, 0.0)


def test_tracks_count_objects_that_are_found_late(leaving):
    pixels = truth_pixels(leaving)
    expected = np.array([bool(leaving.objects_at(k)[0]) for k in range(N_FRAMES)])
    pixels[:40] = False  # away until about frame 46, so the masklet covers its return only
    masks = measured(leaving, pixels).masks
    assert (masks.matched.n_objects, masks.all.n_objects) == (0, 1)
    tracking = masks.tracking
    assert (tracking.visible.n_objects, tracking.found, tracking.switches) == (1, 1, 0)
    share = expected[40:].sum() / expected.sum()
    assert 0.2 < share < 0.8
    assert tracking.det_a == tracking.ass_a == tracking.hota == pytest.approx(share)
    assert tracking.mostly_followed == int(share >= 0.5)
    assert tracking.idf1 == pytest.approx(2 * share / (1 + share))


def drawn(clip, report, pixels, folder):
    """The page, and the eight tiles of the first crossing on it, from two rows of four: (8, H, W, 3)."""
    from PIL import Image

    page = write_report(report, clip.truth_path.parent, rows_of(clip, pixels), folder).read_text()
    strip = np.pad(np.asarray(Image.open(folder / "crossing000.png")), ((0, 4), (0, 4), (0, 0)))
    tiles = strip.reshape(2, 96 + 4, 4, 144 + 4, 3).swapaxes(1, 2)[:, :, :96, :144]  # 4 pixels between tiles
    return page, tiles.reshape(8, 96, 144, 3)


def test_a_crossing_is_drawn_with_its_masklets_and_its_fate(crossing, right, wrong, tmp_path):
    page, good_tiles = drawn(crossing, right, truth_pixels(crossing), tmp_path / "right")
    assert page.count("kept: person (object") == 2
    assert "J own 1.000, other 0.000. x, x_0." in page
    assert AccuracyReport.model_validate_json((tmp_path / "right" / "accuracy.json").read_text()) == right
    page, bad_tiles = drawn(crossing, wrong, swapped_pixels(crossing), tmp_path / "wrong")
    assert page.count("lost: person (object") == 2
    assert "J own 0.000, other 1.000. x, x_0." in page
    k = frames_to_show(wrong.crossings[0], N_FRAMES)[-1]
    assert k == wrong.crossings[0].parted_frame + 7
    mask = crossing.visible(k, 0)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    frame = read_clip(crossing.truth_path.parent.parent / "x.mp4")[k].astype(float)
    for tile, color in ((good_tiles[-1], COLORS[0]), (bad_tiles[-1], COLORS[1])):
        tinted = frame * (1 - TINT) + np.array(color) * TINT
        assert np.abs(np.median((tile - tinted)[inside], axis=0)).max() < 2
        edge = mask & ~cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))).astype(bool)
        assert (tile[edge] == 255).all()


def test_an_absence_is_drawn_and_the_option_bounds_the_strips(leaving, crossing, right, tmp_path):
    pixels = truth_pixels(leaving)
    rows, truth = rows_of(leaving, pixels), leaving.truth_path.parent
    page = write_report(measure(truth, rows), truth, rows, tmp_path).read_text()
    assert "kept, found again: person (object 0, masklet 0), out of sight at frame" in page
    assert [file.name for file in tmp_path.glob("return*.png")] == ["return000.png"]
    few = right.model_copy(update={"options": {**right.options, "strips": 1}})
    write_report(few, crossing.truth_path.parent, rows_of(crossing, truth_pixels(crossing)), tmp_path)
    assert [file.name for file in tmp_path.glob("crossing*.png")] == ["crossing000.png"]
