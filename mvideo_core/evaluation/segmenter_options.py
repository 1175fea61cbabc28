"""Which segmenter finds the objects in a video, for every metric that compares masks."""

from typing import Any

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.evaluation.mask_grid import GridFit
from mvideo_core.perception.segmentation import SEGMENTERS, Segmenter
from mvideo_core.perception.segmentation.sam2_video import is_mini


class SegmenterOptions(Options):
    """The segmenter, and how masks are fitted to the video."""

    fit: GridFit = Field(
        default="same", description="if aspect ratios differ: same = error; crop, letterbox, stretch = how to fit masks"
    )
    segmenter: str = Field(default="sam2", description="registry name of the segmenter")
    segmenter_options: dict[str, Any] = Field(
        default_factory=dict,
        description='options; weights: "mini" (default) for the mini world, "sam2.1-hiera-large" for real footage',
    )

    def load_segmenter(self, device: str) -> Segmenter:
        """Load the segmenter with weights from disk.

        Raises:
            ModelError: weights missing. ConfigError: unknown segmenter or options.
        """
        kind: Any = SEGMENTERS.get(self.segmenter)
        segmenter: Segmenter = kind.load(kind.Options.parse(self.segmenter_options, "segmenter_options"), device)
        return segmenter

    def is_mini(self) -> bool:
        """Whether the segmenter is smaller than every public one, regardless of its folder name."""
        kind: Any = SEGMENTERS.get(self.segmenter)
        chosen = kind.Options.parse(self.segmenter_options, "segmenter_options")
        return is_mini(str(getattr(chosen, "weights", "")))
