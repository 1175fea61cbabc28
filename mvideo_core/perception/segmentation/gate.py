"""Quality gate: statistics of every masklet, and which masklets are good enough for training.

All limits are fractions. The defaults are loose, meant to drop failures but not hard cases; they were not tuned on
labeled data. A masklet is dropped for the first rule it violates.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.base.records import ObjectStats, TrustStats
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import areas, drift
from mvideo_core.perception.segmentation.trust import TrustOptions


class GateOptions(Options):
    """Limits of the quality gate."""

    min_area_frac: float = Field(
        0.0005,
        ge=0,
        le=1,
        description="minimum mean area over visible frames, fraction of the frame; higher is stricter",
    )
    max_area_frac: float = Field(
        0.8, gt=0, le=1, description="maximum mean area over visible frames, fraction of the frame; lower is stricter"
    )
    min_visible_frac: float = Field(
        0.3, ge=0, le=1, description="minimum fraction of frames with a mask; higher is stricter"
    )
    min_score: float = Field(
        0.3, ge=0, le=1, description="minimum mean segmenter score over visible frames; higher is stricter"
    )
    max_drift: float = Field(
        0.7,
        ge=0,
        le=1,
        description="maximum of 1 - mean IoU of consecutive frames; lower is stricter (fast motion also counts)",
    )
    min_trust: float = Field(
        0.0,
        ge=0,
        le=1,
        description="minimum mean trust over visible frames, needs `trust.model`; 0 = off; higher is stricter",
    )


class SegmentOptions(Options):
    """Segmenter and quality gate."""

    segmenter: str = Field("sam2", description="registry name of the segmenter")
    segmenter_options: dict[str, Any] = Field(
        default_factory=dict, description="options of the segmenter, validated by its own Options class"
    )
    gate: GateOptions = Field(default=GateOptions(), description="quality gate for masklets")
    trust: TrustOptions = Field(default=TrustOptions(), description="predicted IoU of every mask with the truth")
    warn_few_objects: float = Field(default=0.5, ge=0, description="warn if clips have fewer objects on average")
    warn_many_objects: float = Field(default=9.0, gt=0, description="warn if clips have more objects on average")

    @model_validator(mode="after")
    def _check_trust(self) -> Self:
        if self.gate.min_trust and not self.trust.model:
            raise ValueError(
                f'gate.min_trust is {self.gate.min_trust:g} but trust.model is "": set trust.model, or min_trust to 0'
            )
        return self

    def content(self) -> dict[str, Any]:
        """What decides the output; options at their default are left out, so that keys from before them stay."""
        unused: dict[str, Any] = {
            "warn_few_objects": True,
            "warn_many_objects": True,
            "gate": self.gate.at_default("min_trust"),
        }
        return self.model_dump(mode="json", exclude=unused | dict.fromkeys(self.at_default("trust"), True))


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
