"""Expected gain, by hand."""

from mvideo_core.base.records import MaskRow, ObjectStats
from mvideo_core.pages.review.order import expected_gain, object_gains


def thing(n: int, score: float, drift: float, visible: float) -> ObjectStats:
    return ObjectStats(
        object_id=n, label="dog", detection_score=1, mask_score=score, visible_frac=visible, mean_area_frac=0.1,
        drift=drift,
    )  # fmt: skip


def test_frames_weighted_by_what_is_probably_wrong():
    row = MaskRow(key="a", n_frames=50, objects=[thing(0, 1.0, 0.0, 1.0), thing(1, 0.8, 0.5, 0.5), thing(2, 0, 0, 0)])
    assert object_gains(row) == [0.0, 35.0, 50.0]  # 50 * (1 - 0.8 * 0.5 * 0.75) = 35
    assert expected_gain(row) == 85.0
    assert expected_gain(row, decided=[2]) == 35.0
    assert expected_gain(MaskRow(key="a", n_frames=50)) == 0.0
