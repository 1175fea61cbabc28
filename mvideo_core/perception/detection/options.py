"""Options of the detect stage."""

from typing import Any, Literal

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.perception.detection.coco import COCO80
from mvideo_core.perception.detection.search import FrameChoice, When


class BoxOptions(Options):
    """Which detector to use, and which of its boxes count; shared with the extraction of named objects."""

    detector: str = Field(default="groundingdino", description="registry name of the detector")
    detector_options: dict[str, Any] = Field(
        default_factory=dict, description="options of the detector, validated by its own Options class"
    )
    box_threshold: float = Field(default=0.3, ge=0, le=1, description="minimum score of a box; higher is stricter")
    nms_iou: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="IoU above which the lower-scored of two boxes is dropped; in extraction, of the same name only",
    )


class DetectOptions(BoxOptions):
    """Detector, classes, and selection thresholds."""

    classes: Literal["coco80"] | list[str] = Field(default="coco80", description="phrases to look for, in one prompt")
    max_objects: int = Field(default=10, ge=1, description="maximum boxes per clip, best scores first")
    min_area_frac: float = Field(default=0.001, ge=0, le=1, description="minimum box area, fraction of the frame")
    max_area_frac: float = Field(default=0.95, gt=0, le=1, description="maximum box area, fraction of the frame")
    when: When = Field(
        default="first",
        description='frames to search: "first" (the paper), "keyframes" (every `step_s`), "adaptive" (every `step_s` '
        "if the picture has changed)",
    )
    step_s: float = Field(default=1.0, gt=0, description="seconds between searched frames")
    max_step_s: float = Field(default=4.0, gt=0, description="adaptive: maximum seconds between searches")
    min_change: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="adaptive: share of the picture that must have changed since the last searched frame",
    )

    def phrases(self) -> list[str]:
        """The full class list."""
        return list(COCO80) if self.classes == "coco80" else list(self.classes)

    def choice(self, fps: float) -> FrameChoice:
        """Which frames to search in a clip of this rate; one per clip."""
        return FrameChoice(self.when, round(self.step_s * fps), round(self.max_step_s * fps), self.min_change)

    def content(self) -> dict[str, Any]:
        """What decides the boxes."""
        unused = {"step_s", "max_step_s", "min_change"} if self.when == "first" else set()
        unused |= {"max_step_s", "min_change"} if self.when == "keyframes" else set()
        return self.model_dump(mode="json", exclude=unused | self.at_default("when"))
