"""What the transformer is conditioned on besides text: mask, appearance frame, low-resolution motion (section 3.3).

Shape letters: B batch, F latent frames, C channels, H, W latent sides.
"""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


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
    def has_history(self) -> bool:
        """Whether there are tokens of the previous clip."""
        return self.appearance_BFCHW is not None or self.motion_BFCHW is not None

    def to(self, *args: Any, **kwargs: Any) -> "Conditions":
        """Move or cast every latent as by `Tensor.to`; the timestep keeps its dtype."""
        moved = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name != "timestep_B":
                moved[field.name] = value.to(*args, **kwargs)
        return replace(self, **moved) if moved else self

    def without_mask(self) -> "Conditions":
        """The same history without the mask."""
        return replace(self, mask_BFCHW=None)

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
