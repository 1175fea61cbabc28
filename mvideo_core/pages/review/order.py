"""Expected gain of reviewing a clip: frames of its objects, weighted by what is probably wrong with them."""

from collections.abc import Sequence

from mvideo_core.base.records import MaskRow, ObjectStats, TrustStats


def predict_quality(one: ObjectStats, trust: TrustStats | None = None) -> float:
    """Expected J of a masklet over its clip, 0 to 1; frames without a mask count half, since they may be misses.

    Predicted trust is used if there is one. Without it, the gate's figures: the segmenter's own score falls where it
    loses an object, and drift rises where masks jump. benchmarks/review.py compares the order with a random one.
    """
    quality = trust.mean if trust else one.mask_score * (1 - one.drift)
    return quality * (0.5 + 0.5 * one.visible_frac)


def object_gains(row: MaskRow, decided: Sequence[int] = ()) -> list[float]:
    """Frames per object that a correction may put right; 0 for objects that are decided already."""
    trust = {one.object_id: one for one in row.trust}
    gains = []
    for one in row.objects:
        quality = 1.0 if one.object_id in decided else predict_quality(one, trust.get(one.object_id))
        gains.append(round(row.n_frames * (1 - quality), 3))
    return gains


def estimate_gain(row: MaskRow, decided: Sequence[int] = ()) -> float:
    """Frames that a review of a clip may correct, over all its objects."""
    return round(sum(object_gains(row, decided)), 3)


def doubtful_frame(row: MaskRow) -> int:
    """Frame with the least trusted mask; 0 without trust."""
    seen = [(percent, frame) for one in row.trust for frame, percent in enumerate(one.percent) if percent >= 0]
    return min(seen)[1] if seen else 0
