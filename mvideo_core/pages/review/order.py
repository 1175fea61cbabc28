"""Expected gain of a look at a clip: frames of its objects, weighted by what is probably wrong with them."""

from collections.abc import Sequence

from mvideo_core.base.records import MaskRow, ObjectStats


def predicted_quality(one: ObjectStats) -> float:
    """Expected J of a masklet over its clip, from what the gate knows, 0 to 1.

    The segmenter's own score falls where it loses an object; drift rises where masks jump; frames without a mask may
    be misses. benchmarks/review.py compares the order that follows from it with a random one.
    """
    return one.mask_score * (1 - one.drift) * (0.5 + 0.5 * one.visible_frac)


def object_gains(row: MaskRow, decided: Sequence[int] = ()) -> list[float]:
    """Frames per object that a correction may put right; 0 for objects that are decided already."""
    gains = []
    for one in row.objects:
        gain = 0.0 if one.object_id in decided else row.n_frames * (1 - predicted_quality(one))
        gains.append(round(gain, 3))
    return gains


def expected_gain(row: MaskRow, decided: Sequence[int] = ()) -> float:
    """Frames that a look at a clip may put right, over all its objects."""
    return round(sum(object_gains(row, decided)), 3)
