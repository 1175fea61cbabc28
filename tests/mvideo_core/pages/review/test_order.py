"""Expected gain, by hand."""

from mvideo_core.base.records import MaskRow, ObjectStats, TrustStats
from mvideo_core.pages.review.order import doubtful_frame, estimate_gain, object_gains


def thing(n: int, score: float, drift: float, visible: float) -> ObjectStats:
    return ObjectStats(
        object_id=n, label="dog", detection_score=1, mask_score=score, visible_frac=visible, mean_area_frac=0.1,
        drift=drift,
    )  # fmt: skip


def test_frames_weighted_by_what_is_probably_wrong():
    row = MaskRow(key="a", n_frames=50, objects=[thing(0, 1.0, 0.0, 1.0), thing(1, 0.8, 0.5, 0.5), thing(2, 0, 0, 0)])
    assert object_gains(row) == [0.0, 35.0, 50.0]  # 50 * (1 - 0.8 * 0.5 * 0.75) = 35
    assert estimate_gain(row) == 85.0
    assert estimate_gain(row, decided=[2]) == 35.0
    assert estimate_gain(MaskRow(key="a", n_frames=50)) == 0.0


def test_predicted_trust_replaces_the_gates_figures():
    trust = [
        TrustStats(object_id=1, mean=0.5, least=0.2, sure_frac=0, percent=[80, 20, -1, 50]),
        TrustStats(object_id=0, mean=0.9, least=0.9, sure_frac=1, percent=[90, 90, 90, 90]),
    ]
    row = MaskRow(key="a", n_frames=4, objects=[thing(0, 0.1, 0.0, 1.0), thing(1, 0.9, 0.0, 0.75)], trust=trust)
    assert object_gains(row) == [0.4, 2.25]  # 4 * (1 - 0.9); 4 * (1 - 0.5 * 0.875)
    assert (doubtful_frame(row), doubtful_frame(row.model_copy(update={"trust": []}))) == (1, 0)
