"""Change the speed over time."""

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.editing.keyframes import EASE_HELP, Ease, Keys, values
from mvideo_core.editing.operations import check_length, timing


class SpeedRampOptions(Options):
    """The speed over time."""

    keys: Keys = Field(
        default=[("0%", 1.0), ("100%", 2.0)],
        description="[[time, speed], ...]: times in the source clip, speed factors; 0.5 = half speed",
    )
    ease: Ease = Field(default="linear", description=EASE_HELP)


@timing("speed_ramp", SpeedRampOptions)
def speed_ramp(n_frames: int, fps: float, options: SpeedRampOptions) -> np.ndarray:
    """Slow down and speed up within the clip (nearest frame); the frame rate stays."""
    speed_T = values(options.keys, n_frames, fps, options.ease)
    if speed_T.min() < 0.01 or speed_T.max() > 100:
        raise ConfigError(f"speed_ramp: speed {speed_T.min():g} to {speed_T.max():g}; 0.01 to 100 allowed")
    between_T = (1 / speed_T[:-1] + 1 / speed_T[1:]) / 2  # frames shown between two source frames
    shown_T = np.concatenate([[0.0], np.cumsum(between_T)])
    n_out = check_length("speed_ramp", int(np.floor(shown_T[-1] + 1e-9)) + 1)
    place = np.interp(np.arange(n_out), shown_T, np.arange(n_frames))
    return np.floor(place + 0.5 + 1e-9).astype(np.int64)
