"""Unlabeled foreground clutter that occludes objects."""

from mvideo_core.miniworld.world.geometry import Color, Part, blob, box, disc, shade
from mvideo_core.miniworld.world.spec import OccluderSpec

BUSH = ((-0.45, 0.3), (0.45, 0.3), (0.0, 0.34), (-0.2, 0.66), (0.25, 0.62))


def occluder_parts(item: OccluderSpec) -> list[Part]:
    """World polygons of one piece of clutter, with its base at (x, y)."""
    x, y, h, c = item.x, item.y, item.height, item.color
    if item.shape == "bush":
        return [Part(disc(x + dx * h, y - dy * h, h * 0.34), shade((70, 115, 60), 1 - dy * 0.3)) for dx, dy in BUSH]
    return {"trunk": _trunk, "pillar": _pillar, "board": _board, "crate": _crate, "rock": _rock}[item.shape](x, y, h, c)


def _trunk(x: float, y: float, h: float, c: Color) -> list[Part]:
    w = 0.07 * h + 0.02
    outline = [
        (x - 1.4 * w, y),
        (x - w, y - h * 0.5),
        (x - 1.1 * w, y - h),
        (x + w, y - h),
        (x + w, y - h * 0.4),
        (x + 1.5 * w, y),
    ]
    knots = [Part(disc(x + 0.3 * w, y - f * h, w * 0.25, w * 0.4, n=10), shade(c, 0.7)) for f in (0.3, 0.62)]
    return [Part(blob(outline, 1), c), *knots]


def _pillar(x: float, y: float, h: float, c: Color) -> list[Part]:
    w = 0.09 * h + 0.015
    return [
        Part(box(x - w, y - h, x + w, y), c),
        Part(box(x - w * 1.3, y - h, x + w * 1.3, y - h * 0.93), shade(c, 0.8)),
        Part(box(x - w * 1.3, y - h * 0.07, x + w * 1.3, y), shade(c, 0.8)),
        Part(box(x - w * 0.2, y - h * 0.92, x, y - h * 0.08), shade(c, 1.12)),
    ]


def _board(x: float, y: float, h: float, c: Color) -> list[Part]:
    w = 0.16 * h
    panel = box(x - w * 0.85, y - h * 0.94, x + w * 0.85, y - 0.08 * h)
    return [Part(box(x - w, y - h, x + w, y - 0.02), c), Part(panel, shade(c, 0.85))]


def _crate(x: float, y: float, h: float, c: Color) -> list[Part]:
    w = h * 0.5
    slats = [Part(box(x - w, y - h * f, x + w, y - h * f + 0.02 * h), shade(c, 0.65)) for f in (1.0, 0.67, 0.34, 0.04)]
    return [Part(box(x - w, y - h, x + w, y), c), *slats]


def _rock(x: float, y: float, h: float, c: Color) -> list[Part]:
    w = h * 0.7
    face = [(x - w * 0.5, y - h * 0.3), (x - w * 0.1, y - h * 0.8), (x + w * 0.2, y - h * 0.4)]
    outline = [(x - w, y), (x - w * 0.7, y - h * 0.7), (x, y - h), (x + w * 0.8, y - h * 0.6), (x + w, y)]
    return [Part(blob(outline, 1), c), Part(blob(face, 1), shade(c, 1.15))]
