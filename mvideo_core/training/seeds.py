"""Every random draw of a training run is a function of (seed, purpose, step, position in the global batch).

Nothing depends on earlier draws, so a resumed run and a run on another number of GPUs draw the same numbers.
"""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *path: int | str) -> int:
    """A 63-bit seed for one purpose, e.g. derive_seed(0, "noise", step, slot)."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: int | str) -> "torch.Generator":
    """A fresh CPU generator for one purpose; CPU, so that every device trains on the same noise."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *path))
