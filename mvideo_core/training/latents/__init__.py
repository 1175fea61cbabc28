"""Training reads VAE latents of [windows](docs/reference/latents.md#windows) and T5 embeddings of captions, cached
once:

    latents/<key>/
      train/train-000000.tar      {clip}.txt, {clip}.text.safetensors, {clip}.w00032.safetensors, ...
      index.parquet               one row per window: position, size and SHA-256 of its members, history, caption
      empty.safetensors           embedding of ""
      latents.json                models, format, options, dataset, counts, digest of every tar

The key in the folder's name is a hash of all options, VAE, text encoder, tokenizer, format and dataset. It does not
depend on the transformer.

```python
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.training.latents import LatentDataset, base_identity

expect = base_identity(BaseOptions(weights="mini"))
latents = LatentDataset("ws/latents/<key>", "train", expect=expect, history="with")
sample = latents.get(0)  # target_FCHW, mask_FCHW, appearance_1CHW, motion_FCHW, text_LC, caption, key
```

If VAE, text encoder, token count or format differ from `expect`, the latents are refused (`ConfigError`). A folder with
a missing or truncated file or a changed index is refused, too (`StoreError`). To compare the digests of all windows as
well, call `latents.find_damage()`.
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
