"""Turn level ground into a slope (paper, figure 8: a tiger running on flat ground, now uphill or downhill)."""

from typing import Literal

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.editing.geometry import Motion, about, after, rotation, shift
from mvideo_core.editing.operations import ObjectOptions, warp

MIN_TRAVEL_FRAC = 0.02
"""Fraction of the frame's width; objects that move less over the whole clip count as not moving."""


class SlopeOptions(ObjectOptions):
    """How steep, which way, and where the ground keeps its height."""

    direction: Literal["uphill", "downhill"] = Field(default="uphill", description="direction of the slope")
    angle_deg: float = Field(default=12.0, gt=0, le=60, description="degrees between the slope and level ground")
    tilt: bool = Field(default=True, description="also rotate the object along the slope")
    level_at: Literal["start", "middle", "end"] = Field(
        default="middle", description="part of the travel whose height does not change"
    )
    facing: Literal["auto", "left", "right"] = Field(
        default="auto", description="which way is forward; auto = from the first to the last position seen"
    )
    hidden_speed_frac_per_s: float = Field(
        default=0.0, ge=0, le=10,
        description="travel that a following camera hides, widths per second, forward; added to the visible travel",
    )  # fmt: skip


@warp("slope", SlopeOptions)
def slope(motion: Motion, options: SlopeOptions) -> np.ndarray:
    """Make objects run uphill or downhill: their height follows their horizontal travel."""
    travel_TN, forward_N = _travel(motion, options)
    rise = np.tan(np.deg2rad(options.angle_deg)) * (1 if options.direction == "uphill" else -1)
    level_N = _level(travel_TN, motion.visible_TN, options.level_at)
    maps = shift(0.0, -rise * (travel_TN - level_N))
    if not options.tilt:
        return maps
    angle = options.angle_deg * forward_N * np.sign(rise)
    return after(maps, about(rotation(np.broadcast_to(angle, travel_TN.shape)), motion.centers_TN2))


def _travel(motion: Motion, options: SlopeOptions) -> tuple[np.ndarray, np.ndarray]:
    """Pixels moved forward since the first frame (T, N), and forward's sign (N,): 1 right, -1 left."""
    x_TN = motion.centers_TN2[:, :, 0]
    chosen = options.objects if options.objects is not None else list(range(motion.shape[1]))
    net_N = x_TN[-1] - x_TN[0]  # hidden frames at the ends hold the nearest position seen
    forward_N = np.where(net_N < 0, -1.0, 1.0)
    if options.facing != "auto":
        forward_N[:] = -1.0 if options.facing == "left" else 1.0
    seconds_T1 = np.arange(motion.shape[0])[:, None] / motion.fps
    travel = forward_N * (x_TN - x_TN[0]) + options.hidden_speed_frac_per_s * motion.width * seconds_T1
    ranges = np.ptp(travel[:, chosen], axis=0)
    if not len(ranges) or ranges.max() < MIN_TRAVEL_FRAC * motion.width:
        raise ConfigError(
            f"slope: no object moves sideways (at most {ranges.max(initial=0.0):.1f} px of {motion.width}); "
            "if the camera follows it, set `hidden_speed_frac_per_s`, its speed in widths per second, and `facing`"
        )
    return travel, forward_N


def _level(travel_TN: np.ndarray, visible_TN: np.ndarray, at: str) -> np.ndarray:
    """Travel at which the height does not change (N,), among the frames that show the object."""
    levels = np.zeros(travel_TN.shape[1])
    for obj in range(len(levels)):
        seen = travel_TN[visible_TN[:, obj], obj]
        if len(seen):
            levels[obj] = {"start": seen[0], "end": seen[-1], "middle": (seen.min() + seen.max()) / 2}[at]
    return levels
