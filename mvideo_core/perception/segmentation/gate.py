"""Quality gate: statistics of every masklet, and which masklets are good enough for training.

A masklet is dropped for the first rule it violates; the limits are in `options.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvideo_core.base.records import ObjectStats, TrustStats
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import areas, drift
from mvideo_core.perception.segmentation.options import GateOptions


class Drop(NamedTuple):
    """The rule a masklet violated: its name, the value seen and the limit."""

    reason: str
    value: float
    threshold: float


def object_stats(
    sequence: MaskSequence, scores_TN: np.ndarray, labels: Sequence[str], detection_scores: Sequence[float],
    options: GateOptions, trust: Sequence[TrustStats] = (),
) -> list[ObjectStats]:  # fmt: skip
    """Statistics and verdict of every masklet, computed on the mask code without decoding to pixels.

    Args:
        sequence: T frames, N objects.
        scores_TN: (T, N) segmenter score in each frame, in [0, 1].
        labels, detection_scores: N each.
        trust: N, or none if it is not predicted.
    """
    areas_TN = areas(sequence)
    n_pixels = sequence.height * sequence.width
    found = []
    for n, (label, detection_score) in enumerate(zip(labels, detection_scores, strict=True)):
        visible_T = areas_TN[:, n] > 0
        stats = ObjectStats(
            object_id=n,
            label=label,
            detection_score=detection_score,
            mask_score=_round_off(scores_TN[visible_T, n].mean()) if visible_T.any() else 0.0,
            visible_frac=_round_off(visible_T.mean()) if len(visible_T) else 0.0,
            mean_area_frac=_round_off(areas_TN[visible_T, n].mean() / n_pixels) if visible_T.any() else 0.0,
            drift=_round_off(drift(sequence, n)),
        )
        drop = gate(stats, options, trust[n].mean if trust else 1.0)
        if drop is not None:
            verdict = {"drop_reason": drop.reason, "drop_value": drop.value, "drop_threshold": drop.threshold}
            stats = stats.model_copy(update={"kept": False, **verdict})
        found.append(stats)
    return found


def gate(stats: ObjectStats, options: GateOptions, trust: float = 1.0) -> Drop | None:
    """The first rule that a masklet violates; None if it passes.

    Args:
        trust: mean over its masks.
    """
    rules = (
        ("rarely_visible", stats.visible_frac, options.min_visible_frac, stats.visible_frac < options.min_visible_frac),
        ("too_small", stats.mean_area_frac, options.min_area_frac, stats.mean_area_frac < options.min_area_frac),
        ("too_large", stats.mean_area_frac, options.max_area_frac, stats.mean_area_frac > options.max_area_frac),
        ("low_score", stats.mask_score, options.min_score, stats.mask_score < options.min_score),
        ("drifts", stats.drift, options.max_drift, stats.drift > options.max_drift),
        ("low_trust", trust, options.min_trust, trust < options.min_trust),
    )
    for reason, value, threshold, broken in rules:
        if broken:
            return Drop(reason, value, threshold)
    return None


def _round_off(value: float) -> float:
    """Round to six decimals, so that float noise between machines does not change a row."""
    return round(float(value), 6)
