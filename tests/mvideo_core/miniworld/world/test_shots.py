"""Shots: same seed same bytes, splits apart, truth agrees with the picture."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.world import (
    coco_classes,
    kinds,
    label_objects,
    render_shot,
    render_times,
    sample_frame,
    sample_shot,
    unseen_classes,
)
from mvideo_core.miniworld.world.sample import draw_look

DIGEST = """
import hashlib
from mvideo_core.miniworld.world import render_shot, sample_shot
h = hashlib.sha256()
for f in render_shot(sample_shot(5), 3, 144, 96, 4.0):
    h.update(f.rgb.tobytes()); h.update(f.visible.tobytes()); h.update(f.amodal.tobytes())
print(h.hexdigest())
"""


def test_same_seed_gives_the_same_bytes_in_another_interpreter():
    runs = [
        subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    here = hashlib.sha256()
    for frame in render_shot(sample_shot(5), 3, 144, 96, 4.0):
        here.update(frame.rgb.tobytes())
        here.update(frame.visible.tobytes())
        here.update(frame.amodal.tobytes())
    assert runs[0] == runs[1] == here.hexdigest() + "\n"


def test_classes_are_eighteen_of_coco_and_the_papers_seven():
    assert len(coco_classes()) == 18
    assert unseen_classes() == ("cheetah", "deer", "llama", "penguin", "sea turtle", "squirrel", "tiger")


def test_training_shots_never_hold_an_unseen_class_and_splits_differ():
    for seed in range(150):
        for split in ("train", "val", "heldout"):
            assert not {actor.kind for actor in sample_shot(seed, split).actors} & set(unseen_classes())
    assert sample_shot(3, "train").actors != sample_shot(3, "val").actors
    assert {sample_shot(seed, "heldout", unseen=True).actors[0].kind for seed in range(60)} == set(unseen_classes())


def test_the_frozen_look_draws_the_same_shot_as_the_day_it_was_frozen():
    spec = sample_shot(0)
    assert (spec.scene.kind, [actor.kind for actor in spec.actors]) == ("hall", ["person"])
    frame = next(render_times(spec, [0.0], 144, 96))
    assert frame.rgb.mean(axis=(0, 1)) == pytest.approx(LOOK_MEAN, abs=1.0)
    assert int(frame.visible.sum()) == pytest.approx(LOOK_AREA, abs=12)


LOOK_MEAN, LOOK_AREA = (159.3, 172.9, 140.6), 719


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_class_draws_finite_polygons_about_one_high(name):
    one = kinds()[name]
    for action in one.actions:
        for phase in (0.0, 1.0, 2.5, 4.0):
            parts = one.draw(draw_look(Random(name), one), action.name, phase)
            points = np.concatenate([part.points for part in parts])
            assert np.isfinite(points).all()
            if action.name != "bounce":
                assert 0.3 < np.ptp(points[:, 1]) < 1.5
            assert len(parts) >= 4


def test_visible_mask_is_amodal_minus_what_lies_in_front():
    spec = next(s for s in (sample_shot(seed) for seed in range(50)) if len(s.actors) >= 3 and not s.occluders)
    frame = next(render_times(spec, [1.0], 240, 160))
    order = sorted(spec.actors, key=lambda actor: actor.depth)
    for rank, actor in enumerate(order):
        front = np.zeros((160, 240), bool)
        for other in order[rank + 1 :]:
            front |= frame.amodal[other.object_id]
        expected = frame.amodal[actor.object_id] & ~front
        np.testing.assert_array_equal(frame.visible[actor.object_id], expected)


def test_mask_covers_the_pixels_that_the_object_changes():
    spec = sample_shot(0, classes=("kite",))  # flyers cast no shadow
    clean = replace(spec, grain=0.0, occluders=(), camera=replace(spec.camera, kind="static", shake=0.0))
    shown = next(render_times(clean, [0.0], 288, 192))
    gone = next(render_times(replace(clean, actors=()), [0.0], 288, 192))
    changed = np.abs(shown.rgb.astype(int) - gone.rgb).max(axis=2) > 40
    mask = shown.visible.any(axis=0)
    ring = np.zeros_like(mask)
    ring[1:-1, 1:-1] = mask[2:, 1:-1] | mask[:-2, 1:-1] | mask[1:-1, 2:] | mask[1:-1, :-2]
    outside = changed & ~(mask | ring)
    assert outside.sum() == 0
    assert (changed & mask).sum() > 0.6 * mask.sum()


def test_two_sizes_show_the_same_world():
    import cv2

    spec = sample_shot(11)
    small = next(render_times(spec, [0.5], 180, 120))
    large = next(render_times(spec, [0.5], 720, 480))
    for a, b in zip(small.visible, large.visible, strict=True):
        shrunk = cv2.resize(b.astype(np.float32), (180, 120), interpolation=cv2.INTER_AREA) > 0.5
        if a.sum() > 200:
            assert (a & shrunk).sum() / (a | shrunk).sum() > 0.85
    difference = np.abs(cv2.resize(large.rgb, (180, 120), interpolation=cv2.INTER_AREA).astype(int) - small.rgb)
    assert difference.mean() < 12


def test_path_turns_at_its_ends():
    from mvideo_core.miniworld.world import Path

    path = Path(x0=0.0, y=0.5, vx=0.5, low=-1.0, high=1.0)
    assert path.at(0.0) == (0.0, 0.5, 1.0)
    assert path.at(2.0) == (1.0, 0.5, 1.0)
    assert path.at(3.0) == (0.5, 0.5, -1.0)
    assert path.at(7.0)[:2] == (-0.5, 0.5)
    back = Path(x0=0.5, y=0.5, vx=-0.5, low=-1.0, high=1.0)
    assert back.at(1.0) == (0.0, 0.5, -1.0)
    assert back.at(4.0) == (-0.5, 0.5, 1.0)


def test_still_asks_for_what_is_big_and_visible_enough():
    spec = sample_shot(0)
    frame = next(render_times(spec, [0.0], 144, 96))
    still = label_objects(spec, frame)
    assert still.labels == ("person",)
    rows, columns = np.nonzero(still.masks[0])
    assert still.boxes_xyxy[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_stills_are_varied_and_boxes_lie_inside():
    seen = set()
    for seed in range(40):
        still = sample_frame(seed, 144, 96)
        seen.update(still.labels)
        assert len(still.labels) == len(still.boxes_xyxy) == len(still.masks)
        if len(still.labels):
            assert still.boxes_xyxy.min() >= 0
            assert (still.boxes_xyxy[:, 2] <= 144).all()
            assert (still.boxes_xyxy[:, 3] <= 96).all()
    assert len(seen) >= 14


def test_bad_requests_say_what_is_allowed():
    with pytest.raises(ConfigError, match="train, val, heldout"):
        sample_shot(1, "test")
    with pytest.raises(ConfigError, match="known: airplane"):
        sample_shot(1, classes=("dragon",))
    with pytest.raises(ConfigError, match="minimum is 32x32"):
        render_shot(sample_shot(1), 1, 16, 16, 8)
