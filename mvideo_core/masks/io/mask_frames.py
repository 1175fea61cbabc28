"""Converts a stream of frames (gray, color, palette, alpha) to masks: one pass to understand it, one to convert it."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import RunWriter, edges_of
from mvideo_core.masks.io.color_areas import ColorCount, nearest
from mvideo_core.masks.io.gray_levels import VOID, Histogram, Meaning, decide_meaning
from mvideo_core.masks.io.mask_form import MaskForm

OPAQUE = 255


class MaskFrame(NamedTuple):
    """One frame as stored in its file.

    Attributes:
        values: (H, W) uint8 or uint16: gray, or palette numbers if `indexed`.
        rgb: (H, W, 3) uint8 if the file has colors; `values` is then their luma.
        alpha: (H, W) uint8 if the file has an alpha channel.
        file: its name, if each frame is a file.
    """

    values: np.ndarray
    rgb: np.ndarray | None = None
    alpha: np.ndarray | None = None
    indexed: bool = False
    file: str = ""


class Read(NamedTuple):
    """Masks, names if the form has them, and the form in words."""

    sequence: MaskSequence
    labels: tuple[str, ...]
    form: str


Frames = Callable[[], Iterable[MaskFrame]]


def read_frames(
    frames: Frames, name: str, form: MaskForm = MaskForm(), numbers: bool = True, n_known: int = 0, extract: str = ""
) -> Read:
    """The masks of a stream.

    Args:
        frames: returns the frames from the start at each call.
        name: what messages call it.
        form: the user's choices.
        numbers: small gray values may be object numbers; False for lossy pictures.
        n_known: number of objects in the description next to the frames; 0 = unknown.
        extract: how to extract masks from a color video instead, for the message.

    Raises:
        MediaError: no frame, frames of different sizes, or an ambiguous form; the message lists the values of `--as`.
    """
    seen = _Seen(numbers)
    for frame in frames():
        seen.add(frame, name)
    if seen.shape is None:
        raise MediaError(f"{name}: no frame inside")
    if _uses_alpha(seen, name, form):
        return _binary(frames, seen, lambda frame: _alpha(frame) >= OPAQUE / 2, "alpha")
    if seen.indexed and form.content in ("", "labels"):
        n_objects = max(n_known, seen.top_index, 1)
        return _read_numbers(frames, seen, n_objects, _objects, "palette numbers")
    colored = seen.colors.colored and not seen.indexed
    if form.content == "colors" and (colored or seen.indexed):
        return _read_colors(frames, seen, name)
    if colored and not form.content:
        if numbers and seen.colors.certain:
            return _read_colors(frames, seen, name)
        raise MediaError(
            f"{name}: in color, so not masks{extract}; if each color is an object, or nearly so, use --as colors"
        )
    meaning = decide_meaning(seen.gray, name, form, n_known)
    return _gray(frames, seen, meaning, form.content == "inverted")


class _Seen:
    """What the first pass found."""

    def __init__(self, numbers: bool) -> None:
        self.shape: tuple[int, ...] | None = None
        self.n_frames = self.top_index = 0
        self.gray, self.colors, self.covered = Histogram(numbers), ColorCount(), ColorCount()
        self.alpha: tuple[int, int] | None = None
        self.indexed = False

    def add(self, frame: MaskFrame, name: str) -> None:
        self.shape = self.shape or frame.values.shape
        if frame.values.shape != self.shape:
            height, width = frame.values.shape
            raise MediaError(
                f"{name}: frame {self.n_frames} {frame.file} is {width}x{height} px, the first is "
                f"{self.shape[1]}x{self.shape[0]}; resize all to one size"
            )
        if frame.indexed != self.indexed and self.n_frames:
            raise MediaError(
                f"{name}: frame {self.n_frames} {frame.file} and the first are of different kinds (one of them has a "
                "palette); --as colors reads each color as an object"
            )
        self.n_frames, self.indexed = self.n_frames + 1, frame.indexed
        if frame.indexed:
            numbers = frame.values[frame.values != VOID]
            self.top_index = max(self.top_index, int(numbers.max(initial=0)))
        self.gray.add(frame.values)
        if frame.rgb is not None:
            self.colors.add(frame.rgb)
        alpha = OPAQUE if frame.alpha is None else frame.alpha
        low, high = self.alpha or (OPAQUE, 0)
        self.alpha = min(low, int(np.min(alpha))), max(high, int(np.max(alpha)))
        if frame.alpha is not None and frame.rgb is not None:
            self.covered.add(frame.rgb * (frame.alpha[..., None] >= OPAQUE / 2))


def _uses_alpha(seen: _Seen, name: str, form: MaskForm) -> bool:
    low, high = seen.alpha or (OPAQUE, OPAQUE)
    if form.content == "alpha" and low == high:
        raise MediaError(f"{name}: --as alpha: alpha is {low} everywhere, or missing, so it does not separate anything")
    if form.content or low == OPAQUE:
        return form.content == "alpha"
    if high < OPAQUE / 2:
        raise MediaError(
            f"{name}: alpha is at most {high} of {OPAQUE}, so nothing is inside; --as binary or --as colors reads the "
            "colors beneath it"
        )
    if seen.covered.colored and seen.covered.certain and len(seen.covered.palette(name)) > 1:
        raise MediaError(
            f"{name}: {len(seen.covered.palette(name))} colors on a transparent background: --as colors reads each as "
            "an object, --as alpha all of them as one object"
        )
    return True


def _alpha(frame: MaskFrame) -> np.ndarray:
    return np.full(frame.values.shape, OPAQUE, np.uint8) if frame.alpha is None else frame.alpha


def _objects(frame: MaskFrame) -> np.ndarray:
    return np.where(frame.values == VOID, 0, frame.values)


def _gray(frames: Frames, seen: _Seen, meaning: Meaning, inverted: bool) -> Read:
    if meaning.kind == "labels":
        return _read_numbers(frames, seen, meaning.n_objects, _objects, "object numbers")
    if meaning.kind == "colors":
        levels = np.array(meaning.levels)
        done = _read_numbers(
            frames, seen, len(levels), lambda frame: nearest(frame.values, levels), "one level per object"
        )
        return done._replace(labels=tuple(f"level {level}" for level in meaning.levels))
    if inverted:
        return _binary(frames, seen, lambda frame: frame.values < meaning.threshold, "black on white")
    return _binary(frames, seen, lambda frame: frame.values >= meaning.threshold, "")


def _read_colors(frames: Frames, seen: _Seen, name: str) -> Read:
    transparent = seen.alpha is not None and seen.alpha[0] < OPAQUE
    palette = (seen.covered if transparent else seen.colors).palette(name)

    def numbers(frame: MaskFrame) -> np.ndarray:
        rgb = frame.rgb if frame.rgb is not None else np.repeat(frame.values[..., None], 3, axis=2)
        return nearest(rgb if frame.alpha is None else rgb * (frame.alpha[..., None] >= OPAQUE / 2), palette)

    done = _read_numbers(frames, seen, len(palette), numbers, "one color per object")
    return done._replace(labels=tuple("#" + bytes(color).hex() for color in palette))


def _binary(frames: Frames, seen: _Seen, inside: Callable[[MaskFrame], np.ndarray], form: str) -> Read:
    return _read_planes(frames, seen, 1, lambda frame: iter([inside(frame)]), form)


def _read_numbers(
    frames: Frames, seen: _Seen, n_objects: int, numbers: Callable[[MaskFrame], np.ndarray], form: str
) -> Read:
    def planes(frame: MaskFrame) -> Iterator[np.ndarray]:
        values = numbers(frame)
        for number in range(1, n_objects + 1):
            yield values == number

    return _read_planes(frames, seen, n_objects, planes, form)


def _read_planes(
    frames: Frames, seen: _Seen, n_objects: int, planes: Callable[[MaskFrame], Iterator[np.ndarray]], form: str
) -> Read:
    assert seen.shape is not None
    writer = RunWriter(seen.n_frames, n_objects, *seen.shape)
    for frame in frames():
        for plane in planes(frame):
            writer.append(edges_of(plane))
    return Read(writer.finish(), (), form)
