import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.gate import gate, object_stats
from mvideo_core.perception.segmentation.options import GateOptions, SegmentOptions


def clip(*boxes_by_frame: tuple[int, int, int, int] | None) -> np.ndarray:
    """One object in a 20 x 10 frame, a half-open box or nothing per frame."""
    masks = np.zeros((len(boxes_by_frame), 1, 10, 20), bool)
    for t, box in enumerate(boxes_by_frame):
        if box:
            x0, y0, x1, y1 = box
            masks[t, 0, y0:y1, x0:x1] = True
    return masks


def stats_of(masks: np.ndarray, scores: list[float], **limits: float):
    sequence = encode(masks)
    scores_TN = np.asarray(scores, np.float32).reshape(len(masks), 1)
    return object_stats(sequence, scores_TN, ["dog"], [0.7], GateOptions(**limits))[0]


def test_numbers_by_hand():
    masks = clip((0, 0, 4, 5), (2, 0, 6, 5), None, (2, 0, 6, 5))  # 20 px of 200; IoU of the first pair 10 / 30
    stats = stats_of(masks, [0.9, 0.6, 0.0, 0.3])
    assert stats.label == "dog"
    assert stats.detection_score == 0.7
    assert stats.visible_frac == 0.75
    assert stats.mean_area_frac == 0.1
    assert stats.mask_score == 0.6  # of the three visible frames
    assert stats.drift == pytest.approx(2 / 3, abs=1e-6)
    assert stats.kept
    assert stats.drop_reason is None


@pytest.mark.parametrize(
    ("limits", "reason", "value", "threshold"),
    [
        ({"min_visible_frac": 0.8}, "rarely_visible", 0.75, 0.8),
        ({"min_area_frac": 0.11}, "too_small", 0.1, 0.11),
        ({"max_area_frac": 0.09}, "too_large", 0.1, 0.09),
        ({"min_score": 0.61}, "low_score", 0.6, 0.61),
        ({"max_drift": 0.6}, "drifts", 0.666667, 0.6),
        ({"min_score": 0.9, "min_visible_frac": 0.9}, "rarely_visible", 0.75, 0.9),  # the first rule broken
    ],
)
def test_each_rule_names_itself(limits, reason, value, threshold):
    stats = stats_of(clip((0, 0, 4, 5), (2, 0, 6, 5), None, (2, 0, 6, 5)), [0.9, 0.6, 0.0, 0.3], **limits)
    assert not stats.kept
    assert (stats.drop_reason, stats.drop_value, stats.drop_threshold) == (reason, value, threshold)


def test_an_object_never_seen_is_dropped_without_a_warning(recwarn):
    stats = stats_of(clip(None, None), [0.9, 0.9])
    assert stats.drop_reason == "rarely_visible"
    assert (stats.mask_score, stats.mean_area_frac, stats.drift) == (0.0, 0.0, 0.0)
    assert not recwarn.list


def test_limits_are_inclusive():
    stats = stats_of(clip((0, 0, 4, 5)), [0.5], min_area_frac=0.1, max_area_frac=0.1, min_visible_frac=1, min_score=0.5)
    assert gate(stats, GateOptions(min_area_frac=0.1, max_area_frac=0.1, min_visible_frac=1, min_score=0.5)) is None
    assert stats.kept


def test_options_refuse_unknown_limits():
    with pytest.raises(ConfigError, match="min_size"):
        SegmentOptions.parse({"gate": {"min_size": 3}})
