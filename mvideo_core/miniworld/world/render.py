"""Pixels and ground truth of a shot, frame by frame, at any size and frame rate.

An object counts in a frame if at least 30% of its silhouette is visible and the visible part covers at least 0.12% of
the frame. Other objects are *ignored*: they count neither as misses nor as false alarms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.world.backdrop import paint
from mvideo_core.miniworld.world.geometry import Color, Part, disc
from mvideo_core.miniworld.world.kinds import kind_of
from mvideo_core.miniworld.world.raster import draw, silhouette, to_pixels
from mvideo_core.miniworld.world.sample import sample_shot
from mvideo_core.miniworld.world.shapes.clutter import occluder_parts
from mvideo_core.miniworld.world.spec import ActorSpec, OccluderSpec, ShotSpec, Split


@dataclass(frozen=True)
class WorldFrame:
    """One frame with ground truth; N objects in `object_id` order.

    Attributes:
        rgb: (H, W, 3) uint8.
        visible: (N, H, W) bool, visible part of each object.
        amodal: (N, H, W) bool, the full silhouette inside the frame, including occluded parts.
        camera: (x, y, zoom) of the view.
    """

    t_s: float
    rgb: np.ndarray
    visible: np.ndarray
    amodal: np.ndarray
    camera: tuple[float, float, float]

    def boxes(self) -> np.ndarray:
        """(N, 4) float64 xyxy half-open boxes of the visible masks; NaN where nothing is visible."""
        return boxes_of(self.visible)


@dataclass(frozen=True)
class Sample:
    """One still for detector training, with the sufficiently visible objects.

    Attributes:
        rgb: (H, W, 3) uint8.
        boxes_xyxy: (M, 4) float64 pixels, half-open, of the visible part.
        labels: M class names.
        masks: (M, H, W) bool, visible part.
        ignored_xyxy: (K, 4) boxes of objects that are too small or too occluded and therefore ignored.
    """

    rgb: np.ndarray
    boxes_xyxy: np.ndarray
    labels: tuple[str, ...]
    masks: np.ndarray
    ignored_xyxy: np.ndarray


MIN_AREA_FRAC = 0.0012
"""Objects with a smaller visible area (fraction of the frame) are ignored: about 20 x 20 pixels at 480 x 720."""
MIN_VISIBLE_FRAC = 0.3
"""Objects with less than this fraction of the full silhouette (inside and outside the frame) visible are ignored."""


def render_shot(
    spec: ShotSpec, n_frames: int, width: int, height: int, fps: float, start_s: float = 0.0
) -> Iterator[WorldFrame]:
    """Frames at start_s, start_s + 1/fps, ...

    Raises:
        ConfigError: a size below 32 pixels or a frame rate not above 0.
    """
    if min(width, height) < 32 or fps <= 0:
        raise ConfigError(f"cannot render {width}x{height} at {fps} fps; the minimum is 32x32, with fps above 0")
    times = [start_s + index / fps for index in range(n_frames)]
    return render_times(spec, times, width, height)


def render_times(spec: ShotSpec, times_s: list[float], width: int, height: int) -> Iterator[WorldFrame]:
    """Frames at the given seconds; the backdrop is painted once, covering everything the camera will see."""
    import cv2

    views = [view_at(spec, t, width, height) for t in times_s]
    plate, plate_view = _plate(spec, views, width, height)
    grain = _grain(spec, width, height)
    for t, view in zip(times_s, views, strict=True):
        if plate.shape[:2] == (height, width) and np.array_equal(view, plate_view):
            rgb = plate.copy()
        else:
            scale = view[0, 0] / plate_view[0, 0]
            # pixel centers are at +0.5 in our coordinates and at 0 in OpenCV's
            shift = view[:, 2] - scale * plate_view[:, 2] + 0.5 * scale - 0.5
            rgb = cv2.warpAffine(plate, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), (width, height))
        yield _draw_frame(spec, t, rgb, view, grain)


def sample_frame(
    seed: int,
    width: int,
    height: int,
    split: Split = "train",
    unseen: bool = False,
    t_s: float | None = None,
    classes: tuple[str, ...] | None = None,
) -> Sample:
    """A cheap labeled still: one frame of the seed's shot at `t_s` seconds; None = a time chosen by the seed."""
    spec = sample_shot(seed, split, unseen, aspect=width / height, classes=classes)
    if t_s is None:
        t_s = (seed * 0.6180339887) % 1.0 * spec.duration_s
    frame = next(render_times(spec, [t_s], width, height))
    return label_objects(spec, frame)


def label_objects(spec: ShotSpec, frame: WorldFrame) -> Sample:
    """Split the frame's objects into labeled and ignored ones, by MIN_AREA_FRAC and MIN_VISIBLE_FRAC."""
    height, width = frame.rgb.shape[:2]
    areas = frame.visible.sum(axis=(1, 2))
    whole = np.array([full_area(spec, actor, frame.t_s, width, height) for actor in spec.actors])
    seen = areas > 0
    asked = seen & (areas >= MIN_AREA_FRAC * width * height) & (areas >= MIN_VISIBLE_FRAC * np.maximum(whole, 1))
    boxes = frame.boxes()
    labels = tuple(actor.kind for actor, one in zip(spec.actors, asked, strict=True) if one)
    return Sample(frame.rgb, boxes[asked], labels, frame.visible[asked], boxes[seen & ~asked])


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """(N, 4) xyxy half-open boxes of (N, H, W) masks; NaN for empty ones."""
    out = np.full((len(masks), 4), np.nan)
    for index, mask in enumerate(masks):
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        if len(rows):
            out[index] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return out


def full_area(spec: ShotSpec, actor: ActorSpec, t: float, width: int, height: int) -> int:
    """Pixels of the actor's full silhouette, including parts outside the frame."""
    outlines = _actor_outlines(spec, actor, t, view_at(spec, t, width, height))[0]
    points = np.concatenate(outlines)
    low = points.min(axis=0) // 16 - 1
    size = points.max(axis=0) // 16 + 3 - low
    shifted = [outline - (low * 16).astype(np.int32) for outline in outlines]
    drawn = silhouette(shifted, int(size[0]), int(size[1]))
    return 0 if drawn is None else int(drawn[1].sum())


def camera_at(spec: ShotSpec, t: float) -> tuple[float, float, float]:
    """(x, y, zoom): the world point at the frame's center and the magnification."""
    camera = spec.camera
    u = min(1.0, max(0.0, t / spec.duration_s))
    u = u * u * (3 - 2 * u) if "zoom" in camera.kind else u
    x, y, zoom = (a + (b - a) * u for a, b in zip(camera.start, camera.end, strict=True))
    if camera.target >= 0:
        path = spec.actors[camera.target].path
        x += 0.8 * (path.at(t)[0] - path.at(0.0)[0])
    if camera.shake:
        p = camera.shake_phase
        x += camera.shake * (math.sin(7.1 * t + p) + 0.6 * math.sin(17.3 * t + 2 * p))
        y += camera.shake * (math.sin(8.7 * t + 3 * p) + 0.6 * math.sin(15.1 * t + p))
    return x, y, zoom


def view_at(spec: ShotSpec, t: float, width: int, height: int) -> np.ndarray:
    """(2, 3) affine from world to pixels at t seconds; a pixel's center is at +0.5."""
    x, y, zoom = camera_at(spec, t)
    scale = zoom * height
    return np.array([[scale, 0.0, width / 2 - scale * x], [0.0, scale, height / 2 - scale * y]])


def _plate(spec: ShotSpec, views: list[np.ndarray], width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The painted backdrop over everything the views see, and its own view."""
    if all(np.array_equal(view, views[0]) for view in views):
        plate, view = paint(spec.scene, views[0], width, height), views[0]
        return _expose(plate, spec), view
    scale = max(view[0, 0] for view in views)
    x0 = min(-view[0, 2] / view[0, 0] for view in views) - 2 / scale
    y0 = min(-view[1, 2] / view[0, 0] for view in views) - 2 / scale
    x1 = max((width - view[0, 2]) / view[0, 0] for view in views) + 2 / scale
    y1 = max((height - view[1, 2]) / view[0, 0] for view in views) + 2 / scale
    view = np.array([[scale, 0.0, -scale * x0], [0.0, scale, -scale * y0]])
    plate = paint(spec.scene, view, math.ceil((x1 - x0) * scale), math.ceil((y1 - y0) * scale))
    return _expose(plate, spec), view


def _expose(plate: np.ndarray, spec: ShotSpec) -> np.ndarray:
    import cv2

    levels = np.arange(256)
    table = np.stack([_expose_channel(levels, spec, channel) for channel in range(3)], axis=1)
    return cv2.LUT(plate, table[None])


def _expose_channel(level: np.ndarray, spec: ShotSpec, channel: int) -> np.ndarray:
    warm = (spec.warmth, 0.0, -spec.warmth)[channel]
    return np.clip(((level - 128) * spec.contrast + 128) * spec.gain + warm, 0, 255).astype(np.uint8)


def _expose_color(color: Color, spec: ShotSpec) -> Color:
    r, g, b = (int(_expose_channel(np.array(color[c]), spec, c)) for c in range(3))
    return r, g, b


def _grain(spec: ShotSpec, width: int, height: int) -> tuple[np.ndarray, np.ndarray] | None:
    if not spec.grain:
        return None
    noise = (
        np.random.default_rng(spec.seed).standard_normal((height + 64, width + 64, 1)).astype(np.float32) * spec.grain
    )
    noise = np.repeat(noise, 3, axis=2)
    return np.clip(noise, 0, 40).astype(np.uint8), np.clip(-noise, 0, 40).astype(np.uint8)


def _draw_frame(
    spec: ShotSpec, t: float, rgb: np.ndarray, view: np.ndarray, grain: tuple[np.ndarray, np.ndarray] | None
) -> WorldFrame:
    import cv2

    height, width = rgb.shape[:2]
    count = len(spec.actors)
    visible = np.zeros((count, height, width), bool)
    amodal = np.zeros((count, height, width), bool)
    items: list[ActorSpec | OccluderSpec] = [*spec.actors, *spec.occluders]
    order = sorted(items, key=lambda item: item.depth)
    behind: list[int] = []
    for item in order:
        if isinstance(item, ActorSpec):
            outlines, colors = _actor_outlines(spec, item, t, view)
            if kind_of(item.kind).place == "ground":
                _shadow(rgb, item, t, view)
        else:
            outlines, colors = _occluder_outlines(spec, item, view)
        shape = silhouette(outlines, width, height)
        if shape is None:
            continue
        draw(rgb, outlines, colors)
        (x0, y0, x1, y1), mask = shape
        hit = mask.astype(bool)
        for other in behind:
            visible[other, y0:y1, x0:x1] &= ~hit
        if isinstance(item, ActorSpec):
            visible[item.object_id, y0:y1, x0:x1] = hit
            amodal[item.object_id, y0:y1, x0:x1] = hit
            behind.append(item.object_id)
    if grain is not None:
        dx, dy = int(t * 7919) * 31 % 64, int(t * 7919) * 17 % 64
        rgb = cv2.add(rgb, grain[0][dy : dy + height, dx : dx + width])
        rgb = cv2.subtract(rgb, grain[1][dy : dy + height, dx : dx + width])
    return WorldFrame(t, rgb, visible, amodal, camera_at(spec, t))


def _actor_outlines(
    spec: ShotSpec, actor: ActorSpec, t: float, view: np.ndarray
) -> tuple[list[np.ndarray], list[Color]]:
    one = kind_of(actor.kind)
    action = next(action for action in one.actions if action.name == actor.action)
    parts = one.draw(actor.look, actor.action, actor.phase + 2 * math.pi * action.cycle_hz * t)
    x, y, direction = actor.path.at(t)
    flip = (direction or actor.facing) * actor.height
    place = np.array([[flip * view[0, 0], 0.0, view[0, 0] * x + view[0, 2]],
                      [0.0, actor.height * view[0, 0], view[0, 0] * y + view[1, 2]]])  # fmt: skip
    return to_pixels(parts, place), [_expose_color(part.color, spec) for part in parts]


def _shadow(rgb: np.ndarray, actor: ActorSpec, t: float, view: np.ndarray) -> None:
    """Draw a soft dark ellipse under the feet; not part of any mask."""
    x, y, _ = actor.path.at(t)
    half = actor.height * kind_of(actor.kind).aspect * 0.42
    outline = to_pixels([Part(disc(x, y, half, 0.035 * actor.height + 0.006, n=24), (0, 0, 0))], view)
    height, width = rgb.shape[:2]
    shape = silhouette(outline, width, height)
    if shape is not None:
        (x0, y0, x1, y1), mask = shape
        area = rgb[y0:y1, x0:x1]
        hit = mask.astype(bool)
        area[hit] = (area[hit] * 0.68).astype(np.uint8)


def _occluder_outlines(spec: ShotSpec, item: OccluderSpec, view: np.ndarray) -> tuple[list[np.ndarray], list[Color]]:
    parts = occluder_parts(item)
    return to_pixels(parts, view), [_expose_color(part.color, spec) for part in parts]
