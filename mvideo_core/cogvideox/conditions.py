"""What the transformer is conditioned on besides text: mask, appearance frame, low-resolution motion (section 3.3).

Shape letters: B batch, F latent frames, C channels, H, W latent sides, L tokens, D channels of a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mvideo_core.cogvideox.patches import patches

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Conditions:
    """Scaled VAE latents, all optional; None adds no tokens or channels.

    Attributes:
        mask_BFCHW: mask video of the clip itself, same F, H, W as the noisy latents. Zeros mean "no mask"; an empty
            mask is the encoding of black frames, which is not zero.
        appearance_BFCHW: last frame of the previous clip, encoded alone (F = 1), at full size.
        motion_BFCHW: the previous clip at low resolution; its last frame is the clip's first.
        timestep_B: noise level of appearance and motion; None means clean (0).
    """

    mask_BFCHW: "Tensor | None" = None
    appearance_BFCHW: "Tensor | None" = None
    motion_BFCHW: "Tensor | None" = None
    timestep_B: "Tensor | None" = None

    @property
    def history(self) -> "tuple[Tensor | None, Tensor | None]":
        """Appearance and motion, in the order of their tokens."""
        return self.appearance_BFCHW, self.motion_BFCHW

    @property
    def has_history(self) -> bool:
        """Whether there are tokens of the previous clip."""
        return any(x is not None for x in self.history)

    def to(self, *args: Any, **kwargs: Any) -> "Conditions":
        """Move or cast every latent as by `Tensor.to`; the timestep keeps its dtype."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name != "timestep_B":
                moved[field.name] = value.to(*args, **kwargs)
        return replace(self, **moved) if moved else self

    def chunk(self, chunks: int, dim: int = 0) -> "tuple[Conditions, ...]":
        """Parts of the batch, as from `Tensor.chunk`; `dim` is the batch's, 0."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        parts = {name: value.chunk(chunks, dim) for name, value in given.items() if value is not None}
        return tuple(Conditions(**{name: values[n] for name, values in parts.items()}) for n in range(chunks))

    def repeat(self, times: int) -> "Conditions":
        """The batch repeated as a whole, for the branches of guidance."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Conditions(
            **{
                name: value.repeat(times, *[1] * (value.dim() - 1))
                for name, value in values.items()
                if value is not None
            }
        )


def add_mask_latents(clip_BLD: "Tensor", conditions: Conditions, mask_proj: "nn.Conv2d") -> "Tensor":
    """The clip's tokens plus the mask latents' projection (section 3.2); without a mask, the tokens themselves."""
    if conditions.mask_BFCHW is None:
        return clip_BLD
    return clip_BLD + patches(mask_proj, conditions.mask_BFCHW.to(mask_proj.weight.dtype)).to(clip_BLD.dtype)


def add_segment_offsets(
    history_BLD: "Sequence[Tensor]", conditions: Conditions, segment_embed: "Tensor"
) -> "list[Tensor]":
    """The tokens of appearance and motion, if given, each plus its segment's offset, a row of (2, D)."""
    offsets = [segment_embed[n] for n, x in enumerate(conditions.history) if x is not None]
    return [token + offset.to(token.dtype) for token, offset in zip(history_BLD, offsets, strict=True)]
