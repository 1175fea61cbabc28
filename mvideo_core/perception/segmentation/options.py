"""Options of the segment stage: segmenter, trust, and the limits of the quality gate.

All limits are fractions. The defaults are loose, meant to drop failures but not hard cases; they were not tuned on
labeled data.
"""

from typing import Any, Self

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
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
