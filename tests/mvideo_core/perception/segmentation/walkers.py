"""People of the drawn world on given paths, seen by a camera that stands still; every mask is known."""

from collections.abc import Sequence
from dataclasses import replace

from mvideo_core.miniworld.world import Path, ShotSpec, sample_shot

LEAVES_AND_RETURNS = Path(0.45, 0.9, 0.22, low=-9.0, high=1.05)
"""Out of a 3:2 picture at its right edge from frame 16 to frame 29 of 8 per second."""
ENTERS_LATE = Path(-1.3, 0.9, 0.22)
"""In from the left from frame 18 on."""


def walkers(paths: Sequence[Path], duration_s: float, height: float = 0.6) -> ShotSpec:
    """A shot with one person per path, without anything in front of them."""
    specs = (sample_shot(seed, classes=("person",)) for seed in range(99))
    spec = next(one for one in specs if len(one.actors) == len(paths))
    actors = tuple(
        replace(actor, action="walk", height=height, depth=float(n), path=path, role="mover")
        for n, (actor, path) in enumerate(zip(spec.actors, paths, strict=True))
    )
    camera = replace(spec.camera, kind="static", start=(0, 0.5, 1), end=(0, 0.5, 1), shake=0.0, target=-1)
    return replace(spec, actors=actors, occluders=(), camera=camera, duration_s=duration_s)
