"""The training inputs, instead of pixels and captions: VAE latents of windows and T5 embeddings, cached once.

    from mvideo_core.training.latents import LatentDataset, base_identity
    latents = LatentDataset("ws/latents/<key>", "train", expect=base_identity(base_options), history="with")
    sample = latents.get(0)                # LatentSample: target, mask, appearance, motion, text; unscaled, bfloat16

`curation/stages/encode.py` writes them; docs/latents.md describes the format.
"""

from mvideo_core.training.latents.cache import LatentDataset, LatentSample
from mvideo_core.training.latents.identity import base_identity
from mvideo_core.training.latents.info import LatentIdentity, LatentsInfo
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.windows import Window, windows_of

__all__ = [
    "LatentDataset",
    "LatentIdentity",
    "LatentOptions",
    "LatentSample",
    "LatentsInfo",
    "Window",
    "base_identity",
    "windows_of",
]
