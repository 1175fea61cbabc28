"""Corrections of objects: where their masks come from, and whose verdict counts."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import ObjectStats
from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.corrections import Objects, correct, judge
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.segmentation.two_way import Spool
from mvideo_core.store.decisions import Decision, LocatedDecision

HEIGHT, WIDTH, N_FRAMES = 48, 64, 8
CLIP, MASKS = "a" * 64, "0" * 16
BOX, OTHER = (20.0, 10.0, 60.0, 40.0), (2.0, 20.0, 20.0, 44.0)


def placed(action: str, obj: int | None = 0, **values) -> LocatedDecision:
    return LocatedDecision(Decision(clip=CLIP, action=action, object=obj, masks=MASKS, **values), "file line 7")


@pytest.fixture(scope="module")
def frames():
    noise = np.random.default_rng(0).integers(0, 255, (N_FRAMES, 6, 8, 3), np.uint8)
    return [np.kron(frame, np.ones((8, 8, 1), np.uint8)) for frame in noise]


@pytest.fixture(scope="module")
def segmenter():
    return Sam2Segmenter.tiny()


@pytest.fixture
def found() -> Objects:
    pixels = np.zeros((N_FRAMES, 2, HEIGHT, WIDTH), bool)
    pixels[:, 0, :9, :9] = pixels[2:, 1, 30:, 40:] = True
    return Objects(encode(pixels), np.full((N_FRAMES, 2), 0.5, np.float32), ["dog", "cat"], [0.9, 0.8], {})


def corrected(found, decided, segmenter, frames) -> Objects:
    return correct(found, decided, segmenter, lambda: iter(frames), lambda: Spool(HEIGHT, WIDTH))


def tracked(segmenter, frames, start: int, box) -> list[np.ndarray]:
    """Masks (T, H, W) of one box, forwards and backwards, by two plain calls."""
    boxes = np.array([box], np.float32)
    after, before = (
        [one.masks_NHW[0] for one in segmenter.propagate(part, HEIGHT, WIDTH, boxes)]
        for part in (frames[start:], frames[start::-1])
    )
    return [*before[:0:-1], *after]


def test_a_box_gives_one_object_new_masks_both_ways(found, segmenter, frames):
    made = corrected(found, [placed("box", 1, frame=5, box_xyxy=BOX)], segmenter, frames)
    assert (made.sequence.pixels()[:, 1] == tracked(segmenter, frames, 5, BOX)).all()
    assert (made.sequence.pixels()[:, 0] == found.sequence.pixels()[:, 0]).all()
    assert (made.scores_TN[:, 0] == 0.5).all()
    assert (made.scores_TN[:, 1] != 0.5).all()
    assert (made.labels, made.first_seen) == (["dog", "cat"], {1: 5})


def test_each_frame_follows_the_nearest_of_two_boxes(found, segmenter, frames):
    both = [placed("box", 0, frame=6, box_xyxy=OTHER), placed("box", 0, frame=2, box_xyxy=BOX)]
    made = corrected(found, both, segmenter, frames).sequence.pixels()[:, 0]
    early, late = tracked(segmenter, frames, 2, BOX), tracked(segmenter, frames, 6, OTHER)
    assert (made == [*early[:5], *late[5:]]).all()  # frame 4 is as near to 2 as to 6


def test_a_new_object_is_added_and_one_is_renamed(found, segmenter, frames):
    new = placed("box", 2, frame=0, box_xyxy=BOX, label="cow")
    made = corrected(found, [new, placed("relabel", 0, label="horse")], segmenter, frames)
    assert (made.labels, made.box_scores) == (["horse", "cat", "cow"], [0.9, 0.8, 1.0])
    assert (made.sequence.pixels()[:, 2] == tracked(segmenter, frames, 0, BOX)).all()


def test_a_click_starts_from_the_box_of_what_is_under_it(found, segmenter, frames):
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(segmenter.network)
    predictor._bb_feat_sizes = [(16, 16), (8, 8), (4, 4)]  # the package writes those of 1024 px input into the class
    predictor.set_image(frames[3])
    logits, ious, _ = predictor.predict(
        point_coords=np.array([[30, 20]]), point_labels=np.array([1]), multimask_output=True, return_logits=True
    )
    rows, columns = np.nonzero(logits[ious.argmax()] > 0)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    made = corrected(found, [placed("point", 0, frame=3, point_xy=(30, 20))], segmenter, frames)
    assert (made.sequence.pixels()[:, 0] == tracked(segmenter, frames, 3, box)).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (placed("box", 0, frame=8, box_xyxy=BOX), "line 7: frame 8, but the clip has frames 0 to 7"),
        (placed("box", 0, frame=1, box_xyxy=(64, 0, 70, 9)), "outside of the clip of 64x48 pixels"),
        (placed("point", 0, frame=1, point_xy=(3, 48)), r"point \[3.0, 48.0\] is outside"),
        (placed("relabel", 2, label="cow"), "line 7: no object 2; the clip has 2, numbered from 0"),
        (placed("box", 3, frame=1, box_xyxy=BOX, label="cow"), "no object 3; a new one gets the number 2"),
        (placed("box", 2, frame=1, box_xyxy=BOX), "object 2 is new and needs a label"),
    ],
)
def test_what_does_not_fit_the_clip_is_refused_with_its_line(found, segmenter, frames, wrong, words):
    with pytest.raises(ConfigError, match=words):
        corrected(found, [wrong], segmenter, frames)


def stats(n: int, kept: bool, visible: float = 1.0) -> ObjectStats:
    drop = {} if kept else {"drop_reason": "drifts", "drop_value": 0.9, "drop_threshold": 0.7}
    return ObjectStats(
        object_id=n, label="dog", detection_score=1, mask_score=1, visible_frac=visible, mean_area_frac=0.1, drift=0,
        kept=kept, **drop,
    )  # fmt: skip


def test_verdicts_go_over_the_gate():
    def kept(objects, *decided):
        return [(one.kept, one.drop_reason) for one in judge(objects, decided)]

    mixed, none = [stats(0, True), stats(1, False)], [stats(0, False), stats(1, False, visible=0.0)]
    assert kept(mixed) == [(True, None), (False, "drifts")]
    assert kept(mixed, placed("accept", None)) == [(True, None), (False, "drifts")]  # as it was seen
    assert kept(mixed, placed("accept", 1), placed("reject", 0)) == [(False, "rejected"), (True, None)]
    assert kept(none, placed("accept", None)) == [(True, None), (False, "drifts")]  # no mask, nothing to keep
