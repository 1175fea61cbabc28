"""TransNetV2 (MIT) through ONNX: strong on fades and fast cuts; the user brings the weights."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from mvideo_core.errors import ModelError
from mvideo_core.options import Options
from mvideo_core.scenes import SCENE_DETECTORS
from mvideo_core.scenes._pyscenedetect import FedDetector

_WINDOWS_FRAMES = 300
"""Frames the network looks back over: windows of 100 with 25 of context, two of them pending."""


class TransNetV2Options(Options):
    """Where the network lies and how sure it must be."""

    model_path: str = Field(default="", description="path of transnetv2.onnx")
    threshold: float = Field(default=0.5, gt=0, lt=1, description="probability of a cut; higher = fewer cuts")
    min_scene_s: float = Field(default=0.3, ge=0, description="seconds; cuts closer than this are merged")


@SCENE_DETECTORS.register("transnetv2")
class TransNetV2(FedDetector):
    """Needs the `onnxruntime` package and the file at `model_path`."""

    options_type: ClassVar[type[Options]] = TransNetV2Options

    def __init__(self, options: TransNetV2Options):
        if not options.model_path or not Path(options.model_path).is_file():
            raise ModelError(
                f"transnetv2: no file at model_path={options.model_path!r}; export the network of "
                "github.com/soCzech/TransNetV2 to ONNX and name the file in cut.detector_options.model_path"
            )
        try:
            import onnxruntime  # noqa: F401
        except ImportError:
            raise ModelError("transnetv2: the package onnxruntime is missing; pip install onnxruntime") from None
        from scenedetect.detectors.transnet_v2 import TransnetV2Detector

        detector = TransnetV2Detector(
            model_path=options.model_path, threshold=options.threshold, min_scene_len=options.min_scene_s
        )
        super().__init__(detector, lag_frames=_WINDOWS_FRAMES, lag_s=2 * options.min_scene_s)
