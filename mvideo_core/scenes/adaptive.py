"""AdaptiveDetector: a frame's change against the average change around it; best of PySceneDetect on most benchmarks."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.options import Options
from mvideo_core.scenes import SCENE_DETECTORS
from mvideo_core.scenes._pyscenedetect import FedDetector


class AdaptiveOptions(Options):
    """Defaults are PySceneDetect 0.7.2's, except the shortest shot in seconds."""

    threshold: float = Field(default=3.0, gt=0, description="change over neighbours' average; higher = fewer cuts")
    min_content_val: float = Field(default=15.0, ge=0, description="least change, 0 to 255; higher = fewer cuts")
    window_frames: int = Field(default=2, ge=1, description="frames on each side that form the average")
    min_scene_s: float = Field(default=0.3, ge=0, description="seconds between two cuts; later ones are dropped")


@SCENE_DETECTORS.register("adaptive")
class Adaptive(FedDetector):
    """Default detector."""

    options_type: ClassVar[type[Options]] = AdaptiveOptions

    def __init__(self, options: AdaptiveOptions):
        from scenedetect.detectors import AdaptiveDetector

        detector = AdaptiveDetector(
            adaptive_threshold=options.threshold,
            min_scene_len=options.min_scene_s,
            window_width=options.window_frames,
            min_content_val=options.min_content_val,
        )
        super().__init__(detector, lag_frames=options.window_frames, lag_s=0.0)
