"""Mini consistency: overall consistency's recipe with a small ViCLIP trained on the mini world.

A stand-in with a name of its own: cosines of another network on another scale, of use for comparing systems of the
mini profile, never to be set beside overall_consistency. Same frames (one from the middle of each eighth), same code,
same kind of weights folder; differences: the whole picture is squeezed to the network's square instead of cropped, and
texts have 64 tokens. The network knows the world's words only; names of the unseen classes count as "animal".
"""

from typing import ClassVar

import numpy as np
from pydantic import Field

from mvideo_core.evaluation.base import METRICS, VideoScore
from mvideo_core.evaluation.metrics.overall_consistency import OverallConsistency, middle_frames
from mvideo_core.evaluation.protocol import ProtocolOptions
from mvideo_core.options import Options as AnyOptions


class MiniConsistencyOptions(ProtocolOptions):
    """Weights and protocol."""

    weights: str = Field(default="mini", description="catalog name or model folder")
    clip_s: int = Field(default=10, ge=1, description="clip length in whole seconds under `long`; unused under `short`")


@METRICS.register("mini_consistency")
class MiniConsistency(OverallConsistency):
    """Cosine in [-1, 1]."""

    Options: ClassVar[type[AnyOptions]] = MiniConsistencyOptions
    revision: ClassVar[int] = 1
    licence: ClassVar[str] = "Apache-2.0 (code and weights)"

    def _cosine(self, frames_THWC: np.ndarray, prompt: str) -> VideoScore:
        import torch

        from mvideo_core.evaluation.networks.mini_viclip import whole_frames
        from mvideo_core.evaluation.networks.viclip import cosine

        sizes = self.network.sizes
        indices = middle_frames(len(frames_THWC), sizes.n_frames)
        tokens_L = self.tokenizer.tokens(prompt, sizes.context)
        with torch.inference_mode():
            video_TCHW = whole_frames(frames_THWC[indices], sizes.image_px, self.device)
            video_BD = self.network.encode_video(video_TCHW[None])
            text_BD = self.network.encode_text(torch.from_numpy(tokens_L).to(self.device)[None])
            value = float(cosine(video_BD, text_BD)[0, 0])
        return VideoScore(value=value, details={"n_frames": float(len(frames_THWC))})
