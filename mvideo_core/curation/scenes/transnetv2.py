"""TransNetV2 (Soucek & Lokoc 2020, MIT) through ONNX: good at fades and fast cuts; bring your own weights.

Windows, padding and decoding of the output follow the authors (inference/transnetv2.py in their repository), applied
as frames arrive. PySceneDetect 0.7.2 has a detector of this name, too; it feeds BGR although the network was trained on
RGB, pads with black, which looks like a cut at the end, and its flash filter loses cuts: a test with a randomly
initialized network showed this.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ModelError
from mvideo_core.base.options import Options
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.weights.reading import plain_words

_SIZE = (48, 27)
_WINDOW_FRAMES, _STEP_FRAMES, _EDGE_FRAMES = 100, 50, 25
"""The network sees 100 frames; only its outputs for the middle 50 are used."""


class TransNetV2Options(Options):
    """Path of the network and decision threshold."""

    model_path: str = Field(
        default="", description="path of transnetv2.onnx: RGB 0-255 (B, 100, 27, 48, 3) to probabilities (B, 100, 1)"
    )
    threshold: float = Field(default=0.5, gt=0, lt=1, description="probability of a cut; higher = fewer cuts")
    min_scene_s: float = Field(default=0.3, ge=0, description="minimum seconds between cuts; closer ones are dropped")


@SCENE_DETECTORS.register("transnetv2")
class TransNetV2:
    """Needs the package `onnxruntime` and the file at `model_path`."""

    options_type: ClassVar[type[Options]] = TransNetV2Options

    def __init__(self, options: TransNetV2Options):
        self.settled_s = float("-inf")
        self._options = options
        self._session = _session(options.model_path)
        self._window: list[np.ndarray] = []
        self._times: list[float] = []
        """Times of the frames not scored yet; the first one follows the window's edge."""
        self._in_transition = False
        self._last_cut_s = float("-inf")

    def feed(self, time_s: float, frame_bgr: np.ndarray) -> list[float]:
        """See `SceneDetector.feed`. Reports cuts up to 75 frames late.

        Raises:
            ModelError: the network's output is not one probability per frame.
        """
        import cv2

        small = cv2.cvtColor(cv2.resize(frame_bgr, _SIZE, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        if not self._window:
            self._window = [small] * _EDGE_FRAMES
        self._window.append(small)
        self._times.append(time_s)
        return self._judge() if len(self._window) == _WINDOW_FRAMES else []

    def finish(self) -> list[float]:
        """See `SceneDetector.finish`. The last frame is repeated past the end."""
        cuts = []
        while self._times:
            self._window += [self._window[-1]] * (_WINDOW_FRAMES - len(self._window))
            cuts += self._judge()
        return cuts

    def _judge(self) -> list[float]:
        """Find cuts in the middle of the window, then advance the window.

        The network marks the last frame of a shot, or all frames of a transition: the new shot begins after them.
        """
        marks = self._probabilities()[_EDGE_FRAMES:-_EDGE_FRAMES] > self._options.threshold
        judged = self._times[:_STEP_FRAMES]
        cuts = []
        for time_s, marked in zip(judged, marks, strict=False):
            if self._in_transition and not marked and time_s - self._last_cut_s >= self._options.min_scene_s:
                cuts.append(time_s)
                self._last_cut_s = time_s
            self._in_transition = bool(marked)
        self._times, self._window = self._times[_STEP_FRAMES:], self._window[_STEP_FRAMES:]
        self.settled_s = self._times[0] if self._times else judged[-1]
        return cuts

    def _probabilities(self) -> np.ndarray:
        frames = self._session.get_inputs()[0]
        window = np.stack(self._window)[None]
        window = window if "uint8" in frames.type else window.astype(np.float32)  # 0 to 255 in both cases
        answer = np.asarray(self._session.run(None, {frames.name: window})[0])
        if answer.size != _WINDOW_FRAMES or not ((answer >= 0) & (answer <= 1)).all():
            raise ModelError(
                f"transnetv2: {self._options.model_path} returned shape {list(answer.shape)}, values "
                f"{answer.min():.3g} to {answer.max():.3g}; expected {_WINDOW_FRAMES} probabilities; "
                "export its first output with a sigmoid applied"
            )
        return answer.reshape(_WINDOW_FRAMES)


def _session(path: str) -> Any:
    if not path or not Path(path).is_file():
        raise ModelError(
            f"transnetv2: no file at model_path={path!r}; export the network of "
            "github.com/soCzech/TransNetV2 to ONNX and set cut.detector_options.model_path"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"transnetv2: onnxruntime cannot be imported ({error}); run `pip install onnxruntime`"
        ) from None
    try:
        return onnxruntime.InferenceSession(path, providers=onnxruntime.get_available_providers())
    except Exception as error:  # noqa: BLE001 - its errors have no base class of their own
        raise ModelError(f"transnetv2: {path} is not an ONNX network ({plain_words(error)}); export it again") from None
