"""car, bus, bicycle, boat, airplane."""

import math

from mvideo_core.miniworld.world.geometry import Part, all_turned, blob, box, capsule, disc, move, poly, shade
from mvideo_core.miniworld.world.kinds import Action, Look, kind

TYRE = (32, 32, 34)
PAINTS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "white", "black", "grey")
GLASS = (165, 205, 225)


def _wheel(x: float, r: float, phase: float, hub: tuple[int, int, int] = (190, 190, 195)) -> list[Part]:
    spokes = [
        Part(
            capsule(
                (x - 0.55 * r * math.cos(phase + a), -r - 0.55 * r * math.sin(phase + a)),
                (x + 0.55 * r * math.cos(phase + a), -r + 0.55 * r * math.sin(phase + a)),
                r * 0.09,
                n=3,
            ),
            (90, 90, 95),
        )
        for a in (0.0, math.pi / 2)
    ]
    return [Part(disc(x, -r, r), TYRE), Part(disc(x, -r, r * 0.62), hub), *spokes]


@kind("car", (Action("drive", "driving", 1.3, 1.0), Action("park", "parked")), (0.16, 0.3), 2.3, PAINTS)
def car(look: Look, action: str, phase: float) -> list[Part]:
    """Low body, cabin with two windows, lamps."""
    roof = -0.96 - 0.06 * look.traits[3]
    body = blob([(-1.12, -0.2), (-1.12, -0.56), (-0.8, -0.64), (0.6, -0.62), (1.08, -0.5), (1.16, -0.2)], 1)
    cabin = blob([(-0.9, -0.56), (-0.62, roof), (0.2, roof), (0.66, -0.56)], 1)
    windows = [
        poly((-0.62, -0.6), (-0.5, roof + 0.1), (-0.2, roof + 0.1), (-0.2, -0.6)),
        poly((-0.12, -0.6), (-0.12, roof + 0.1), (0.12, roof + 0.1), (0.44, -0.6)),
    ]
    return [
        Part(cabin, look.main),
        Part(body, look.main),
        *(Part(window, GLASS) for window in windows),
        Part(box(-1.1, -0.3, 1.12, -0.22), shade(look.main, 0.6)),
        Part(disc(1.03, -0.42, 0.07, n=10), (250, 240, 170)),
        Part(box(-1.1, -0.5, -1.02, -0.38), (200, 30, 30)),
        Part(capsule((-0.2, -0.46), (-0.08, -0.46), 0.02, n=3), shade(look.main, 0.5)),
        *_wheel(-0.66, 0.23, phase),
        *_wheel(0.66, 0.23, phase),
    ]


@kind("bus", (Action("drive", "driving", 0.7, 0.8), Action("park", "parked")), (0.26, 0.42), 2.35, PAINTS[:8])
def bus(look: Look, action: str, phase: float) -> list[Part]:
    """Long tall box, a row of windows, door, stripe."""
    parts = [
        Part(blob([(-1.16, -0.12), (-1.16, -1.0), (1.12, -1.0), (1.18, -0.6), (1.18, -0.12)], 1), look.main),
        Part(box(-1.12, -0.45, 1.14, -0.36), look.second),
    ]
    parts += [Part(box(x, -0.86, x + 0.27, -0.54), GLASS) for x in (-1.02, -0.68, -0.34, 0.0, 0.34)]
    parts += [
        Part(box(0.72, -0.84, 0.94, -0.16), shade(GLASS, 0.75)),
        Part(poly((1.0, -0.86), (1.09, -0.86), (1.13, -0.5), (1.0, -0.5)), GLASS),
        Part(box(1.06, -0.28, 1.15, -0.2), (250, 240, 170)),
        *_wheel(-0.7, 0.17, phase),
        *_wheel(0.5, 0.17, phase),
    ]
    return parts


@kind("bicycle", (Action("roll", "rolling", 0.8, 0.7), Action("park", "parked")), (0.22, 0.4), 1.65, PAINTS)
def bicycle(look: Look, action: str, phase: float) -> list[Part]:
    """Two disc wheels, diamond frame, bars and saddle, turning pedals."""
    rear, front, r = -0.5, 0.5, 0.32
    crank, seat, bars = (-0.08, -0.34), (-0.22, -0.84), (0.32, -0.84)
    parts = []
    for x in (rear, front):
        parts += [Part(disc(x, -r, r, n=28), TYRE), Part(disc(x, -r, r * 0.8, n=24), (205, 208, 210))]
        parts += [
            Part(
                capsule(
                    (x - 0.24 * math.cos(phase + a), -r - 0.24 * math.sin(phase + a)),
                    (x + 0.24 * math.cos(phase + a), -r + 0.24 * math.sin(phase + a)),
                    0.012,
                    n=3,
                ),
                (110, 112, 116),
            )
            for a in (0.0, math.pi / 3, 2 * math.pi / 3)
        ]
    tubes = [
        ((rear, -r), crank),
        ((rear, -r), (-0.18, -0.7)),
        (crank, seat),
        (crank, (0.34, -0.66)),
        ((-0.18, -0.7), (0.33, -0.74)),
        ((front, -r), bars),
    ]
    parts += [Part(capsule(p, q, 0.035, n=4), look.main) for p, q in tubes]
    pedal = (crank[0] + 0.15 * math.cos(phase), crank[1] + 0.15 * math.sin(phase))
    parts += [
        Part(disc(*crank, 0.07, n=12), (90, 90, 95)),
        Part(capsule(crank, pedal, 0.025, n=3), (60, 60, 65)),
        Part(capsule((pedal[0] - 0.06, pedal[1]), (pedal[0] + 0.06, pedal[1]), 0.025, n=3), TYRE),
        Part(capsule((-0.36, -0.88), (-0.1, -0.88), 0.045, 0.025), TYRE),
        Part(capsule(bars, (0.3, -0.96), 0.03, n=4), (90, 90, 95)),
        Part(capsule((0.2, -0.96), (0.42, -0.97), 0.035, n=4), TYRE),
    ]
    return parts


@kind("boat", (Action("sail", "sailing", 0.35, 0.35),), (0.24, 0.46), 0.95, PAINTS, place="water", scenes=("lake",))
def boat(look: Look, action: str, phase: float) -> list[Part]:
    """Hull with stripe; a mast with two sails or a cabin with a funnel. Rocks on the water."""
    hull = poly((-0.52, -0.24), (0.58, -0.24), (0.42, 0.0), (-0.4, 0.0))
    parts = [
        Part(hull, look.main),
        Part(poly((-0.52, -0.24), (0.58, -0.24), (0.54, -0.18), (-0.49, -0.18)), look.second),
    ]
    if look.traits[3] < 0.6:
        parts = [
            Part(capsule((0.0, -0.22), (0.0, -0.98), 0.022, n=4), (120, 85, 50)),
            Part(poly((-0.04, -0.95), (-0.04, -0.32), (-0.46, -0.32)), (245, 242, 230)),
            Part(poly((0.04, -0.9), (0.04, -0.32), (0.42, -0.32)), look.third),
            *parts,
        ]
    else:
        parts = [
            Part(box(0.0, -0.78, 0.12, -0.5), look.third),
            Part(box(-0.34, -0.55, 0.26, -0.22), (240, 240, 238)),
            *(Part(disc(x, -0.4, 0.055, n=12), (70, 120, 160)) for x in (-0.22, -0.04, 0.14)),
            *parts,
        ]
    return move(all_turned(parts, 0.06 * math.sin(phase), (0.0, 0.0)), 0.0, 0.015 * math.sin(phase * 1.3))


@kind(
    "airplane",
    (Action("fly", "flying", 1.4, 0.25),),
    (0.12, 0.22),
    2.6,
    ("white", "grey", "red", "blue", "yellow"),
    place="sky",
)
def airplane(look: Look, action: str, phase: float) -> list[Part]:
    """Fuselage with windows, swept wing, tail fin."""
    body = blob([(-1.2, -0.12), (-0.6, -0.2), (0.8, -0.2), (1.3, 0.0), (0.9, 0.16), (-0.6, 0.16), (-1.1, 0.0)])
    parts = [
        Part(poly((0.25, -0.1), (-0.2, -0.1), (-0.62, -0.42), (-0.42, -0.42)), shade(look.main, 0.7)),
        Part(poly((-0.75, -0.1), (-1.12, -0.1), (-1.35, -0.55), (-1.1, -0.55)), look.second),
        Part(body, look.main),
        Part(box(-0.85, 0.01, 0.85, 0.06), look.second),
        *(Part(disc(x, -0.06, 0.035, n=8), (60, 90, 130)) for x in (-0.55, -0.35, -0.15, 0.05, 0.25, 0.45, 0.65)),
        Part(poly((0.9, -0.13), (1.08, -0.07), (0.92, -0.03)), (60, 90, 130)),
        Part(poly((0.3, 0.05), (-0.15, 0.08), (-0.75, 0.5), (-0.45, 0.5)), shade(look.main, 0.82)),
        Part(capsule((-0.15, 0.25), (0.12, 0.25), 0.07), look.second),
        Part(poly((-0.85, 0.0), (-1.05, 0.0), (-1.4, 0.18), (-1.2, 0.18)), shade(look.main, 0.8)),
    ]
    return all_turned(parts, 0.05 * math.sin(phase) - 0.05, (0.0, 0.0))
