"""bird, and the unseen classes penguin, sea turtle and squirrel."""

import math

from mvideo_core.miniworld.world.geometry import (
    Part,
    all_turned,
    bend,
    blob,
    capsule,
    disc,
    ground,
    poly,
    ribbon,
    shade,
)
from mvideo_core.miniworld.world.kinds import Action, Look, kind

BEAK = (240, 160, 40)


@kind(
    "bird",
    (Action("fly", "flying", 1.1, 1.8), Action("glide", "gliding", 0.8, 0.4)),
    (0.14, 0.26),
    1.5,
    ("red", "blue", "yellow", "black", "white", "grey", "brown", "teal"),
    place="sky",
)
def bird(look: Look, action: str, phase: float) -> list[Part]:
    """In flight: fan tail, beak, two beating wings."""
    beat = math.sin(phase) * (1.0 if action == "fly" else 0.25) + (0.0 if action == "fly" else 0.5)
    far = _wing((0.08, -0.04), beat * 0.55, shade(look.second, 0.65))
    near = _wing((-0.02, 0.0), beat * 0.6, look.second)
    body = blob([(-0.45, 0.02), (-0.1, -0.14), (0.3, -0.12), (0.42, -0.02), (0.25, 0.12), (-0.1, 0.12)])
    tail = poly((-0.3, -0.02), (-0.78, -0.12), (-0.74, 0.02), (-0.8, 0.14), (-0.3, 0.06))
    return [
        far,
        Part(tail, shade(look.second, 0.85)),
        Part(body, look.main),
        Part(disc(0.44, -0.1, 0.13), look.main),
        Part(poly((0.53, -0.16), (0.76, -0.06), (0.52, -0.03)), BEAK),
        Part(disc(0.48, -0.13, 0.024, n=8), (15, 15, 15)),
        near,
    ]


def _wing(root: tuple[float, float], lift: float, color: tuple[int, int, int]) -> Part:
    x, y = root
    tip = (x - 0.22, y - lift)
    outline = [(x + 0.2, y), (x + 0.1, y - lift * 0.7), tip, (x - 0.3, y - lift * 0.7), (x - 0.2, y + 0.05)]
    return Part(blob(outline, 2), color)


@kind(
    "penguin",
    (Action("waddle", "waddling", 0.3, 1.1), Action("stand", "standing", 0.0, 0.5)),
    (0.24, 0.44),
    0.5,
    ("black",),
    unseen=True,
)
def penguin(look: Look, action: str, phase: float) -> list[Part]:
    """Black back, white belly, orange beak and feet; rocks from side to side."""
    walking = action == "waddle"
    sway = 0.14 * math.sin(phase) if walking else 0.03 * math.sin(phase)
    flap = 0.25 + 0.2 * math.sin(2 * phase) if walking else 0.15
    feet = [
        Part(
            disc(0.04 + side * 0.09, 0.0 - (0.05 * max(0.0, side * math.sin(phase)) if walking else 0), 0.09, 0.035),
            BEAK,
        )
        for side in (-1, 1)
    ]
    body = blob([(-0.2, -0.06), (-0.26, -0.35), (-0.14, -0.68), (0.12, -0.68), (0.24, -0.35), (0.2, -0.06)])
    belly = blob([(-0.06, -0.06), (-0.1, -0.35), (0.02, -0.62), (0.15, -0.6), (0.21, -0.33), (0.17, -0.06)])
    upper = [
        Part(
            capsule((-0.14, -0.58), (-0.14 - 0.3 * math.sin(flap + 0.2), -0.58 + 0.32), 0.055, 0.025),
            shade(look.main, 0.8),
        ),
        Part(body, look.main),
        Part(belly, (240, 240, 235)),
        Part(disc(0.02, -0.8, 0.155), look.main),
        Part(disc(0.08, -0.78, 0.075), (240, 240, 235)),
        Part(poly((0.13, -0.84), (0.32, -0.76), (0.13, -0.74)), BEAK),
        Part(disc(0.07, -0.83, 0.022, n=8), (15, 15, 15)),
        Part(capsule((0.0, -0.56), (-0.02 - 0.26 * math.sin(flap), -0.26), 0.06, 0.025), shade(look.main, 1.3)),
    ]
    return ground([*feet, *all_turned(upper, sway, (0.0, 0.0))])


@kind(
    "sea turtle",
    (Action("swim", "swimming", 0.7, 0.5), Action("crawl", "crawling", 0.35, 0.6)),
    (0.17, 0.3),
    1.9,
    ("green", "teal", "brown"),
    unseen=True,
)
def sea_turtle(look: Look, action: str, phase: float) -> list[Part]:
    """Domed shell with plates, long paddling flippers, round head."""
    skin = (140, 160, 90)
    beat = math.sin(phase)
    far = ribbon(bend((0.42, -0.28), 0.9 - 0.7 * beat, 0.9, 0.55), [0.09, 0.12, 0.12, 0.11, 0.09, 0.06, 0.02])
    near = ribbon(bend((0.36, -0.26), 1.3 + 0.7 * beat, 0.9, 0.62), [0.1, 0.13, 0.13, 0.12, 0.1, 0.06, 0.02])
    hind = ribbon(bend((-0.55, -0.22), 2.2 - 0.4 * beat, 0.6, 0.36), [0.07, 0.09, 0.09, 0.08, 0.07, 0.05, 0.02])
    shell = blob(
        [(-0.8, -0.2), (-0.62, -0.62), (-0.1, -0.92), (0.42, -0.68), (0.6, -0.25), (0.2, -0.12), (-0.4, -0.12)]
    )
    plates = [
        Part(disc(x, y, 0.13, 0.115, n=6), shade(look.main, 0.65))
        for x, y in ((-0.46, -0.38), (-0.12, -0.42), (0.22, -0.38), (-0.28, -0.62), (0.06, -0.64))
    ]
    head = [
        Part(capsule((0.5, -0.34), (0.82, -0.42), 0.11, 0.15), skin),
        Part(disc(0.88, -0.46, 0.028, n=8), (15, 15, 15)),
    ]
    parts = [Part(far, shade(skin, 0.7)), Part(hind, skin), *head, Part(shell, look.main), *plates, Part(near, skin)]
    return ground(parts, 0.0 if action == "crawl" else 0.12 + 0.06 * math.sin(phase))


@kind(
    "squirrel",
    (Action("hop", "hopping", 0.9, 1.4), Action("stand", "sitting up", 0.0, 0.6)),
    (0.16, 0.3),
    1.2,
    ("orange", "brown", "grey"),
    unseen=True,
)
def squirrel(look: Look, action: str, phase: float) -> list[Part]:
    """Large bushy tail curled over the back, tufted ears."""
    sitting = action == "stand"
    tilt = -0.75 if sitting else -0.15 + 0.2 * math.sin(phase)
    curl = -2.3 + 0.15 * math.sin(phase)
    tail = bend((-0.28, -0.16), math.pi + 0.5, -curl, 0.95, 9)
    tail_parts = [
        Part(ribbon(tail, [0.06, 0.11, 0.15, 0.18, 0.19, 0.18, 0.16, 0.12, 0.05]), shade(look.main, 0.8)),
        Part(ribbon(tail[1:8], [0.03, 0.05, 0.07, 0.08, 0.07, 0.06, 0.03]), shade(look.main, 1.25)),
    ]
    front = [
        Part(
            blob([(-0.34, -0.1), (-0.2, -0.36), (0.15, -0.36), (0.34, -0.24), (0.3, -0.08), (-0.1, -0.04)]), look.main
        ),
        Part(blob([(0.05, -0.1), (0.2, -0.28), (0.32, -0.2), (0.26, -0.08)], 1), (245, 230, 205)),
        Part(disc(0.4, -0.36, 0.15, 0.13), look.main),
        Part(poly((0.28, -0.44), (0.3, -0.64), (0.4, -0.46)), shade(look.main, 0.8)),
        Part(disc(0.53, -0.32, 0.06, 0.05, n=10), (245, 230, 205)),
        Part(disc(0.45, -0.39, 0.026, n=8), (15, 15, 15)),
        Part(capsule((0.22, -0.16), (0.36, -0.1 if not sitting else -0.22), 0.05, 0.035), shade(look.main, 0.85)),
    ]
    front = all_turned(front, tilt, (-0.2, -0.1))
    legs = [
        Part(disc(-0.17, -0.13, 0.15, 0.13), shade(look.main, 0.9)),
        Part(capsule((-0.18, -0.03), (0.02, -0.03), 0.04), look.main),
    ]
    lift = 0.0 if sitting else 0.16 * max(0.0, math.sin(phase))
    return ground([*tail_parts, *front, *legs], lift)
