"""ContentDetector: threshold on the mean change of hue, saturation and value between neighboring frames."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes._pyscenedetect import FedDetector


class ContentOptions(Options):
    """PySceneDetect 0.7.2's defaults, except that the minimum scene length is in seconds."""

    threshold: float = Field(default=27.0, ge=0, le=255, description="mean change, 0 to 255; higher = fewer cuts")
    min_scene_s: float = Field(default=0.3, ge=0, description="seconds; cuts closer than this are merged")


@SCENE_DETECTORS.register("content")
class Content(FedDetector):
    """Simple and fast; fires on flashes and fast motion."""

    options_type: ClassVar[type[Options]] = ContentOptions

    def __init__(self, options: ContentOptions):
        from scenedetect.detectors import ContentDetector

        detector = ContentDetector(threshold=options.threshold, min_scene_len=options.min_scene_s)
        super().__init__(detector, lag_frames=1, lag_s=2 * options.min_scene_s)
