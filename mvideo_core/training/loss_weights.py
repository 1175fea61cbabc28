"""Weights of the diffusion loss inside and outside the mask, at the latents' resolution; not in the paper.

`mask_loss.inside` and `mask_loss.outside` weight the error of `L_d` inside and outside the clip's mask. They need
latents encoded with `store_coverage`. The weights of a sample have mean 1. Samples whose mask was dropped are weighted
evenly, as are `L_c` and validation.

Shape letters: B batch, F latent frames, H, W latent sides.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from mvideo_core.base.options import Options
from mvideo_core.training.latents.encode import COVERED

if TYPE_CHECKING:
    import torch

    from mvideo_core.training.latents.cache import LatentSample


class MaskLossOptions(Options):
    """How much the error of a latent cell counts; equal weights give the plain mean. The paper uses no weights."""

    inside: float = Field(default=1.0, ge=0, description="weight of cells inside the clip's own mask")
    outside: float = Field(
        default=1.0, ge=0, description="weight of cells outside; partly covered cells get a mix of both"
    )

    @model_validator(mode="after")
    def _one_counts(self) -> Self:
        if self.inside == self.outside == 0:
            raise ValueError("inside and outside are both 0, so nothing would be trained; give one a weight above 0")
        return self

    @property
    def weighted(self) -> bool:
        """Whether the weights differ."""
        return self.inside != self.outside


def cell_weights(
    options: MaskLossOptions, samples: Sequence["LatentSample"], unseen_B: "torch.Tensor"
) -> "torch.Tensor | None":
    """Weight of every latent cell, fp32 (B, F, H, W), mean 1 in each sample; None when all are equal.

    A sample is weighted evenly when the model does not see its mask, since weights that depend on information it lacks
    would bias its prediction, and when none of its cells would count.

    Args:
        samples: with coverage.
        unseen_B: samples whose mask was dropped, bool.
    """
    import torch

    if not options.weighted:
        return None
    covered = torch.stack([torch.as_tensor(sample.coverage_FHW).float() for sample in samples]) / COVERED
    weights = options.outside + (options.inside - options.outside) * covered
    mean = weights.mean(dim=(1, 2, 3), keepdim=True)
    even = unseen_B.view(-1, 1, 1, 1) | (mean == 0)
    return torch.where(even, 1.0, weights / mean.clamp(min=torch.finfo(torch.float32).tiny))
