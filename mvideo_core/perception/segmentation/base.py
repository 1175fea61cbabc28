"""Interface of segmenters: boxes on the first frame in, masks of every frame out, one frame at a time."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from mvideo_core.base.live_status import report_status
from mvideo_core.base.options import Options

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class FrameMasks:
    """Masks of all objects in one frame, in box order.

    Attributes:
        masks_NHW: bool (N, H, W), pixels of the clip; objects may overlap.
        scores_N: float32 (N) in [0, 1]: predicted IoU times the probability that the object is in the frame.
    """

    masks_NHW: np.ndarray
    scores_N: np.ndarray


class Segmenter(Protocol):
    """Tracks prompted objects through a clip.

    A class in `SEGMENTERS` has `Options` (frozen), `load` and `tiny`; an instance has the rest.
    """

    Options: ClassVar[type[Options]]
    model_name: str
    """Model name for the row."""
    weights_sha256: str
    """SHA-256 of the weights file; "" for random weights."""

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the segmenter with weights from disk.

        Raises:
            ModelError: weights missing or incompatible.
        """
        ...

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """A small segmenter with random weights for tests: same code, no files."""
        ...

    def propagate(
        self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray
    ) -> Iterator[FrameMasks]:
        """Yield the masks of frames 0, 1, 2, ... as frames arrive; memory does not grow with their number.

        Args:
            frames: RGB uint8 (H, W, 3), any iterable; read on demand, at most 16 frames ahead.
            height, width: H and W.
            boxes_xyxy: float (N, 4) prompts on frame 0, absolute pixels, half-open. N may be 0.

        Raises:
            MediaError: a frame of another size or dtype, or boxes that are not finite or not (N, 4).
        """
        ...


def check_boxes(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Validate the boxes and convert them to float32 (N, 4).

    Raises:
        MediaError: wrong shape or non-finite values.
    """
    from mvideo_core.base.errors import MediaError

    boxes = np.asarray(boxes_xyxy, np.float32)
    if boxes.size == 0:
        return boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise MediaError(f"prompt boxes of shape {list(boxes.shape)}: expected finite (N, 4) xyxy")
    return boxes


def check_frame(frame: np.ndarray, index: int, height: int, width: int) -> np.ndarray:
    """Return the frame if it is valid.

    Raises:
        MediaError: not uint8 (H, W, 3).
    """
    from mvideo_core.base.errors import MediaError

    if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
        raise MediaError(f"frame {index}: expected uint8[{height}, {width}, 3], got {frame.dtype}{list(frame.shape)}")
    return frame


def with_phrases(segmenter: Any, phrases: Iterable[str]) -> Any:
    """The segmenter, set to look for these phrases if it works by phrases; any other unchanged."""
    return segmenter.with_phrases(phrases) if hasattr(segmenter, "with_phrases") else segmenter


def report_progress(found: Iterable[T], name: str, n_frames: int = 0, every_s: float = 15.0) -> Iterator[T]:
    """Pass the masks through; report the number of finished frames, and log it every few seconds.

    Args:
        name: name of the clip.
        n_frames: total frames; 0 = unknown.
    """
    began_s = said_s = time.monotonic()
    for n_done, masks in enumerate(found, 1):
        yield masks
        report_status(f"{name}: masks of {n_done}{f' of {n_frames}' if n_frames else ''} frames")
        now_s = time.monotonic()
        if now_s - said_s >= every_s:
            said_s, frame_s = now_s, (now_s - began_s) / n_done
            of = f" of {n_frames}, about {frame_s * max(n_frames - n_done, 0):.0f} s left" if n_frames else ""
            log.info("%s: masks of %d frames%s; %.2f s per frame", name, n_done, of, frame_s)
