"""Parameters of a shot: scene, camera, actors, occluders. Everything else is computed from these.

World coordinates: the camera at rest sees y from 0 (top) to 1 (bottom); x in frame heights, 0 at the center.
Times are seconds from the start of the shot.
"""

import math
from dataclasses import dataclass
from typing import Literal

from mvideo_core.miniworld.world.geometry import Color
from mvideo_core.miniworld.world.kinds import Look

Split = Literal["train", "val", "heldout"]
Item = Literal["actor", "occluder"]


@dataclass(frozen=True)
class Path:
    """A walk along x: from x0 at velocity vx (heights/s), turning back at `low` and `high`; y is constant.

    Attributes:
        low, high: turning points; far outside the frame: the object leaves and comes back; infinite: it does not turn.
        wave: amplitude of a slow vertical drift (flyers), and its period in seconds.
    """

    x0: float
    y: float
    vx: float = 0.0
    low: float = -1e9
    high: float = 1e9
    wave: float = 0.0
    wave_s: float = 4.0

    def at(self, t: float) -> tuple[float, float, float]:
        """(x, y, direction of travel: +1 right, -1 left, 0 at rest) at t seconds."""
        y = self.y + self.wave * math.sin(2 * math.pi * t / self.wave_s)
        if self.vx == 0:
            return self.x0, y, 0.0
        span = self.high - self.low
        if span > 1e8:
            return self.x0 + self.vx * t, y, math.copysign(1.0, self.vx)
        start = self.x0 - self.low
        gone = (start if self.vx > 0 else 2 * span - start) + abs(self.vx) * t
        u = gone % (2 * span)
        return (self.low + u, y, 1.0) if u <= span else (self.low + 2 * span - u, y, -1.0)


@dataclass(frozen=True)
class ActorSpec:
    """One object with ground truth.

    Attributes:
        object_id: index in the shot's list, from 0.
        height: size as a fraction of the frame height at zoom 1.
        facing: +1 right, -1 left, while at rest.
        phase: phase of the pose cycle at t = 0, radians.
        depth: drawing order; larger is nearer to the camera.
        role: purpose in the sampler ("plain", "crossing", "behind", "reentry", "late").
    """

    object_id: int
    kind: str
    action: str
    look: Look
    height: float
    path: Path
    facing: int
    phase: float
    depth: float
    role: str = "plain"


@dataclass(frozen=True)
class OccluderSpec:
    """Unlabeled foreground clutter; `shape` is its drawing function."""

    shape: str
    x: float
    y: float
    height: float
    color: Color
    depth: float
    seed: int


@dataclass(frozen=True)
class CameraSpec:
    """Camera move. Position is the world point at the frame's center.

    Attributes:
        kind: "static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out", "follow".
        start, end: (x, y, zoom) at 0 and at the end of the shot; smooth in between.
        shake: amplitude of hand-held shake, in frame heights; 0 = tripod.
        target: actor that a follow camera tracks, or -1.
    """

    kind: str
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    shake: float = 0.0
    shake_phase: float = 0.0
    target: int = -1


@dataclass(frozen=True)
class SceneSpec:
    """Backdrop. `kind` is one of `scenery.SCENES`; `words` is its text in captions."""

    kind: str
    words: str
    horizon: float
    seed: int
    tint: tuple[float, float, float]


@dataclass(frozen=True)
class ShotSpec:
    """One continuous shot.

    Attributes:
        seed, split: source of the sample; the same pair gives the same spec.
        aspect: width / height assumed for placement; other aspect ratios show more or less at the sides.
        grain: standard deviation of sensor noise, 8-bit levels.
        gain, contrast, warmth: exposure, applied to all colors.
    """

    seed: int
    split: Split
    duration_s: float
    aspect: float
    scene: SceneSpec
    camera: CameraSpec
    actors: tuple[ActorSpec, ...]
    occluders: tuple[OccluderSpec, ...]
    grain: float
    gain: float
    contrast: float
    warmth: float
