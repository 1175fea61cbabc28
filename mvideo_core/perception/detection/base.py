"""Interface of detectors.

Shape letters: B frames, H and W pixels, C = 3 channels (RGB), N boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.options import Options

Frames = Sequence[np.ndarray] | np.ndarray
"""Frames of one call: an array BHWC, or a sequence of HWC arrays of any sizes; uint8 RGB."""


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes of one frame, best score first.

    Attributes:
        boxes_xyxy: (N, 4) float32, absolute pixels of the input frame, half-open, inside the frame.
        scores: (N,) float32 in [0, 1]: mean probability over the tokens of the label.
        labels: N phrases, spelled as requested.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)


class Detector(Protocol):
    """A detector registered in `mvideo_core.perception.detection.DETECTORS`."""

    Options: ClassVar[type[Options]]
    model_name: str
    """Model name for the row: name of the weights or of the folder."""
    weights_sha256: str
    """Digest of the weight file (64 hex digits); of the parameters if `tiny` initialized them."""

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the detector. Raises ModelError: weights are missing or do not fit."""
        ...

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """The same architecture with two layers, few channels and random weights, for tests."""
        ...

    def detect(self, frames_BHWC: Frames, phrases: Sequence[str]) -> list[Detections]:
        """Raw candidates of each frame above a low score floor, before selection.

        Raises:
            ConfigError: phrases empty, repeated or too long for the model.
            MediaError: a frame is not uint8 HWC RGB.
        """
        ...


def frames_as_list(frames_BHWC: Frames) -> list[np.ndarray]:
    """Split the frames into a list.

    Raises:
        MediaError: a frame is not a non-empty uint8 array (H, W, 3).
    """
    frames = list(frames_BHWC)
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise MediaError(f"frame {index}: expected uint8 RGB of shape (H, W, 3), got {frame.dtype} {frame.shape}")
    return frames


def indices_by_shape(frames: Sequence[np.ndarray]) -> dict[tuple[int, int], list[int]]:
    """Frame indices grouped by (H, W): batches then need no padding, so batching cannot change results."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, frame in enumerate(frames):
        groups.setdefault((frame.shape[0], frame.shape[1]), []).append(index)
    return groups


def candidates(boxes_cxcywh: np.ndarray, scores_QK: np.ndarray, phrases: Sequence[str], size_hw: tuple[int, int],
               floor: float) -> Detections:  # fmt: skip
    """Best phrase of each query above `floor`, best score first (ties: lower query number).

    Args:
        boxes_cxcywh: (Q, 4) fractions of the frame.
        scores_QK: (Q, K) score of each query for each phrase.
        phrases: K phrases.
        size_hw: frame height and width in pixels.
        floor: candidates with lower scores are dropped.
    """
    if len(phrases) != scores_QK.shape[1]:
        raise ConfigError(f"{len(phrases)} phrases for {scores_QK.shape[1]} score columns")
    best_Q = scores_QK.argmax(axis=1)
    score_Q = scores_QK[np.arange(len(best_Q)), best_Q].astype(np.float32)
    order = np.argsort(-score_Q, kind="stable")
    order = order[score_Q[order] >= floor]
    height, width = size_hw
    center, half = boxes_cxcywh[order, :2], boxes_cxcywh[order, 2:] / 2
    scale = np.array([width, height, width, height], np.float32)
    boxes = np.clip(np.concatenate([center - half, center + half], axis=1), 0.0, 1.0) * scale
    return Detections(boxes.astype(np.float32), score_Q[order], [phrases[k] for k in best_Q[order]])


def merge(parts: Sequence[Detections]) -> Detections:
    """Merge the candidates of several prompts for one frame, best score first (ties: earlier prompt)."""
    boxes = np.concatenate([part.boxes_xyxy for part in parts])
    scores = np.concatenate([part.scores for part in parts])
    labels = [label for part in parts for label in part.labels]
    order = np.argsort(-scores, kind="stable")
    return Detections(boxes[order], scores[order], [labels[i] for i in order])
