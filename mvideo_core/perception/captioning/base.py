"""What every captioner takes and gives. Shape letters: T frames, N objects, H, W, C color channels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.registry import Registry

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a captioner said about one clip, as it said it; `clean` makes a caption of it.

    Attributes:
        model: the model's own name where a server gives one; "" = the captioner's `model_name`.
        truncated: it stopped at its length limit.
        refusal: the server's separate word that it will not answer.
    """

    text: str
    model: str = ""
    truncated: bool = False
    refusal: str = ""


Outcome = Answer | MediaError
"""What comes out for one clip: an answer, or the error where only that clip is at fault."""


class Captioner(Protocol):
    """A plugin of CAPTIONERS. Captioning a list gives the same texts as captioning its items one by one.

    Attributes:
        batch_clips: clips handed over at once; 1 where they are worked on one by one anyway.
    """

    Options: ClassVar[type[AnyOptions]]
    batch_clips: int
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

    def question(self, clip: CaptionInput) -> str:
        """What is asked about a clip, to recognize an echo of it; "" when nothing is asked."""
        ...

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """(position in `inputs`, outcome) of each clip, as soon as it is known, in any order."""
        ...


class CaptionerOptions(AnyOptions):
    """Base of every captioner's options.

    Attributes:
        not_content: fields that do not change the text; they stay out of content keys.
    """

    not_content: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Raises ConfigError or ModelError for what would stop the captioner later: a key, a folder. No network."""

    def reach(self) -> None:
        """Raises ServerAway, ConfigError or ModelError when the captioner's server cannot be used."""


def in_order(captioner: Captioner, inputs: Sequence[CaptionInput]) -> list[Outcome]:
    """The outcomes in the order of the inputs."""
    found = dict(captioner.caption(inputs))
    return [found[n] for n in range(len(inputs))]


CAPTIONERS: Registry[type[Captioner]] = Registry("captioner", "mvideo_core.perception.captioning")
