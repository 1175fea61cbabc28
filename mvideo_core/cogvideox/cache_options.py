"""Which cache between denoising steps a generation uses. Importing this file imports neither torch nor diffusers."""

from typing import Literal

from pydantic import Field

from mvideo_core.base.options import Options


class CacheOptions(Options):
    """Partly computed steps: faster, but different pixels. The threshold trades one for the other."""

    kind: Literal["none", "first_block", "sea"] = Field(
        default="none",
        description="none; first_block: skip the other blocks if the first one's output changed little; sea: skip "
        "all blocks if the filtered latents changed little",
    )
    threshold: float = Field(
        default=0.08, ge=0, description="relative change below which a step is skipped; 0 skips none, higher is faster"
    )
