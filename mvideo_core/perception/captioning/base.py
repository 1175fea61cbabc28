"""Interface of captioners. Shape letters: T frames, N objects, H, W, C color channels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options as AnyOptions
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.base.registry import Registry
from mvideo_core.masks.codec import MaskSequence
from mvideo_core.media.decode import frame_numbers

FrameSource = Callable[[int], np.ndarray]
"""n -> the frames `frame_numbers` of the clip, (n, H, W, 3) uint8 RGB; called only if a captioner needs pixels."""


@dataclass(frozen=True, slots=True)
class CaptionInput:
    """One clip as a captioner sees it.

    Attributes:
        key: clip key.
        width, height: size of the clip, px.
        fps: frame rate of the clip and of the tracks.
        frames_THWC: all uint8 RGB frames of the clip; or a function that returns n of them.
        labels: one class name per object.
        boxes_NT4: float (objects, frames, 4), absolute xyxy px, half-open; NaN where the object is not visible.
        areas_NT: float (objects, frames) mask area in px; 0 where not visible.
        title: the source's title of the video; may be empty.
        object_ids: index of each object into the clip's mask file.
        masks: of the objects in the order of `labels`; None if there is to be no phrase per object.
        all_frames: opens a stream of all frames, (H, W, 3) uint8 RGB; called only if `frames_THWC` is a function.
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
    object_ids: tuple[int, ...] = ()
    masks: MaskSequence | None = None
    all_frames: Callable[[], Iterable[np.ndarray]] | None = None

    def sample(self, n_frames: int) -> np.ndarray:
        """`n_frames` frames from the first to the last, (n, H, W, 3) uint8; a short clip repeats frames.

        Raises:
            MediaError: there are no frames, or they are not uint8 RGB.
        """
        frames_THWC = self.frames_THWC(n_frames) if callable(self.frames_THWC) else self.frames_THWC
        if frames_THWC is None or len(frames_THWC) == 0:
            raise MediaError(f"{self.key}: this captioner needs frames, and the clip has none; check the clip file")
        if frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3 or frames_THWC.dtype != np.uint8:
            raise MediaError(
                f"{self.key}: frames are {frames_THWC.dtype} {frames_THWC.shape}; expected uint8 (T, H, W, 3)"
            )
        return frames_THWC[frame_numbers(len(frames_THWC), n_frames)]

    def choose_frames(self, n_frames: int) -> list[int]:
        """Numbers of the frames that `sample` returns, for a clip with masks."""
        return frame_numbers(self.with_masks().n_frames, n_frames)

    def every_frame(self) -> Iterable[np.ndarray]:
        """A stream of all frames.

        Raises:
            MediaError: there are no frames.
        """
        if self.all_frames is not None:
            return self.all_frames()
        if self.frames_THWC is None or callable(self.frames_THWC):
            raise MediaError(f"{self.key}: phrases per object need all frames; check the clip file")
        return self.frames_THWC

    def with_masks(self) -> MaskSequence:
        """The masks.

        Raises:
            MediaError: there are none.
        """
        if self.masks is None:
            raise MediaError(f"{self.key}: phrases per object need masks; run the stage segment first")
        return self.masks


@dataclass(frozen=True, slots=True)
class Answer:
    """A captioner's raw answer about one clip; `clean` turns it into a caption.

    Attributes:
        model: model name reported by the server; "" = the captioner's `model_name`.
        truncated: the answer stopped at the length limit.
        refusal: the server's refusal field.
    """

    text: str
    model: str = ""
    truncated: bool = False
    refusal: str = ""


Outcome = Answer | MediaError
"""Result for one clip: an answer, or an error if only that clip failed."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a vision-language model.

    Attributes:
        key: clip key, for messages.
        make: returns frames (n, H, W, 3) uint8 RGB and the text after them; called when the request is sent, in any
            thread. A MediaError is the outcome.
        min_tokens: minimum answer length, even above the captioner's limit.
    """

    key: str
    make: Callable[[], tuple[np.ndarray, str]]
    min_tokens: int = 0


class Captioner(Protocol):
    """A plugin of CAPTIONERS. Captioning a list gives the same texts as captioning its items one at a time.

    Attributes:
        batch_clips: clips per batch; 1 if they are processed one at a time anyway.
    """

    Options: ClassVar[type[AnyOptions]]
    batch_clips: int
    model_name: str
    prompt_sha256: str
    needs_frames: int
    """Number of frames it uses; 0 = tracks only, so the caller need not decode."""

    @classmethod
    def load(cls, options: AnyOptions, device: str = "cpu") -> Self:
        """Load the captioner. Raises ModelError (weights or server missing) or ConfigError."""
        ...

    @classmethod
    def tiny(cls) -> Self:
        """A small captioner for tests: same code path, no downloads."""
        ...

    def question(self, clip: CaptionInput) -> str:
        """The prompt for a clip, used to detect echoes; "" if there is none."""
        ...

    def caption(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome]]:
        """Yield (position in `inputs`, outcome) of each clip as it completes, in any order."""
        ...

    def caption_objects(self, inputs: Sequence[CaptionInput]) -> Iterator[tuple[int, Outcome, list[ObjectPhrase]]]:
        """Like `caption`, with a phrase per object of each clip; the clips have masks."""
        ...


class CaptionerOptions(AnyOptions):
    """Base class of captioner options.

    Attributes:
        not_content: fields that do not affect the text; they are not part of content keys.
    """

    not_content: ClassVar[tuple[str, ...]] = ()

    def check(self) -> None:
        """Raise ConfigError or ModelError for problems that would stop it later: a key, a folder. No network access."""

    def reach(self) -> None:
        """Raise ServerUnavailable, ConfigError or ModelError if the captioner's server cannot be used."""


def in_order(captioner: Captioner, inputs: Sequence[CaptionInput]) -> list[Outcome]:
    """Outcomes in input order."""
    found = dict(captioner.caption(inputs))
    return [found[n] for n in range(len(inputs))]


CAPTIONERS: Registry[type[Captioner]] = Registry("captioner", "mvideo_core.perception.captioning")
