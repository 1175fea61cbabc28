"""Masks without a reference video: shapes that move along keyframed paths, one object per shape.

```yaml
shapes:
  - ellipse: {label: ball, width_frac: 0.1, path: [[0, 0.1, 0.8], ["50%", 0.5, 0.3], ["100%", 0.9, 0.8]]}
  - polygon: {points: [[0.5, 0], [1, 1], [0, 1]], angle_deg: [[0, 0], [2, 90]], show_until: 2}
```

The kinds are `ellipse`, `box`, `polygon`, `svg` and `text`. Coordinates are fractions of the frame's width and height;
times are seconds or percentages ("50%"), as in the edits. A pixel is set if at least half of it is covered. Shapes may
overlap and leave the frame.

An `svg` takes the path data of an SVG file: the `d` of a `<path>`. Groups, transforms and strokes have no effect, so
convert them to paths in a drawing program first ("object to path"). A `text` is one line of A to Z, a to z, digits and
punctuation.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.editing.edits import parse_options
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keyed, PathKeys, Time, path_values, seconds, values
from mvideo_core.editing.presence import find_visible
from mvideo_core.editing.svg_path import FillRule, cover, svg_outlines
from mvideo_core.masks.io.clip import MaskClip, RunWriter, edges_of

Kind = Literal["ellipse", "box", "polygon", "svg", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FINE = 8
"""Samples per pixel, in both directions."""
FAR_PX = 1_000_000
CURVE_POINTS = 256
FONT_PX = 256


class ShapeOptions(Options):
    """One object: its form, its size, and its path over time."""

    label: str = Field(default="", description="name of the object, such as dog; default of a text shape: its text")
    width_frac: float = Field(
        default=0.2, gt=0, le=4, description="of the frame's width; svg and text keep their own shape"
    )
    height_frac: float = Field(default=0.2, gt=0, le=4, description="of the frame's height")
    path: PathKeys = Field(
        default=[("0%", 0.25, 0.5), ("100%", 0.75, 0.5)],
        description="[[time, x, y], ...]: its center, fractions of width and height from the top left; may be outside",
    )
    ease: Ease = Field(default="linear", description=EASE_HELP)
    scale: Keyed = Field(default=1.0, description="size factor; number or [[time, value], ...]")
    angle_deg: Keyed = Field(default=0.0, description="degrees, counter-clockwise; number or [[time, value], ...]")
    show_from: Time = Field(default=0.0, description="seconds or percentage; hidden before that")
    show_until: Time | None = Field(default=None, description="seconds or percentage; hidden after that")
    points: list[tuple[float, float]] = Field(
        default=[], description="of a polygon: [[x, y], ...] in its own box, 0 to 1 from the top left"
    )
    d: str = Field(default="", max_length=100_000, description="of an svg: path data, such as M 0 0 C 1 2 3 2 4 0 Z")
    fill: FillRule = Field(default="nonzero", description="of an svg: the path's fill-rule")
    text: str = Field(default="", max_length=64, description="text shape: the line to draw")


class Shape(NamedTuple):
    """A kind of shape with its options."""

    kind: Kind
    options: ShapeOptions


class CanvasOptions(Options):
    """The grid that is drawn on; usually the model's."""

    height_px: int = Field(default=480, ge=8, le=4096, description="px")
    width_px: int = Field(default=720, ge=8, le=4096, description="px")
    fps: float = Field(default=8.0, gt=0, le=240, description="frames per second")
    frames: int = Field(default=33, ge=1, le=10_000, description="frames to draw")


def parse_shapes(items: Iterable[Any], where: str = "shapes") -> list[Shape]:
    """Shapes from their YAML forms: "ellipse", "box: {label: car}" as text, or a mapping {kind: options}.

    Raises:
        ConfigError: an unknown kind, an option that it does not have, or a form that cannot be drawn.
    """
    return [_parse(item, f"{where}, number {number}") for number, item in enumerate(items, 1)]


def read_shapes(path: str | Path) -> list[Shape]:
    """Shapes of a YAML file: a mapping with the list under `shapes`."""
    found = read_yaml(path)
    if set(found) != {"shapes"} or not isinstance(found["shapes"], list):
        raise ConfigError(f"{path}: expected one key `shapes` with a list, such as\nshapes:\n  - box: {{label: car}}")
    return parse_shapes(found["shapes"], str(path))


def draw(shapes: Sequence[Shape], canvas: CanvasOptions) -> MaskClip:
    """One object per shape, frame by frame.

    Raises:
        ConfigError: no shape, keyframes that do not increase, or a shape that is never inside the frame.
    """
    if not shapes:
        raise ConfigError(f"nothing to draw; give a shape: {', '.join(KINDS)}")
    outlines = [_Outlines(shape, canvas) for shape in shapes]
    writer = RunWriter(canvas.frames, len(shapes), canvas.height_px, canvas.width_px)
    for frame in range(canvas.frames):
        for one in outlines:
            writer.append(_edges(one.at(frame), canvas.height_px, canvas.width_px, one.rule))
    labels = tuple(options.label or options.text for _, options in shapes)
    clip = MaskClip(writer.finish(), canvas.fps, labels)
    for number, n_seen in enumerate(find_visible(clip.sequence).sum(axis=0).tolist()):
        if not n_seen:
            name = f"shape {number + 1} ({labels[number] or shapes[number].kind})"
            raise ConfigError(
                f"{name} is never inside the frame ({canvas.frames} frames); check its path, size and times"
            )
    return clip


def _parse(item: Any, where: str) -> Shape:
    kind, options = parse_options(item, where)
    if kind not in KINDS:
        raise ConfigError(f"{where}: no shape called {kind!r}; known: {', '.join(KINDS)}")
    chosen = ShapeOptions.parse(options or {}, f"{where} ({kind})")
    own = {"polygon": bool(chosen.points), "svg": bool(chosen.d.strip()), "text": bool(chosen.text.strip())}
    if any(given != (kind == name) for name, given in own.items()):
        raise ConfigError(f"{where}: `points` is for polygon, `d` for svg, `text` for text; each needs its own")
    if kind == "svg":
        try:
            svg_outlines(chosen.d)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    if kind == "polygon" and len(chosen.points) < 3:
        raise ConfigError(f"{where}: {len(chosen.points)} points; a polygon has 3 or more")
    return Shape(cast(Kind, kind), chosen)


class _Outlines:
    """The outlines of a shape in px, frame by frame."""

    def __init__(self, shape: Shape, canvas: CanvasOptions):
        options, (n_frames, fps) = shape.options, (canvas.frames, canvas.fps)
        self.name = f"{shape.kind} {options.label!r}" if options.label else shape.kind
        size = np.array([options.width_frac * canvas.width_px, options.height_frac * canvas.height_px])
        self.unit = [outline * size for outline in _unit(shape)]
        if shape.kind in ("svg", "text"):
            own = _of_path(options.d) if shape.kind == "svg" else _letters(options.text)
            self.unit = [outline * size[1] for outline in own]
        self.rule = options.fill if shape.kind == "svg" else None
        x, y = path_values(options.path, n_frames, fps, options.ease)
        self.middle_T2 = np.stack([x * canvas.width_px, y * canvas.height_px], axis=1)
        self.scale_T = values(options.scale, n_frames, fps, options.ease)
        self.angle_T = np.deg2rad(values(options.angle_deg, n_frames, fps, options.ease))
        until = np.inf if options.show_until is None else seconds(options.show_until, n_frames, fps)
        now_T = np.arange(n_frames) / fps + 1e-7
        self.shown_T = (now_T >= seconds(options.show_from, n_frames, fps)) & (now_T < until)

    def at(self, frame: int) -> list[np.ndarray]:
        """Closed outlines (P, 2) of x, y; [] if hidden."""
        if not self.shown_T[frame] or self.scale_T[frame] <= 0:
            return []
        cos, sin = np.cos(self.angle_T[frame]), np.sin(self.angle_T[frame])
        # y points down, so this turns counter-clockwise on screen.
        turned = self.scale_T[frame] * np.array([[cos, -sin], [sin, cos]])
        moved = [outline @ turned + self.middle_T2[frame] for outline in self.unit]
        if max(np.abs(outline).max() for outline in moved) > FAR_PX:
            raise ConfigError(f"{self.name} reaches more than {FAR_PX} px from the frame; use smaller values")
        return moved


def _unit(shape: Shape) -> list[np.ndarray]:
    """Outlines centered at 0, one wide and one high."""
    if shape.kind == "ellipse":
        turn = np.linspace(0, 2 * np.pi, CURVE_POINTS, endpoint=False)
        return [np.stack([np.cos(turn), np.sin(turn)], axis=1) / 2]
    if shape.kind == "box":
        return [np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])]
    return [np.array(shape.options.points) - 0.5] if shape.kind == "polygon" else []


def _of_path(data: str) -> list[np.ndarray]:
    """Outlines of SVG path data centered at 0, one high."""
    found = svg_outlines(data)
    points = np.concatenate(found)
    low, high = points.min(axis=0), points.max(axis=0)
    return [(outline - (low + high) / 2) / (high - low)[1] for outline in found]


def _letters(text: str) -> list[np.ndarray]:
    """Outlines of a line of text centered at 0, one high; inner outlines are holes."""
    import cv2
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(FONT_PX)
    unknown = font.getmask("\uffff")
    if missing := [sign for sign in text if bytes(font.getmask(sign)) == bytes(unknown)]:
        raise ConfigError(
            f"text {text!r}: the font has no character for {''.join(missing)!r}; it has A to Z, digits and punctuation"
        )
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(picture).text((1 - left, 1 - top), text, fill=255, font=font)
    pixels = (np.asarray(picture) >= 128).astype(np.uint8)
    found, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    height, width = pixels.shape
    return [(one[:, 0].astype(float) - [width / 2, height / 2]) / height for one in found if len(one) > 2]


def _edges(outlines: list[np.ndarray], height: int, width: int, rule: FillRule | None = None) -> np.ndarray:
    """Runs of the pixels that the outlines cover by at least half; without a rule, overlapping outlines are holes."""
    import cv2

    if not outlines:
        return np.zeros(0, np.int32)
    points = np.concatenate(outlines)
    low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int), [width, height])
    if (low >= high).any():
        return np.zeros(0, np.int32)
    n_columns, n_rows = (high - low).tolist()
    if rule:
        fine = cover([(outline - low) * FINE for outline in outlines], n_rows * FINE, n_columns * FINE, rule)
    else:
        fine = np.zeros((n_rows * FINE, n_columns * FINE), np.uint8)
        places = [np.rint(((outline - low) * FINE - 0.5) * 16).astype(np.int32) for outline in outlines]
        cv2.fillPoly(fine, places, 1, shift=4)
    share = fine.reshape(n_rows, FINE, n_columns, FINE).mean(axis=(1, 3))
    return edges_of(share >= 0.5, int(low[1]), int(low[0]), width)
