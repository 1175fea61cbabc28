"""A seed decides a shot: scene, exposure, camera, objects and their actions. It gives the same shot on every platform.

- **Splits**: `train`, `val` and `heldout` are three unlimited lists of seeds; no shot of one list occurs in another.
- **Objects**: 1 to 6 per shot. 16% of shots have one object, 40% a few, 16% objects that cross, 12% an object behind an
  occluder, 8% one that leaves and comes back, 8% a crowd.
- **Scenes**: meadow, street, room, lake, snow, desert, hall, forest. Clutter, which has no class, may hide objects.
- **Camera**: static, pan, tilt, zoom (0.82 to 1.45), follow; hand-held shake in half of the shots.
"""

import math
import random
from collections.abc import Sequence

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.world.geometry import Color, shade
from mvideo_core.miniworld.world.kinds import PALETTE, Kind, Look, coco_classes, kind_of, unseen_classes
from mvideo_core.miniworld.world.scenery import SCENES
from mvideo_core.miniworld.world.spec import ActorSpec, CameraSpec, OccluderSpec, Path, SceneSpec, ShotSpec, Split

SPLITS: tuple[Split, ...] = ("train", "val", "heldout")
SCENARIOS = (("solo", 0.16), ("few", 0.4), ("crossing", 0.16), ("behind", 0.12), ("reentry", 0.08), ("crowd", 0.08))
OCCLUDERS = ("trunk", "pillar", "bush", "crate", "rock", "board")


def sample_shot(
    seed: int,
    split: Split = "train",
    unseen: bool = False,
    duration_s: float | None = None,
    aspect: float = 1.5,
    classes: Sequence[str] | None = None,
) -> ShotSpec:
    """The shot of a seed.

    Args:
        seed: 0 or more; every split has its own infinite list of seeds, and splits share no shots.
        split: "train", "val" or "heldout".
        unseen: the first actor has one of the seven classes outside COCO (do not use for training).
        duration_s: duration of the camera move; None = random, 9 to 14 s.
        aspect: width / height of the frame used for placement.
        classes: restrict the actors to these names.

    Raises:
        ConfigError: unknown split or class, or a negative seed.
    """
    if split not in SPLITS:
        raise ConfigError(f"split {split!r} is unknown; allowed: {', '.join(SPLITS)}")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; use 0 or more")
    rng = random.Random(f"mini-world/{split}/{int(unseen)}/{seed}")
    drawn_s = rng.uniform(9.0, 14.0)
    duration = duration_s or drawn_s
    pool = tuple(classes) if classes else coco_classes()
    for name in pool:
        kind_of(name)
    lead = rng.choice(unseen_classes()) if unseen and not classes else _draw_class(rng, pool)
    scene = _scene(rng, lead)
    actors, occluders = _cast(rng, scene, lead, pool, duration, aspect)
    return ShotSpec(
        seed=seed,
        split=split,
        duration_s=duration,
        aspect=aspect,
        scene=scene,
        camera=_camera(rng, actors, duration),
        actors=actors,
        occluders=occluders,
        grain=rng.choice((0.0, 1.5, 3.0, 5.0)),
        gain=rng.uniform(0.8, 1.12),
        contrast=rng.uniform(0.8, 1.1),
        warmth=rng.uniform(-10, 10),
    )


def _scene(rng: random.Random, lead: str) -> SceneSpec:
    allowed = kind_of(lead).scenes or tuple(SCENES)
    name = rng.choice(allowed)
    tint = (rng.uniform(-18, 18), rng.uniform(-18, 18), rng.uniform(-18, 18))
    return SceneSpec(name, SCENES[name].words, rng.uniform(*SCENES[name].horizon), rng.randrange(1 << 30), tint)


def _camera(rng: random.Random, actors: tuple[ActorSpec, ...], duration: float) -> CameraSpec:
    kind = rng.choices(
        ("static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out", "follow"),
        (0.34, 0.12, 0.12, 0.04, 0.04, 0.12, 0.1, 0.12),
    )[0]
    shake = rng.choice((0.0, 0.0, 0.004, 0.008))
    phase = rng.uniform(0, 100)
    x, y, zoom, reach = rng.uniform(-0.05, 0.05), 0.5, 1.0, rng.uniform(0.25, 0.55)
    if kind == "follow":
        movers = [actor for actor in actors if actor.path.vx and abs(actor.path.at(0)[0]) < 0.6]
        if movers:
            return CameraSpec(kind, (x, y, zoom), (x, y, zoom), shake, phase, movers[0].object_id)
        kind = "static"
    start, end = (x, y, zoom), (x, y, zoom)
    if kind.startswith("pan"):
        sign = 1 if kind.endswith("right") else -1
        end = (x + sign * reach, y, zoom)
    elif kind.startswith("tilt"):
        start, end = (x, y, 1.12), (x, y + (0.05 if kind.endswith("down") else -0.05), 1.12)
    elif kind == "zoom in":
        end = (x, y, rng.uniform(1.2, 1.45))
    elif kind == "zoom out":
        start, end = (x, y, rng.uniform(1.1, 1.25)), (x, y, rng.uniform(0.82, 0.95))
    return CameraSpec(kind, start, end, shake, phase)


def _cast(
    rng: random.Random, scene: SceneSpec, lead: str, pool: Sequence[str], duration: float, aspect: float
) -> tuple[tuple[ActorSpec, ...], tuple[OccluderSpec, ...]]:
    scenario = rng.choices([name for name, _ in SCENARIOS], [weight for _, weight in SCENARIOS])[0]
    count = {"solo": 1, "few": rng.randint(2, 3), "crowd": rng.randint(4, 6)}.get(scenario, 2)
    names = [lead] + [_other(rng, scene, pool) for _ in range(count - 1)]
    actors: list[ActorSpec] = []
    occluders: list[OccluderSpec] = []
    if scenario == "crossing":
        if rng.random() < 0.5:
            names[1] = names[0]
        actors = _draw_crossing(rng, scene, names, duration, aspect)
    for name in names[len(actors) :]:
        role = {"behind": "behind", "reentry": "reentry"}.get(scenario, "plain") if not actors else "plain"
        if len(actors) >= 2 and rng.random() < 0.2:
            role = "late"
        actors.append(place_actor(rng, scene, name, role, actors, duration, aspect))
    if scenario == "behind":
        occluders.append(_occluder_before(rng, actors[0], scene))
    elif rng.random() < 0.2:
        occluders.append(
            occluder(rng, rng.uniform(-aspect / 2, aspect / 2), rng.uniform(0.8, 1.05), rng.uniform(0.15, 0.4), 2.0)
        )
    return tuple(actors), tuple(occluders)


def _other(rng: random.Random, scene: SceneSpec, pool: Sequence[str]) -> str:
    fits = [name for name in pool if not kind_of(name).scenes or scene.kind in kind_of(name).scenes]
    return _draw_class(rng, fits or list(pool))


def _draw_class(rng: random.Random, names: Sequence[str]) -> str:
    """Sample people 2.5 times as often as any other class, because they have most of the actions."""
    return rng.choices(list(names), [2.5 if name == "person" else 1.0 for name in names])[0]


def draw_look(rng: random.Random, one: Kind) -> Look:
    word = rng.choice(one.colors)
    second, third = rng.choice(sorted(PALETTE)), rng.choice(sorted(PALETTE))
    if second == word:
        second = "white" if word != "white" else "black"
    traits = tuple(rng.random() for _ in range(8))
    return Look(word, _jitter(rng, word), _jitter(rng, second), _jitter(rng, third), traits)


def _jitter(rng: random.Random, word: str) -> Color:
    r, g, b = (min(255, max(0, channel + rng.randint(-18, 18))) for channel in PALETTE[word])
    return shade((r, g, b), rng.uniform(0.88, 1.1))


def _base_y(rng: random.Random, scene: SceneSpec, one: Kind, height: float) -> float:
    """y of the feet (sky: of the center)."""
    if one.place == "sky":
        return rng.uniform(0.12 + height / 2, max(0.16 + height / 2, scene.horizon + 0.08))
    if one.place == "water":
        return rng.uniform(scene.horizon + 0.06, scene.horizon + 0.2)
    low = max(height + 0.04, scene.horizon + 0.12)
    if scene.kind == "lake":
        low = max(low, 0.84)
    return rng.uniform(min(low, 0.95), 0.97)


def place_actor(
    rng: random.Random, scene: SceneSpec, name: str, role: str, others: list[ActorSpec], duration: float, aspect: float
) -> ActorSpec:
    """One actor in view at t = 0 (unless late), not hiding more than a little of the others."""
    one = kind_of(name)
    best: tuple[float, ActorSpec] | None = None
    for _ in range(12):
        height = rng.uniform(*one.height)
        room = max(0.05, aspect / 2 - height * one.aspect / 2 + 0.02)
        actor = _actor(rng, scene, one, role, len(others), height, rng.uniform(-room, room), duration, aspect)
        clash = max((_overlap(actor, other) for other in others), default=0.0)
        if best is None or clash < best[0]:
            best = (clash, actor)
        if clash < 0.1:
            break
    assert best is not None
    return best[1]


def _actor(
    rng: random.Random,
    scene: SceneSpec,
    one: Kind,
    role: str,
    object_id: int,
    height: float,
    x: float,
    duration: float,
    aspect: float,
) -> ActorSpec:
    action = rng.choice(one.actions)
    y = _base_y(rng, scene, one, height)
    facing = rng.choice((-1, 1)) if one.mirror else 1
    half = height * one.aspect / 2
    edge = aspect / 2
    wave = rng.uniform(0.01, 0.05) if one.place == "sky" else 0.0
    if role in ("behind", "reentry", "late") and not action.speed:
        action = next((other for other in one.actions if other.speed), action)
    speed = action.speed * height * rng.uniform(0.75, 1.2)
    path = Path(x, y, 0.0, wave=wave, wave_s=rng.uniform(3, 6))
    if speed:
        path = _draw_path(rng, role, path, facing, speed, half, edge)
    depth = y if one.place != "sky" else y - 1.0
    return ActorSpec(
        object_id, one.name, action.name, draw_look(rng, one), height, path, facing, rng.uniform(0, 6.28), depth, role
    )


def _draw_path(rng: random.Random, role: str, path: Path, facing: int, speed: float, half: float, edge: float) -> Path:
    x, wave, wave_s, y = path.x0, path.wave, path.wave_s, path.y
    if role == "late":
        return Path(
            -facing * (edge + half + speed * rng.uniform(1.0, 3.0)), y, facing * speed, wave=wave, wave_s=wave_s
        )
    if role == "reentry":
        side = edge + half + speed * rng.uniform(0.3, 0.8)
        return Path(x, y, facing * speed, -side, side, wave, wave_s)
    if role == "behind":
        speed = min(speed, 0.25)
    if rng.random() < 0.25 and role == "plain":
        return Path(-facing * (edge - half * rng.uniform(0.2, 1.0)), y, facing * speed, wave=wave, wave_s=wave_s)
    reach = max(0.05, edge - half)
    return Path(max(-reach, min(reach, x)), y, facing * speed, -reach, reach, wave, wave_s)


def _draw_crossing(
    rng: random.Random, scene: SceneSpec, names: list[str], duration: float, aspect: float
) -> list[ActorSpec]:
    """Two objects that cross in the image around the middle of the shot."""
    actors = []
    for object_id, name in enumerate(names[:2]):
        one = kind_of(name)
        height = rng.uniform(*one.height)
        half = height * one.aspect / 2
        reach = max(0.1, aspect / 2 - half)
        facing = 1 if object_id == 0 or not one.mirror else -1
        moving = [action for action in one.actions if action.speed]
        action = rng.choice(moving or one.actions)
        y = _base_y(rng, scene, one, height)
        if moving:
            speed = max(0.8 * action.speed * height, 2 * reach / duration)
            path = Path(-facing * reach * rng.uniform(0.75, 1.0), y, facing * min(speed, 0.4), -reach, reach)
        else:
            path = Path(facing * rng.uniform(0.0, 0.2), y)
        depth = y if one.place != "sky" else y - 1.0
        actors.append(
            ActorSpec(
                object_id,
                name,
                action.name,
                draw_look(rng, one),
                height,
                path,
                facing,
                rng.uniform(0, 6.28),
                depth,
                "crossing",
            )
        )
    return actors


def _occluder_before(rng: random.Random, actor: ActorSpec, scene: SceneSpec) -> OccluderSpec:
    """Something tall and narrow between the camera and the actor's path."""
    shift = actor.height * kind_of(actor.kind).aspect * rng.uniform(0.7, 1.0)
    x = actor.path.x0 + math.copysign(shift, actor.path.vx or 1.0)
    y = min(1.05, actor.path.y + rng.uniform(0.01, 0.05))
    return occluder(rng, x, y, rng.uniform(0.9, 1.3) * max(actor.height, 0.3), 1.5, ("trunk", "pillar", "board"))


def occluder(
    rng: random.Random, x: float, y: float, height: float, depth: float, shapes: Sequence[str] = OCCLUDERS
) -> OccluderSpec:
    shape = rng.choice(shapes)
    color = _jitter(rng, rng.choice(("brown", "grey", "tan", "green")))
    return OccluderSpec(shape, x, y, height, color, depth, rng.randrange(1 << 30))


def _overlap(a: ActorSpec, b: ActorSpec) -> float:
    """Intersection over the smaller area of two nominal boxes at t = 0."""
    ax0, ay0, ax1, ay1 = nominal_box(a)
    bx0, by0, bx1, by1 = nominal_box(b)
    shared = max(0.0, min(ax1, bx1) - max(ax0, bx0)) * max(0.0, min(ay1, by1) - max(ay0, by0))
    return shared / min((ax1 - ax0) * (ay1 - ay0), (bx1 - bx0) * (by1 - by0))


def nominal_box(actor: ActorSpec) -> tuple[float, float, float, float]:
    """Approximate world box at t = 0, for placement only."""
    one = kind_of(actor.kind)
    x, y, _ = actor.path.at(0.0)
    half = actor.height * one.aspect / 2
    if one.place == "sky":
        return x - half, y - actor.height / 2, x + half, y + actor.height / 2
    return x - half, y - actor.height, x + half, y
