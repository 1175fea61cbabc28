"""sports ball, kite, umbrella, stop sign, traffic light, clock, chair, bottle."""

import math
from itertools import pairwise

import numpy as np

from mvideo_core.miniworld.world.geometry import (
    Part,
    all_turned,
    blob,
    box,
    capsule,
    disc,
    ground,
    move,
    poly,
    shade,
)
from mvideo_core.miniworld.world.kinds import Action, Look, kind

BRIGHT = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")
STILL = (Action("stand", "standing still", 0.0, 0.2),)


@kind(
    "sports ball",
    (Action("bounce", "bouncing", 1.2, 0.7), Action("roll", "rolling", 1.5, 0.5)),
    (0.09, 0.19),
    1.0,
    ("white", "orange", "yellow", "red", "blue"),
)
def sports_ball(look: Look, action: str, phase: float) -> list[Part]:
    """A football with dark patches, a basketball with seams or a beach ball with sectors; it rolls as it moves."""
    style = int(look.traits[3] * 3)
    parts = [Part(disc(0, -0.5, 0.5, n=32), look.main if style else (238, 238, 235))]
    if style == 0:
        parts += [Part(disc(0, -0.5, 0.17, n=5), TYRE_DARK)]
        parts += [
            Part(disc(0.36 * math.cos(a), -0.5 + 0.36 * math.sin(a), 0.1, 0.1, n=5, turn=a), TYRE_DARK)
            for a in np.arange(5) * 2 * math.pi / 5 + math.pi / 5
        ]
    elif style == 1:
        dark = shade(look.main, 0.35)
        parts += [
            Part(capsule((-0.47, -0.5), (0.47, -0.5), 0.025, n=3), dark),
            Part(capsule((0, -0.97), (0, -0.03), 0.025, n=3), dark),
        ]
        for side in (-1, 1):
            arc = [(side * (0.5 - 0.3 * math.cos(a)), -0.5 + 0.38 * math.sin(a)) for a in (-1.2, -0.5, 0.5, 1.2)]
            parts += [Part(capsule(p, q, 0.022, n=3), dark) for p, q in pairwise(arc)]
    else:
        for i, color in enumerate((look.second, (245, 245, 240), look.third)):
            a = np.linspace(i * 2 * math.pi / 3, i * 2 * math.pi / 3 + math.pi / 3, 7)
            rim = np.stack([0.5 * np.cos(a), -0.5 + 0.5 * np.sin(a)], axis=1)
            parts.append(Part(np.concatenate([[(0.0, -0.5)], rim]), color))
    parts = all_turned(parts, phase * 1.3, (0.0, -0.5))
    return move(parts, 0.0, -1.6 * abs(math.sin(phase))) if action == "bounce" else parts


TYRE_DARK = (35, 35, 38)


@kind("kite", (Action("float", "floating in the wind", 0.25, 0.3),), (0.2, 0.38), 0.75, BRIGHT, place="sky")
def kite(look: Look, action: str, phase: float) -> list[Part]:
    """A four-colored diamond with a waving tail of bows."""
    top, right, low, left, mid = (0, -0.5), (0.34, -0.18), (0, 0.25), (-0.34, -0.18), (0, -0.18)
    parts = [
        Part(poly(top, right, mid), look.main),
        Part(poly(right, low, mid), look.second),
        Part(poly(low, left, mid), look.main),
        Part(poly(left, top, mid), shade(look.second, 0.85)),
        Part(capsule(top, low, 0.014, n=3), (90, 70, 50)),
        Part(capsule(left, right, 0.014, n=3), (90, 70, 50)),
    ]
    line = [(0.09 * math.sin(phase * 3 + i * 1.1) * min(1, i / 2), 0.25 + 0.065 * i) for i in range(7)]
    parts += [Part(capsule(p, q, 0.016, n=3), shade(look.third, 0.8)) for p, q in pairwise(line)]
    for x, y in line[2::2]:
        parts += [
            Part(poly((x, y), (x - 0.07, y - 0.045), (x - 0.07, y + 0.045)), look.third),
            Part(poly((x, y), (x + 0.07, y - 0.045), (x + 0.07, y + 0.045)), look.third),
        ]
    return all_turned(parts, 0.25 * math.sin(phase), (0.0, -0.18))


@kind("umbrella", (Action("sway", "swaying", 0.0, 0.3),), (0.24, 0.44), 0.95, BRIGHT)
def umbrella(look: Look, action: str, phase: float) -> list[Part]:
    """Open canopy in two colors with scallops, shaft and hook."""
    angle = np.linspace(math.pi, 2 * math.pi, 7)
    rim = np.stack([0.48 * np.cos(angle), -0.55 + 0.42 * np.sin(angle)], axis=1)
    low = np.linspace(-0.48, 0.48, 5)
    parts = [Part(capsule((0, -0.98), (0, -0.08), 0.02, n=4), (90, 65, 45))]
    hook = [(0.09 - 0.09 * math.cos(a), -0.08 + 0.07 * math.sin(a)) for a in (0.0, 0.8, 1.6, 2.4, 3.1)]
    parts += [Part(capsule(p, q, 0.022, n=3), (90, 65, 45)) for p, q in pairwise(hook)]
    parts.append(
        Part(
            blob(np.concatenate([rim, [(0.44, -0.5), (0.24, -0.56), (0.0, -0.5), (-0.24, -0.56), (-0.44, -0.5)]]), 1),
            look.main,
        )
    )
    for i in (0, 2):
        a, b = low[i] * 0.96, low[i + 1] * 0.96
        parts.append(Part(poly((0, -0.95), (b, -0.54), ((a + b) / 2, -0.56), (a, -0.54)), look.second))
    parts.append(Part(disc(0, -0.97, 0.025, n=8), (90, 65, 45)))
    return all_turned(parts, 0.12 * math.sin(phase), (0.0, 0.0))


@kind("stop sign", STILL, (0.36, 0.64), 0.45, ("red",), mirror=False)
def stop_sign(look: Look, action: str, phase: float) -> list[Part]:
    """Red octagon with a white rim and the word STOP, on a post."""
    parts = [Part(box(-0.025, -0.75, 0.025, 0.0), (150, 152, 155))]
    for r, color in ((0.225, (240, 240, 240)), (0.2, (200, 30, 35))):
        parts.append(Part(disc(0, -0.77, r, n=8, turn=math.pi / 8), color))
    for x0, strokes in zip((-0.155, -0.075, 0.005, 0.085), LETTERS, strict=True):
        for ax, ay, bx, by in strokes:
            p, q = (x0 + 0.055 * ax, -0.83 + 0.12 * ay), (x0 + 0.055 * bx, -0.83 + 0.12 * by)
            parts.append(Part(capsule(p, q, 0.01, n=2), (240, 240, 240)))
    return parts


LETTERS = (
    ((1, 0, 0, 0), (0, 0, 0, 0.5), (0, 0.5, 1, 0.5), (1, 0.5, 1, 1), (1, 1, 0, 1)),
    ((0, 0, 1, 0), (0.5, 0, 0.5, 1)),
    ((0, 0, 1, 0), (1, 0, 1, 1), (1, 1, 0, 1), (0, 1, 0, 0)),
    ((0, 1, 0, 0), (0, 0, 1, 0), (1, 0, 1, 0.5), (1, 0.5, 0, 0.5)),
)


@kind(
    "traffic light",
    (Action("switch", "changing its lights", 0.0, 0.12),),
    (0.38, 0.66),
    0.24,
    ("black", "green", "yellow"),
)
def traffic_light(look: Look, action: str, phase: float) -> list[Part]:
    """A box with three hooded lamps on a post; one lamp is lit."""
    lit = int(phase / (2 * math.pi) * 3) % 3
    case = shade(look.main, 0.75)
    parts = [Part(box(-0.022, -0.5, 0.022, 0.0), (95, 97, 100)), Part(box(-0.115, -1.0, 0.115, -0.46), case)]
    for i, color in enumerate(((235, 45, 40), (250, 200, 50), (60, 210, 90))):
        y = -0.91 + 0.18 * i
        parts += [
            Part(disc(0, y, 0.08, n=16), (20, 20, 20)),
            Part(disc(0, y, 0.066, n=16), color if i == lit else shade(color, 0.3)),
        ]
    return parts


@kind("clock", (Action("tick", "ticking", 0.0, 0.3),), (0.17, 0.32), 0.85, (*BRIGHT, "black", "brown"))
def clock(look: Look, action: str, phase: float) -> list[Part]:
    """An alarm clock: white face, ticks, two hands, two bells, two feet."""
    x, y = 0.0, -0.46
    parts = [Part(capsule((s * 0.2, -0.15), (s * 0.3, -0.03), 0.045), shade(look.main, 0.6)) for s in (-1, 1)]
    parts += [Part(disc(s * 0.22, -0.87, 0.14, 0.11, turn=s * 0.5), look.second) for s in (-1, 1)]
    parts += [
        Part(capsule((0, -0.85), (0, -0.94), 0.03), shade(look.main, 0.6)),
        Part(disc(x, y, 0.41, n=32), look.main),
        Part(disc(x, y, 0.33, n=28), (245, 243, 235)),
    ]
    for a in np.arange(12) * math.pi / 6:
        p, q = (x + 0.26 * math.cos(a), y + 0.26 * math.sin(a)), (x + 0.3 * math.cos(a), y + 0.3 * math.sin(a))
        parts.append(Part(capsule(p, q, 0.013, n=2), (30, 30, 30)))
    start = look.traits[4] * 6.28
    for a, length, r in ((start, 0.17, 0.026), (start * 12 + phase, 0.25, 0.018)):
        parts.append(Part(capsule((x, y), (x + length * math.cos(a), y + length * math.sin(a)), r, n=3), (30, 30, 30)))
    return ground(parts)


@kind("chair", STILL, (0.26, 0.46), 0.6, ("brown", "tan", "red", "blue", "green", "white", "black"))
def chair(look: Look, action: str, phase: float) -> list[Part]:
    """Side view: tall back with slats, seat, four legs."""
    dark = shade(look.main, 0.7)
    far = [
        Part(capsule((-0.12, -0.44), (-0.13, -0.04), 0.03, n=4), dark),
        Part(capsule((0.2, -0.44), (0.21, -0.04), 0.03, n=4), dark),
    ]
    back = [Part(poly((-0.27, -0.42), (-0.33, -1.0), (-0.2, -1.0), (-0.14, -0.42)), look.main)]
    back += [
        Part(poly((-0.285, y), (-0.2, y), (-0.195, y + 0.1), (-0.28, y + 0.1)), shade(look.main, 0.55))
        for y in (-0.92, -0.77, -0.62)
    ]
    seat = [Part(blob([(-0.28, -0.5), (0.3, -0.5), (0.32, -0.4), (-0.26, -0.4)], 1), look.second)]
    near = [
        Part(capsule((-0.22, -0.42), (-0.27, -0.03), 0.035, n=4), look.main),
        Part(capsule((0.26, -0.42), (0.31, -0.03), 0.035, n=4), look.main),
    ]
    rung = [Part(capsule((-0.24, -0.2), (0.28, -0.2), 0.022, n=3), dark)]
    return [*far, *rung, *back, *near, *seat]


@kind("bottle", STILL, (0.19, 0.36), 0.34, ("green", "blue", "brown", "teal", "red", "white"))
def bottle(look: Look, action: str, phase: float) -> list[Part]:
    """Shoulders, neck, cap and a paper label with a mark."""
    wide = 0.14 + 0.04 * look.traits[3]
    glass = blob(
        [
            (-wide, -0.01),
            (-wide, -0.56),
            (-0.06, -0.72),
            (-0.055, -0.95),
            (0.055, -0.95),
            (0.06, -0.72),
            (wide, -0.56),
            (wide, -0.01),
        ],
        1,
    )
    return [
        Part(glass, look.main),
        Part(box(-wide * 0.96, -0.46, wide * 0.96, -0.18), (242, 238, 222)),
        Part(disc(0, -0.32, 0.07, n=14), look.third),
        Part(box(-0.068, -1.0, 0.068, -0.9), look.second),
        Part(capsule((-wide * 0.6, -0.52), (-wide * 0.6, -0.1), 0.014, n=3), shade(look.main, 1.5)),
    ]
