"""HistogramDetector: difference between the luma histograms of neighboring frames."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes._pyscenedetect import FedDetector


class HistogramOptions(Options):
    """Defaults follow PySceneDetect's command line."""

    threshold: float = Field(default=0.05, ge=0, le=1, description="histogram difference; higher = fewer cuts")
    bins: int = Field(default=256, ge=2, le=256, description="histogram bins")
    min_scene_s: float = Field(default=0.3, ge=0, description="minimum seconds between cuts; closer ones are dropped")


@SCENE_DETECTORS.register("histogram")
class Histogram(FedDetector):
    """Fastest; tolerant of motion, sensitive to exposure."""

    options_type: ClassVar[type[Options]] = HistogramOptions

    def __init__(self, options: HistogramOptions):
        from scenedetect.detectors import HistogramDetector

        detector = HistogramDetector(threshold=options.threshold, bins=options.bins, min_scene_len=options.min_scene_s)
        super().__init__(detector, lag_frames=1, lag_s=0.0)
