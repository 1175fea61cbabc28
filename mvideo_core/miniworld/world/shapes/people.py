"""person: a jointed figure, seen from the side when walking or running and from the front otherwise."""

import math

from mvideo_core.miniworld.world.geometry import Part, Point, all_turned, blob, capsule, disc, ground, shade, step
from mvideo_core.miniworld.world.kinds import Action, Look, kind

SKIN = ((244, 208, 178), (224, 172, 128), (176, 120, 80), (110, 72, 50))
HAIR = ((40, 30, 25), (95, 60, 35), (190, 150, 80), (150, 150, 150))
SHIRTS = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black")
ACTIONS = (
    Action("walk", "walking", 0.45, 0.9),
    Action("run", "running", 1.0, 1.6),
    Action("jumping jack", "doing jumping jacks", 0.0, 0.8),
    Action("cartwheel", "doing cartwheels", 0.75, 0.6),
    Action("wave", "waving a hand", 0.0, 1.1),
    Action("squat", "doing squats", 0.0, 0.55),
)


@kind("person", ACTIONS, (0.34, 0.66), 0.5, SHIRTS)
def person(look: Look, action: str, phase: float) -> list[Part]:
    """A person, about 1 unit tall."""
    if action in ("walk", "run"):
        return _side(look, phase, running=action == "run")
    return _front(look, action, phase)


def _limb(top: Point, a1: float, a2: float, length: float, radius: float) -> tuple[list, Point]:
    middle = step(top, a1, length)
    end = step(middle, a2, length)
    return [capsule(top, middle, radius, radius * 0.85), capsule(middle, end, radius * 0.85, radius * 0.65)], end


def _side(look: Look, phase: float, running: bool) -> list[Part]:
    swing, flex, lean = (0.85, 1.3, 0.18) if running else (0.48, 0.6, 0.04)
    hip: Point = (0.0, -0.48)
    shoulder = step(hip, math.pi - lean, 0.32)
    near: list[Part] = []
    far: list[Part] = []
    for side, out in ((0.0, near), (math.pi, far)):
        dark = 1.0 if out is near else 0.72
        thigh = swing * math.sin(phase + side)
        shin = thigh - flex * max(0.0, math.cos(phase + side)) - (0.25 if running else 0.05)
        leg, foot = _limb(hip, thigh, shin, 0.235, 0.062)
        out += [Part(one, shade(look.second, dark)) for one in leg]
        out.append(Part(capsule(foot, (foot[0] + 0.075, foot[1]), 0.03), shade((60, 50, 45), dark)))
        arm = -swing * 0.9 * math.sin(phase + side)
        upper, hand = _limb(shoulder, arm + lean, arm + (1.3 if running else 0.35), 0.165, 0.04)
        sleeve = Part(upper[0], shade(look.main, dark * 0.88))
        fore = Part(upper[1], shade(_skin(look), dark))
        out += [sleeve, fore, Part(disc(*hand, 0.032, n=10), shade(_skin(look), dark))]
    torso = Part(capsule(hip, shoulder, 0.085, 0.1), look.main)
    head = step(shoulder, math.pi - lean, 0.135)
    neck = Part(capsule(shoulder, head, 0.04), _skin(look))
    face = [Part(disc(*head, 0.075), _skin(look)), *_hair(look, head, side=True)]
    near_legs, near_arm = near[:3], near[3:]
    lift = 0.05 * abs(math.sin(phase)) if running else 0.0
    return ground([*far, *near_legs, torso, neck, *face, *near_arm], lift)


def _front(look: Look, action: str, phase: float) -> list[Part]:
    open_ = (1 - math.cos(phase)) / 2
    arms, legs, lift = [(0.22, 0.12), (0.22, 0.12)], [(0.09, 0.05), (0.09, 0.05)], 0.0
    if action == "jumping jack":
        arms = [(0.2 + 2.6 * open_, 0.15 + 2.85 * open_)] * 2
        legs = [(0.06 + 0.5 * open_, 0.05 + 0.45 * open_)] * 2
        lift = 0.07 * abs(math.sin(phase))
    elif action == "wave":
        arms = [(0.25, 0.15), (2.0, 2.75 + 0.55 * math.sin(phase))]
    elif action == "squat":
        arms = [(0.3 + 1.2 * open_, 0.2 + 1.4 * open_)] * 2
        legs = [(0.22 + 1.05 * open_, 0.16 - 0.75 * open_)] * 2
    elif action == "cartwheel":
        arms, legs = [(2.55, 2.6)] * 2, [(0.55, 0.5)] * 2
    parts = _front_figure(look, arms, legs)
    if action == "cartwheel":
        parts = all_turned(parts, phase, (0.0, -0.6))
    return ground(parts, lift)


def _front_figure(look: Look, arms: list, legs: list) -> list[Part]:
    parts: list[Part] = []
    for sign, (a1, a2) in zip((-1, 1), legs, strict=True):
        leg, foot = _limb((sign * 0.05, -0.48), sign * a1, sign * a2, 0.235, 0.062)
        parts += [Part(one, shade(look.second, 1.0 if sign > 0 else 0.85)) for one in leg]
        parts.append(Part(capsule(foot, (foot[0] + sign * 0.04, foot[1]), 0.034), (60, 50, 45)))
    trunk = [(-0.09, -0.44), (0.09, -0.44), (0.13, -0.8), (0.07, -0.85), (-0.07, -0.85), (-0.13, -0.8)]
    parts.append(Part(blob(trunk, 1), look.main))
    head: Point = (0.0, -0.945)
    parts += [Part(capsule((0, -0.8), head, 0.035), _skin(look)), Part(disc(*head, 0.075, 0.085), _skin(look))]
    parts += _hair(look, head, side=False)
    for sign, (a1, a2) in zip((-1, 1), arms, strict=True):
        arm, hand = _limb((sign * 0.11, -0.8), sign * a1, sign * a2, 0.165, 0.042)
        parts += [Part(arm[0], shade(look.main, 0.88)), Part(arm[1], _skin(look))]
        parts.append(Part(disc(*hand, 0.034, n=10), _skin(look)))
    return parts


def _skin(look: Look) -> tuple[int, int, int]:
    return SKIN[int(look.traits[0] * len(SKIN))]


def _hair(look: Look, head: Point, side: bool) -> list[Part]:
    x, y = head
    color = HAIR[int(look.traits[1] * len(HAIR))]
    back = -0.02 if side else 0.0
    cap = Part(
        blob(
            [
                (x - 0.08 + back, y + 0.01),
                (x - 0.075, y - 0.08),
                (x, y - 0.11),
                (x + 0.075, y - 0.08),
                (x + 0.08, y - 0.02),
                (x + 0.02, y - 0.04),
            ],
            1,
        ),
        color,
    )
    if look.traits[2] < 0.3:
        hat = [
            Part(capsule((x - 0.06, y - 0.07), (x + 0.12, y - 0.065), 0.014), look.third),
            Part(
                blob([(x - 0.085, y - 0.06), (x - 0.08, y - 0.14), (x + 0.08, y - 0.14), (x + 0.085, y - 0.06)], 1),
                look.third,
            ),
        ]
        return hat
    if look.traits[2] > 0.65:
        return [Part(capsule((x - 0.06, y), (x - 0.075, y + 0.12), 0.035, 0.02), color), cap]
    return [cap]
