"""Identity through crossings: the right masklets keep it, swapped ones do not."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mvideo_core.accuracy.mapping import clip_truth
from mvideo_core.accuracy.masklets import MaskCounter, parted_after, track_of
from mvideo_core.masks import encode
from mvideo_core.records import Blob, ClipRow, MaskRow, ObjectStats
from mvideo_core.world import Path, read_truth, sample_shot, sample_source, write_source


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """Two people who walk past each other: x = -0.4 + 0.1 t and 0.4 - 0.1 t, so they meet at t = 4 s of 8 s."""
    folder = tmp_path_factory.mktemp("crossing")
    spec = next(s for s in (sample_shot(i, classes=("person",)) for i in range(99)) if len(s.actors) == 2)
    actors = tuple(
        replace(
            actor, action="walk", height=0.5, depth=float(i), path=Path(0.4 * side, 0.9, -0.1 * side), role="crossing"
        )
        for i, (actor, side) in enumerate(zip(spec.actors, (-1, 1), strict=True))
    )
    camera = replace(spec.camera, kind="static", start=(0, 0.5, 1), end=(0, 0.5, 1), shake=0.0, target=-1)
    spec = replace(spec, actors=actors, occluders=(), camera=camera, duration_s=8.0)
    source = replace(
        sample_source(0, n_shots=1), name="x", width=144, height=96, fps=Fraction(8), shots=(spec,), lengths=(65,)
    )
    write_source(source, folder)
    clip = ClipRow(key="x_0", parent="x", start_s=0.0, end_s=8.125, fps=8.0, n_frames=65, width=144, height=96)
    path = folder / "truth" / "x.json"
    return clip_truth(path, read_truth(path), clip)


def counted(clip, pixels):
    counter = MaskCounter(0.5)
    stats = [ObjectStats(object_id=i, label="person", detection_score=1, mask_score=1, visible_frac=1, mean_area_frac=0,
                         drift=0) for i in range(2)]  # fmt: skip
    row = MaskRow(key="x_0", masks=Blob(path="x", sha256="", size_bytes=0), objects=stats)
    counter.add(clip, row, encode(pixels))
    return counter.figures()


def truth_pixels(clip):
    return np.stack([[clip.visible(k, obj) for obj in range(2)] for k in range(65)])


def test_they_meet_in_the_middle_and_part(crossing):
    tracks = {obj: track_of(crossing, obj) for obj in range(2)}
    overlap = [k for k in range(65) if tracks[0].seen_area[k] < 0.9 * tracks[0].amodal_area[k]]
    assert 32 in overlap
    assert abs(np.mean(overlap) - 32) < 3
    parted = parted_after(crossing, 0, 1, tracks)
    assert parted > 34
    assert tracks[0].seen_area[parted] == tracks[0].amodal_area[parted]


def test_right_masklets_keep_identity_and_swapped_ones_lose_it(crossing):
    pixels = truth_pixels(crossing)
    right = counted(crossing, pixels)
    assert (right.crossings, right.crossings_kept, right.returns) == (2, 2, 0)
    assert right.by_occlusion["partial"].n_objects + right.by_occlusion["vanishes"].n_objects == 1
    swapped = pixels.copy()
    swapped[33:] = pixels[33:, ::-1]
    wrong = counted(crossing, swapped)
    assert (wrong.crossings, wrong.crossings_kept) == (2, 0)
    assert wrong.matched.j < 0.7
