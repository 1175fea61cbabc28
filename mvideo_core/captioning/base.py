"""What every captioner takes and gives. Shape letters: T frames, N objects, H, W, C colour channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np

from mvideo_core.errors import MediaError
from mvideo_core.options import Options as AnyOptions
from mvideo_core.registry import Registry

FrameSource = Callable[[int], np.ndarray]
"""n -> (n, H, W, 3) uint8 RGB frames, evenly spread over the clip; called only when a captioner looks at pixels."""


@dataclass(frozen=True, slots=True)
class CaptionInput:
    """One clip as a captioner sees it.

    Attributes:
        key: clip key.
        width, height: of the clip, px.
        fps: of the clip and of the tracks.
        frames_THWC: uint8 RGB frames of the whole clip or an even sample of it; or a function n -> n such frames.
        labels: one class name per object.
        boxes_NT4: float (objects, frames, 4), absolute xyxy px, half-open; NaN where the object is not visible.
        areas_NT: float (objects, frames) mask area in px; 0 where not visible.
        title: what the source says about the video; may be empty.
    """

    key: str
    width: int
    height: int
    fps: float
    frames_THWC: np.ndarray | FrameSource | None = None
    labels: tuple[str, ...] = ()
    boxes_NT4: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 4), np.float32))
    areas_NT: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    title: str = ""

    def sample(self, n_frames: int) -> np.ndarray:
        """At most `n_frames` evenly spread frames, (n, H, W, 3) uint8.

        Raises:
            MediaError: no frames were given, or they are not uint8 RGB.
        """
        frames_THWC = self.frames_THWC(n_frames) if callable(self.frames_THWC) else self.frames_THWC
        if frames_THWC is None or len(frames_THWC) == 0:
            raise MediaError(f"{self.key}: this captioner looks at frames and the clip has none; check the clip file")
        if frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or frames_THWC.dtype != np.uint8:
            raise MediaError(
                f"{self.key}: frames are {frames_THWC.dtype} {frames_THWC.shape}; uint8 (T, H, W, 3) is expected"
            )
        return frames_THWC[spread(len(frames_THWC), n_frames)]


def spread(n_total: int, n_wanted: int) -> np.ndarray:
    """Indices of `n_wanted` frames out of `n_total`, the middle of equal intervals; all of them if there are fewer."""
    if n_wanted >= n_total:
        return np.arange(n_total)
    return ((np.arange(n_wanted) + 0.5) * n_total / n_wanted).astype(int)


class Captioner(Protocol):
    """A plugin of CAPTIONERS. Captioning a list gives the same texts as captioning its items one by one."""

    Options: ClassVar[type[AnyOptions]]
    model_name: str
    prompt_sha256: str
    needs_frames: int
    """How many frames it looks at; 0 means tracks only, so the caller need not decode."""

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Ready captioner. Raises ModelError (weights or server absent) or ConfigError."""
        ...

    @classmethod
    def tiny(cls) -> Self:
        """A small one for tests: same code path, no downloads."""
        ...

    def caption(self, inputs: Sequence[CaptionInput]) -> "list[str | MediaError]":
        """One text per input, in order; a MediaError *in the list* where only that clip is at fault."""
        ...


CAPTIONERS: Registry[type[Captioner]] = Registry("captioner", "mvideo_core.captioning")
