"""Four-legged animals: a shared jointed body, with proportions, head, tail and coat per class."""

import math
import random
from dataclasses import dataclass

import numpy as np

from mvideo_core.miniworld.world.geometry import (
    Color,
    Part,
    Point,
    bend,
    blob,
    capsule,
    disc,
    ground,
    poly,
    ribbon,
    shade,
    step,
)
from mvideo_core.miniworld.world.kinds import Action, Look, kind

GAITS = (
    Action("walk", "walking", 0.5, 0.8),
    Action("run", "running", 1.3, 1.6),
    Action("stand", "standing", 0.0, 0.35),
)


@dataclass(frozen=True)
class Build:
    """Proportions in units of the animal's nominal height."""

    length: float
    depth: float
    leg: float
    leg_r: float
    neck: float
    neck_angle: float
    neck_r: float
    head: float
    muzzle: float


DOG = Build(0.72, 0.17, 0.42, 0.045, 0.2, 0.75, 0.09, 0.115, 0.13)
HORSE = Build(0.72, 0.17, 0.5, 0.04, 0.36, 0.85, 0.085, 0.075, 0.19)
ELEPHANT = Build(0.72, 0.26, 0.42, 0.085, 0.12, 0.3, 0.16, 0.17, 0.0)
CHEETAH = Build(0.95, 0.13, 0.46, 0.036, 0.18, 0.6, 0.065, 0.085, 0.05)
TIGER = Build(1.0, 0.2, 0.36, 0.062, 0.13, 0.35, 0.12, 0.14, 0.07)
DEER = Build(0.52, 0.13, 0.42, 0.024, 0.25, 1.0, 0.055, 0.062, 0.1)
LLAMA = Build(0.46, 0.16, 0.34, 0.034, 0.44, 1.35, 0.075, 0.07, 0.07)


MANES = ((45, 30, 25), (235, 215, 165), (110, 65, 35), (240, 238, 232))


@dataclass
class Body:
    """A posed animal before its head and coat: where things attach."""

    far: list[Part]
    near: list[Part]
    trunk: Part
    neck: Part
    hips: Point
    shoulders: Point
    head: Point
    nod: float


def pose(build: Build, look: Look, action: str, phase: float) -> Body:
    """Legs, trunk and neck for one instant of a gait."""
    running = action == "run"
    swing = {"walk": 0.42, "run": 0.85, "stand": 0.0}.get(action, 0.0)
    offsets = (0.0, 0.45, math.pi, math.pi + 0.45) if running else (0.0, math.pi, math.pi / 2, 1.5 * math.pi)
    stretch = 1.0 + (0.05 * math.sin(phase) if running else 0.0)
    half = build.length / 2 * stretch
    pitch = 0.03 * math.sin(phase + 0.6) if running else 0.0
    hips, shoulders = (-half, -build.leg + pitch), (half, -build.leg - pitch)
    legs: list[list[Part]] = []
    for index, offset in enumerate(offsets):
        hind = index < 2
        top = (hips[0] + 0.05, hips[1]) if hind else (shoulders[0] - 0.05, shoulders[1])
        dark = 1.0 if index % 2 else 0.7
        legs.append(_leg(build, look, top, swing, phase + offset, hind, dark))
    depth = build.depth
    arch = 0.04 * math.sin(phase) if running else 0.0
    outline = [
        (hips[0] - 0.06, hips[1] - depth * 0.9),
        (0.0, -build.leg - depth * 1.0 - arch),
        (shoulders[0] + 0.04, shoulders[1] - depth * 1.05),
        (shoulders[0] + 0.1, shoulders[1] - depth * 0.2),
        (shoulders[0], shoulders[1] + depth * 0.55),
        (0.0, -build.leg + depth * 0.35 - arch),
        (hips[0], hips[1] + depth * 0.4),
        (hips[0] - 0.1, hips[1] - depth * 0.2),
    ]
    nod = 0.06 * math.sin(2 * phase) if action != "stand" else 0.1 * math.sin(phase)
    base = (shoulders[0] + 0.02, shoulders[1] - depth * 0.55)
    angle = build.neck_angle + nod * 0.6
    head = (base[0] + build.neck * math.cos(angle), base[1] - build.neck * math.sin(angle))
    neck = Part(capsule(base, head, build.neck_r * 1.35, build.neck_r * 0.85), shade(look.main, 0.97))
    return Body(legs[0] + legs[2], legs[1] + legs[3], Part(blob(outline), look.main), neck, hips, shoulders, head, nod)


def _leg(build: Build, look: Look, top: Point, swing: float, phase: float, hind: bool, dark: float) -> list[Part]:
    thigh = swing * math.sin(phase) + (0.08 if hind else -0.03)
    bend_ = swing * 1.1 * max(0.0, math.cos(phase))
    shin = thigh - bend_ - 0.12 if hind else thigh - bend_ * 0.9
    knee = step(top, thigh, build.leg * 0.52)
    foot = step(knee, shin, build.leg * 0.5)
    color = shade(look.main, dark)
    return [
        Part(capsule(top, knee, build.leg_r * 1.6, build.leg_r), color),
        Part(capsule(knee, foot, build.leg_r, build.leg_r * 0.8), color),
        Part(capsule(foot, (foot[0] + build.leg_r * 0.8, foot[1]), build.leg_r * 0.8), shade(look.main, dark * 0.55)),
    ]


def _muzzle(body: Body, build: Build, color: Color, tip: Color, drop: float) -> list[Part]:
    x, y = body.head
    end = (x + build.muzzle * math.cos(drop), y + build.muzzle * math.sin(drop))
    return [
        Part(capsule((x, y), end, build.head * 0.95, build.head * 0.55), color),
        Part(disc(end[0] + build.head * 0.35, end[1] - 0.01, build.head * 0.25, n=8), tip),
    ]


def _eye(body: Body, r: float = 0.016) -> Part:
    return Part(disc(body.head[0] + 0.03, body.head[1] - 0.025, r, n=8), (20, 18, 18))


def _assemble(body: Body, tail: list[Part], coat: list[Part], head: list[Part], lift: float = 0.0) -> list[Part]:
    return ground([*body.far, *tail, body.neck, *body.near, body.trunk, *coat, *head], lift)


def _bounce(action: str, phase: float) -> float:
    return 0.06 * max(0.0, math.sin(phase + 0.8)) if action == "run" else 0.0


@kind("dog", GAITS, (0.2, 0.38), 1.4, ("brown", "tan", "black", "white", "grey", "orange"))
def dog(look: Look, action: str, phase: float) -> list[Part]:
    """Floppy ear, tail held up and wagging, patch on the back."""
    body = pose(DOG, look, action, phase)
    x, y = body.head
    wag = 0.35 * math.sin(phase * 1.5)
    tail = bend((body.hips[0] - 0.03, body.hips[1] - 0.12), math.pi + 0.75 + wag, 1.0, 0.36)
    patch = Part(disc(body.hips[0] + 0.2, -DOG.leg - 0.08, 0.13, 0.075, n=14), look.second)
    head = [
        *_muzzle(body, DOG, look.main, (25, 22, 22), 0.3),
        _eye(body),
        Part(capsule((x - 0.05, y - 0.08), (x - 0.11, y + 0.1), 0.05, 0.035), shade(look.second, 0.85)),
    ]
    collar = Part(capsule((x - 0.11, y - 0.02), (x - 0.03, y + 0.13), 0.022), (200, 40, 50))
    return _assemble(
        body,
        [Part(ribbon(tail, np.linspace(0.045, 0.015, 7)), look.main)],
        [patch, collar],
        head,
        _bounce(action, phase),
    )


@kind("horse", GAITS, (0.32, 0.56), 1.25, ("brown", "tan", "black", "white", "grey"))
def horse(look: Look, action: str, phase: float) -> list[Part]:
    """Long legs and neck, dark mane and hanging tail."""
    body = pose(HORSE, look, action, phase)
    x, y = body.head
    hair = MANES[int(look.traits[4] * len(MANES))]
    tail = bend((body.hips[0] - 0.06, body.hips[1] - 0.1), math.pi - 0.2, -1.2 + 0.2 * math.sin(phase), 0.5)
    base = (body.shoulders[0] - 0.05, body.shoulders[1] - HORSE.depth)
    mane = Part(
        ribbon(
            [base, ((base[0] + x) / 2 - 0.07, (base[1] + y) / 2 - 0.04), (x - 0.07, y - 0.07)], [0.05, 0.055, 0.035]
        ),
        hair,
    )
    head = [
        mane,
        *_muzzle(body, HORSE, look.main, shade(look.main, 0.6), 0.9),
        _eye(body, 0.013),
        Part(poly((x - 0.05, y - 0.05), (x - 0.02, y - 0.16), (x + 0.02, y - 0.05)), look.main),
    ]
    return _assemble(body, [Part(ribbon(tail, np.linspace(0.045, 0.05, 7)), hair)], [], head, _bounce(action, phase))


@kind("elephant", (GAITS[0], GAITS[2]), (0.36, 0.62), 1.35, ("grey",))
def elephant(look: Look, action: str, phase: float) -> list[Part]:
    """Large ear, tusk, swinging trunk."""
    body = pose(ELEPHANT, look, action, phase)
    x, y = body.head[0], body.head[1] - 0.06
    trunk = bend((x + 0.12, y + 0.03), 0.9 + 0.15 * math.sin(phase), 1.0 + 0.5 * math.sin(phase * 0.7), 0.52, 8)
    tail = bend((body.hips[0] - 0.07, body.hips[1] - 0.14), math.pi - 0.6, -0.8, 0.26)
    ear = blob([(x - 0.02, y - 0.16), (x - 0.22, y - 0.17), (x - 0.25, y + 0.1), (x - 0.1, y + 0.2), (x, y + 0.06)])
    head = [
        Part(disc(x, y, 0.18, 0.19), look.main),
        Part(ribbon(trunk, np.linspace(0.075, 0.03, 8)), look.main),
        Part(poly((x + 0.1, y + 0.08), (x + 0.3, y + 0.2), (x + 0.07, y + 0.14)), (240, 235, 215)),
        Part(ear, shade(look.main, 0.78)),
        Part(disc(x + 0.07, y - 0.05, 0.018, n=8), (20, 18, 18)),
    ]
    return _assemble(body, [Part(ribbon(tail, np.linspace(0.02, 0.015, 7)), shade(look.main, 0.7))], [], head)


@kind("cheetah", GAITS, (0.24, 0.4), 1.8, ("tan",), unseen=True)
def cheetah(look: Look, action: str, phase: float) -> list[Part]:
    """Slender, dark spots, tear mark, long tail with dark rings."""
    body = pose(CHEETAH, look, action, phase)
    x, y = body.head
    dark = (45, 32, 22)
    rng = random.Random(f"spots{look.traits[3]}")
    spots = [
        Part(
            disc(rng.uniform(-0.42, 0.44), -CHEETAH.leg + rng.uniform(-0.1, 0.0), rng.uniform(0.014, 0.024), n=7), dark
        )
        for _ in range(26)
    ]
    tail = bend((body.hips[0] - 0.06, body.hips[1] - 0.06), math.pi - 0.5, 1.1 + 0.3 * math.sin(phase), 0.6, 10)
    rings = [Part(capsule(tuple(tail[i]), tuple(tail[i + 1]), 0.034), dark) for i in (6, 8)]
    head = [
        *_muzzle(body, CHEETAH, look.main, dark, 0.35),
        Part(disc(x - 0.05, y - 0.08, 0.032, n=9), look.main),
        _eye(body),
        Part(capsule((x + 0.04, y - 0.01), (x + 0.055, y + 0.05), 0.008, n=3), dark),
    ]
    return _assemble(
        body, [Part(ribbon(tail, np.full(10, 0.03)), look.main), *rings], spots, head, _bounce(action, phase)
    )


@kind("tiger", GAITS, (0.26, 0.44), 1.75, ("orange",), unseen=True)
def tiger(look: Look, action: str, phase: float) -> list[Part]:
    """Heavy, orange with black stripes and a white chin."""
    body = pose(TIGER, look, action, phase)
    x, y = body.head
    dark = (32, 26, 24)
    top, low = -TIGER.leg - TIGER.depth * 0.82, -TIGER.leg + TIGER.depth * 0.08
    stripes = [
        Part(poly((sx - 0.022, top), (sx + 0.022, top), (sx + 0.03 * math.sin(sx * 9), low - 0.06 * (i % 2))), dark)
        for i, sx in enumerate(np.linspace(-0.42, 0.42, 10))
    ]
    tail = bend((body.hips[0] - 0.07, body.hips[1] - 0.08), math.pi - 0.3, 1.3 + 0.25 * math.sin(phase), 0.5, 10)
    rings = [
        Part(capsule(tuple(tail[i]), tuple(tail[i] * 0.4 + tail[i + 1] * 0.6), 0.04, n=4), dark) for i in (3, 5, 7, 8)
    ]
    head = [
        Part(disc(x - 0.07, y - 0.12, 0.045, n=10), dark),
        *_muzzle(body, TIGER, look.main, (190, 90, 90), 0.3),
        Part(disc(x + 0.09, y + 0.06, 0.05, 0.035, n=10), (240, 235, 225)),
        _eye(body),
        *(Part(capsule((x - 0.07 + d, y - 0.1), (x - 0.05 + d, y - 0.04), 0.012, n=3), dark) for d in (0, 0.05)),
    ]
    return _assemble(
        body, [Part(ribbon(tail, np.full(10, 0.038)), look.main), *rings], stripes, head, _bounce(action, phase)
    )


@kind("deer", GAITS, (0.36, 0.58), 0.85, ("brown", "tan"), unseen=True)
def deer(look: Look, action: str, phase: float) -> list[Part]:
    """Thin legs, branching antlers, white rump and back spots."""
    body = pose(DEER, look, action, phase)
    x, y = body.head
    horn = (190, 165, 125)
    antlers: list[Part] = []
    for lean in (-0.35, 0.3):
        tip = (x + lean * 0.45, y - 0.3)
        middle = (x - 0.02 + lean * 0.3, y - 0.17)
        antlers += [
            Part(capsule((x - 0.02, y - 0.04), middle, 0.017), horn),
            Part(capsule(middle, tip, 0.015, 0.01), horn),
            Part(capsule(middle, (middle[0] + 0.09, middle[1] - 0.07), 0.013, 0.009), horn),
        ]
    rng = random.Random(f"fawn{look.traits[3]}")
    spots = [
        Part(disc(rng.uniform(-0.22, 0.2), -DEER.leg - rng.uniform(0.02, 0.1), 0.014, n=7), (240, 225, 200))
        for _ in range(9)
    ]
    rump = Part(disc(body.hips[0] - 0.07, body.hips[1] - 0.07, 0.05, 0.07, n=12), (240, 235, 225))
    head = [
        *antlers,
        *_muzzle(body, DEER, look.main, (30, 25, 25), 0.6),
        _eye(body, 0.012),
        Part(disc(x - 0.07, y - 0.05, 0.06, 0.025, n=10, turn=0.4), look.main),
    ]
    return _assemble(body, [rump], spots, head, _bounce(action, phase))


@kind("llama", GAITS, (0.38, 0.6), 0.8, ("white", "tan", "brown"), unseen=True)
def llama(look: Look, action: str, phase: float) -> list[Part]:
    """Upright long neck, woolly lumps, banana ears, saddle cloth."""
    body = pose(LLAMA, look, action, phase)
    x, y = body.head
    wool = [
        Part(disc(body.hips[0] + 0.52 * t, -LLAMA.leg - 0.08 + 0.09 * math.sin(9 * t), 0.095, n=12), look.main)
        for t in np.linspace(0, 1, 6)
    ]
    base = (body.shoulders[0] + 0.03, body.shoulders[1] - 0.1)
    wool += [
        Part(disc(base[0] + (x - base[0]) * t, base[1] + (y - base[1]) * t, 0.085 - 0.02 * t, n=12), look.main)
        for t in (0.1, 0.4, 0.7)
    ]
    cloth = Part(
        blob([(-0.13, -LLAMA.leg - 0.19), (0.1, -LLAMA.leg - 0.19), (0.12, -LLAMA.leg), (-0.15, -LLAMA.leg)], 1),
        (190, 50, 60),
    )
    head = [
        Part(capsule((x - 0.04, y - 0.04), (x - 0.03, y - 0.16), 0.022, 0.01), shade(look.main, 0.85)),
        *_muzzle(body, LLAMA, look.main, shade(look.main, 0.55), 0.25),
        _eye(body, 0.014),
    ]
    return _assemble(body, [], [*wool, cloth], head, _bounce(action, phase))
