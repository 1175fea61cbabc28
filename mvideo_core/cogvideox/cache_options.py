"""Which cache between denoising steps a generation uses. Importing this file imports neither torch nor diffusers."""

from typing import Literal

from pydantic import Field

from mvideo_core.base.options import Options


class CacheOptions(Options):
    """Steps computed in part only: faster, other pixels. The threshold trades one for the other."""

    kind: Literal["none", "first_block", "sea"] = Field(
        default="none",
        description="none; first_block: the other blocks are skipped where the first one's change is small; sea: all "
        "blocks are, where the filtered latents changed little",
    )
    threshold: float = Field(
        default=0.08, ge=0, description="relative change below which a step is skipped; 0 skips none, more is faster"
    )
