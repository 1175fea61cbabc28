"""Mini consistency: the recipe of overall consistency with a small ViCLIP trained on the mini world.

It replaces overall consistency on the synthetic world, because VBench's networks do not work at 64x96 px. Use its
cosines to compare systems on this world, not with VBench's scores ([what it responds to and what it
misses](docs/results/mini_metrics.md#mini_consistency)). It scores the same frames (one from the middle of each eighth)
with the same code. Two things differ: the whole frame is squeezed into a square instead of cropped, and texts may have
up to 64 tokens. The network knows only the world's words; names of the unseen classes count as "animal".
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.metrics.overall_consistency import OverallConsistency, OverallConsistencyOptions

if TYPE_CHECKING:
    from torch import Tensor


class MiniConsistencyOptions(OverallConsistencyOptions):
    """Weights and protocol."""

    weights: str = Field(default="mini", description="catalog name or model folder")


@METRICS.register("mini_consistency")
class MiniConsistency(OverallConsistency):
    """Cosine in [-1, 1]."""

    Options = MiniConsistencyOptions
    license = "Apache-2.0 (code and weights)"

    def _prepare(self, frames_THWC: np.ndarray) -> "Tensor":
        from mvideo_core.evaluation.networks.mini_viclip import whole_frames

        return whole_frames(frames_THWC, self.network.sizes.image_px, self.device)
