"""The classes of the world and their actions. Eighteen are classes of COCO.

The other seven are the unseen classes: they are only in shots drawn with `unseen=True`, never in training.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mvideo_core.base.errors import ConfigError
from mvideo_core.miniworld.world.geometry import Color, Part

Place = Literal["ground", "sky", "water"]

PALETTE: dict[str, Color] = {
    "red": (205, 45, 40),
    "orange": (235, 130, 35),
    "yellow": (240, 205, 50),
    "green": (50, 150, 65),
    "teal": (40, 150, 155),
    "blue": (45, 90, 200),
    "purple": (125, 60, 170),
    "pink": (235, 130, 170),
    "white": (235, 235, 230),
    "black": (38, 38, 42),
    "grey": (130, 132, 136),
    "brown": (125, 80, 45),
    "tan": (200, 165, 115),
}

SHAPE_MODULES = ("creatures", "people", "quadrupeds", "things", "vehicles")


@dataclass(frozen=True)
class Look:
    """One individual: colors and proportions.

    Attributes:
        word: color word in captions.
        main, second, third: RGB; used as each shape defines.
        traits: eight numbers in [0, 1) that set proportions and variants.
    """

    word: str
    main: Color
    second: Color
    third: Color
    traits: tuple[float, ...]


@dataclass(frozen=True)
class Action:
    """An action of an object.

    Attributes:
        verb: text in captions, after "is".
        speed: own heights per second along x; 0 = in place.
        cycle_hz: pose cycles per second.
    """

    name: str
    verb: str
    speed: float = 0.0
    cycle_hz: float = 0.0


Draw = Callable[[Look, str, float], list[Part]]


@dataclass(frozen=True)
class Kind:
    """One class.

    Attributes:
        draw: (look, action name, phase in radians) -> parts, about 1 high, feet at y = 0 (sky: center at 0), facing +x.
        height: minimum and maximum size, as a fraction of the frame height.
        aspect: width / height, approximate; used for placement, not as ground truth.
        colors: palette words of the main color.
        scenes: scene kinds it may appear in; empty = any.
        unseen: not in COCO-80 and not in any training split.
        mirror: may face -x; False for objects with text.
    """

    name: str
    draw: Draw
    actions: tuple[Action, ...]
    height: tuple[float, float]
    aspect: float
    colors: tuple[str, ...]
    place: Place = "ground"
    scenes: tuple[str, ...] = ()
    unseen: bool = False
    mirror: bool = True


_KINDS: dict[str, Kind] = {}


def kind(
    name: str,
    actions: tuple[Action, ...],
    height: tuple[float, float],
    aspect: float,
    colors: tuple[str, ...],
    place: Place = "ground",
    scenes: tuple[str, ...] = (),
    unseen: bool = False,
    mirror: bool = True,
) -> Callable[[Draw], Draw]:
    """Decorator: register a drawing function as a class of the world."""

    def register(draw: Draw) -> Draw:
        assert name not in _KINDS, name
        _KINDS[name] = Kind(name, draw, actions, height, aspect, colors, place, scenes, unseen, mirror)
        return draw

    return register


@functools.cache
def kinds() -> dict[str, Kind]:
    """All classes by name, sorted."""
    for module in SHAPE_MODULES:
        importlib.import_module(f"mvideo_core.miniworld.world.shapes.{module}")
    return dict(sorted(_KINDS.items()))


def kind_of(name: str) -> Kind:
    """Look up a class.

    Raises:
        ConfigError: unknown class; the message lists the known ones.
    """
    if name not in kinds():
        raise ConfigError(f"class {name!r} is not in the world; known: {', '.join(kinds())}")
    return kinds()[name]


def coco_classes() -> tuple[str, ...]:
    """The COCO names of the world, sorted."""
    return tuple(name for name, one in kinds().items() if not one.unseen)


def unseen_classes() -> tuple[str, ...]:
    """The paper's seven classes outside COCO, sorted."""
    return tuple(name for name, one in kinds().items() if one.unseen)
