"""Sloppy masks of a training window: rough variants of its exact masks, to train an adapter that tolerates rough masks.

Each variant is of one kind, drawn from `sloppy.kinds`. Kind and strength depend only on seed, window and the variant's
number. Target, loss weights, validation and sample videos keep the exact masks.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.editing.sloppy import box_masks, dilate_masks, drop_frames, hull_masks, jitter_masks, keep_keyframes
from mvideo_core.masks import MaskSequence
from mvideo_core.training.seeds import derive_seed

Kind = Literal["dilate", "hull", "box", "jitter", "dropped", "keyframes"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Range = tuple[float, float]


class SloppyOptions(Options):
    """Sloppy masks of a window, next to its own. Each draws a kind, then a strength, uniform in the kind's range."""

    variants: int = Field(default=0, ge=0, le=16, description="number of sloppy masks per window; 0 = none")
    seed: int = Field(default=0, ge=0, description="random seed of kinds and strengths")
    kinds: tuple[Kind, ...] = Field(
        default=KINDS,
        min_length=1,
        description="kinds to draw from: dilate; hull = convex; box; jitter = moved independently in every frame; "
        "dropped = frames without masks, the previous mask is held; keyframes = masks only at keyframes, interpolated "
        "between",
    )
    dilate_frac: Range = Field(default=(0.01, 0.06), description="dilate: radius, share of the picture's shorter side")
    box_margin_frac: Range = Field(default=(0.0, 0.15), description="box: margin, share of the box's sides")
    jitter_frac: Range = Field(
        default=(0.01, 0.05), description="jitter: largest move along either axis, share of the picture's shorter side"
    )
    dropped_frac: Range = Field(default=(0.2, 0.8), description="dropped: share of frames")
    keyframe_step: tuple[int, int] = Field(
        default=(4, 16), description="keyframes: frames from one keyframe to the next"
    )

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        changed = sorted(type(self).model_fields.keys() - self.at_default(*type(self).model_fields))
        if changed and not self.variants:
            raise ValueError(f"variants is 0, so {', '.join(changed)} would have no effect; give variants 1 or more")
        return self

    @model_validator(mode="after")
    def _ranges_rise(self) -> Self:
        lowest = {"keyframe_step": 2}
        for name in ("dilate_frac", "box_margin_frac", "jitter_frac", "dropped_frac", "keyframe_step"):
            low, high = getattr(self, name)
            least, most = lowest.get(name, 0), np.inf if name == "keyframe_step" else 1
            if not least <= low <= high <= most:
                wanted = f"{least} <= low <= high" + (f" <= {most}" if np.isfinite(most) else "")
                raise ValueError(f"{name} is [{low:g}, {high:g}]; allowed: {wanted}")
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kinds names one twice: {', '.join(self.kinds)}; give each once")
        return self


class SloppyDraw(NamedTuple):
    """One sloppy mask: its kind, and its strength in the unit of the kind's range (0 for hull)."""

    kind: Kind
    strength: float


def draw_sloppy(options: SloppyOptions, window: str, variant: int) -> tuple[SloppyDraw, np.random.Generator]:
    """What a variant of a window is, and the generator for the rest of its draws.

    Args:
        window: its id, `{key}-w{target_start:05d}`.
        variant: from 0.
    """
    rng = np.random.default_rng(derive_seed(options.seed, "sloppy", window, variant))
    kind = options.kinds[int(rng.integers(len(options.kinds)))]
    share = float(rng.random())
    ranges: dict[Kind, Range] = {
        "dilate": options.dilate_frac,
        "hull": (0.0, 0.0),
        "box": options.box_margin_frac,
        "jitter": options.jitter_frac,
        "dropped": options.dropped_frac,
    }
    if kind == "keyframes":
        low, high = options.keyframe_step
        return SloppyDraw(kind, low + int(share * (high - low + 1))), rng
    low_frac, high_frac = ranges[kind]
    return SloppyDraw(kind, low_frac + share * (high_frac - low_frac)), rng


def apply_sloppy(masks: MaskSequence, drawn: SloppyDraw, rng: np.random.Generator) -> MaskSequence:
    """Sloppy versions of a window's masks, with the same frames, objects and size."""
    strength, side_px = drawn.strength, min(masks.height, masks.width)
    changes: dict[Kind, Callable[[], MaskSequence]] = {
        "dilate": lambda: dilate_masks(masks, strength * side_px),
        "hull": lambda: hull_masks(masks),
        "box": lambda: box_masks(masks, strength),
        "jitter": lambda: jitter_masks(masks, strength * side_px, rng),
        "dropped": lambda: drop_frames(masks, strength, rng),
        "keyframes": lambda: keep_keyframes(masks, int(strength)),
    }
    return changes[drawn.kind]()


def sloppy_variants(masks: MaskSequence, options: SloppyOptions, window: str) -> Iterator[MaskSequence]:
    """The variants of a window in order; `masks` are its own, on the frames of the target."""
    for variant in range(options.variants):
        yield apply_sloppy(masks, *draw_sloppy(options, window, variant))


def variant_names(n_variants: int) -> Sequence[str]:
    """Names of the tensors in the window's member."""
    return [f"mask_sloppy{variant}" for variant in range(n_variants)]
