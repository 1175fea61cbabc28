"""Rasterize polygons. Image and ground truth share the same vertices, rounded to 1/16 pixel."""

from collections.abc import Sequence

import numpy as np

from mvideo_core.miniworld.world.geometry import Part

SHIFT = 4
ONE = 1 << SHIFT
Box = tuple[int, int, int, int]


def to_pixels(parts: Sequence[Part], view: np.ndarray) -> list[np.ndarray]:
    """Each part's vertices as int32 in 1/16 pixel; pixel (0, 0) is centered at (0.5, 0.5)."""
    if not parts:
        return []
    points = np.concatenate([part.points for part in parts])
    placed = points @ view[:, :2].T + (view[:, 2] - 0.5)
    fixed = np.rint(np.clip(placed, -20000, 20000) * ONE).astype(np.int32)
    ends = np.cumsum([len(part.points) for part in parts])[:-1]
    return np.split(fixed, ends)


def fill(canvas: np.ndarray, parts: Sequence[Part], view: np.ndarray) -> None:
    """Draw parts in order, anti-aliased, into (H, W, 3) uint8; those outside are skipped."""
    draw(canvas, to_pixels(parts, view), [part.color for part in parts])


def draw(canvas: np.ndarray, outlines: Sequence[np.ndarray], colors: Sequence[tuple[int, int, int]]) -> None:
    """Fill outlines (fixed point) in order, anti-aliased."""
    import cv2

    height, width = canvas.shape[:2]
    for outline, color in zip(outlines, colors, strict=True):
        x0, y0 = outline.min(axis=0)
        x1, y1 = outline.max(axis=0)
        if x1 < 0 or y1 < 0 or x0 > width * ONE or y0 > height * ONE:
            continue
        cv2.fillPoly(canvas, [outline], color, cv2.LINE_AA, SHIFT)


def bounds(outlines: Sequence[np.ndarray], width: int, height: int) -> Box | None:
    """Pixel box (x0, y0, x1, y1), half-open, of all outlines clipped to the frame, or None if outside."""
    points = np.concatenate(outlines)
    x0, y0 = np.maximum(points.min(axis=0) // ONE - 1, 0)
    x1, y1 = np.minimum(points.max(axis=0) // ONE + 3, (width, height))
    return (int(x0), int(y0), int(x1), int(y1)) if x1 > x0 and y1 > y0 else None


def silhouette(outlines: Sequence[np.ndarray], width: int, height: int) -> tuple[Box, np.ndarray] | None:
    """Union of the outlines as a binary mask.

    Returns:
        (box, (box height, box width) uint8 0/1), or None if nothing is inside the frame.
    """
    import cv2

    box = bounds(outlines, width, height)
    if box is None:
        return None
    x0, y0, x1, y1 = box
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    offset = np.array([x0 * ONE, y0 * ONE], np.int32)
    for outline in outlines:
        cv2.fillPoly(mask, [outline - offset], 1, cv2.LINE_8, SHIFT)
    return box, mask
