"""HashDetector: Hamming distance between perceptual hashes of neighboring frames."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes._pyscenedetect import FedDetector


class HashOptions(Options):
    """Defaults follow PySceneDetect's command line."""

    threshold: float = Field(
        default=0.395, ge=0, le=1, description="fraction of differing hash bits; higher = fewer cuts"
    )
    size: int = Field(default=16, ge=2, description="side length of the hash, bits")
    lowpass: int = Field(default=2, ge=1, description="low-pass factor: how much fine detail is dropped before hashing")
    min_scene_s: float = Field(default=0.3, ge=0, description="minimum seconds between cuts; closer ones are dropped")


@SCENE_DETECTORS.register("hash")
class PerceptualHash(FedDetector):
    """Blind to brightness changes."""

    options_type: ClassVar[type[Options]] = HashOptions

    def __init__(self, options: HashOptions):
        from scenedetect.detectors import HashDetector

        detector = HashDetector(
            threshold=options.threshold, size=options.size, lowpass=options.lowpass, min_scene_len=options.min_scene_s
        )
        super().__init__(detector, lag_frames=1, lag_s=0.0)
