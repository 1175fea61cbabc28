"""Training data of the mini base's transformer, computed once: latents of every window and tokens of its captions.

One file per data shard: `<folder>/train-00000.npy`, float16 (windows, F, C, h, w), multiplied by the VAE's scaling
factor. The path contains the VAE's fingerprint, so latents of different VAEs cannot be mixed up.

Legend: N windows, B batch, F latent frames, C channels, h, w latent sides, L tokens.
"""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mvideo_core.cogvideox.video_format import TEMPORAL_STRIDE
from mvideo_core.miniworld.training.base_data import WINDOW_FRAMES, WINDOWS, Clips
from mvideo_core.miniworld.training.base_vae import to_video
from mvideo_core.miniworld.training.base_vae_eval import encode_mode
from mvideo_core.miniworld.training.drawn_shards import write_array
from mvideo_core.miniworld.world.spec import Split

log = logging.getLogger(__name__)

WORDINGS = 3
"""Plain, motion, and both combined."""


class Windows(NamedTuple):
    """All windows of a split: latents fp16, tokens of their captions int32, share of each latent covered by objects."""

    latents_NFChw: Tensor
    tokens_N3L: Tensor
    objects_NFhw: Tensor


def load_windows(
    vae: Any, tokenizer: Any, out: Path, split: Split, length: int, n_windows: int | None = None
) -> Windows:
    """Windows of the clips in `<out>/data`; their latents are computed once, to `<out>/latents`.

    Args:
        length: of a caption, tokens.
        n_windows: maximum number of windows.
    """
    latents = cache_latents(vae, out / "data", out / "latents", split, n_windows)
    clips = Clips(out / "data", split)
    tokens = caption_tokens(tokenizer, clips, len(latents), length)
    objects = [object_cover(clips.masks(index), latents.shape[-2:]) for index in range(len(latents))]
    return Windows(latents, tokens, torch.from_numpy(np.stack(objects)))


def object_cover(masks_THW: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """Share of the pixels of each latent that objects cover, (F, h, w) fp16; the first latent frame is one frame."""
    (n_frames, height, width), (h, w) = masks_THW.shape, size_hw
    cells = masks_THW.reshape(n_frames, h, height // h, w, width // w).mean(axis=(2, 4), dtype=np.float32)
    rest = cells[1:].reshape(-1, TEMPORAL_STRIDE, h, w).mean(axis=1)
    return np.concatenate([cells[:1], rest]).astype(np.float16)


def cache_latents(vae: Any, data: Path, folder: Path, split: Split = "train", n_windows: int | None = None) -> Tensor:
    """Latents of all windows of the split, (N, F, C, h, w) float16; existing shards are reused.

    Args:
        vae: loaded VAE with its scaling factor.
        data: folder of the rendered clips.
        folder: folder of the latents; one subfolder per VAE.
        n_windows: stop after the shard that reaches this many.
    """
    place = folder / fingerprint(vae)
    place.mkdir(parents=True, exist_ok=True)
    clips = Clips(data, split)
    parts, first = [], 0
    for number, shard in enumerate(clips.shards):
        path, count = place / f"{split}-{number:05d}.npy", len(shard.texts) * len(WINDOWS)
        if not path.is_file():
            write_array(path, _encode(vae, [clips[first + n] for n in range(count)]))
            log.info("encoded %s shard %d of %d", split, number + 1, len(clips.shards))
        parts.append(torch.from_numpy(np.load(path)))
        first += count
        if n_windows is not None and first >= n_windows:
            break
    return torch.cat(parts)[:n_windows]


def fingerprint(vae: Any) -> str:
    """12 hex digits of the VAE's encoder weights and scaling factor."""
    sha = hashlib.sha256(str(vae.config.scaling_factor).encode())
    for name, value in sorted(vae.encoder.state_dict().items()):
        sha.update(name.encode() + value.detach().to("cpu", torch.float16).numpy().tobytes())
    return sha.hexdigest()[:12]


def caption_tokens(tokenizer: Any, clips: Clips, n_windows: int, length: int) -> Tensor:
    """(N, 3, L) int32: the plain wording, the motion captioner's, and both, padded and truncated to `length`."""
    texts = [text for index in range(n_windows) for text in wordings(*clips.texts(index))]
    return tokens_of(tokenizer, texts, length).view(n_windows, WORDINGS, length)


def wordings(plain: str, motion: str) -> tuple[str, str, str]:
    """The three captions of one window."""
    return plain, motion, f"{plain} {motion}"


def tokens_of(tokenizer: Any, texts: list[str], length: int) -> Tensor:
    """(len(texts), L) int32, same as the pipeline: padded, truncated, with end token, no attention mask."""
    coded = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="np")
    return torch.from_numpy(coded.input_ids.astype(np.int32))


def _encode(vae: Any, windows: list[np.ndarray], batch: int = 4) -> np.ndarray:
    assert all(len(window) == WINDOW_FRAMES for window in windows)
    parts = []
    for first in range(0, len(windows), batch):
        latents = encode_mode(vae, to_video(np.stack(windows[first : first + batch])))
        parts.append((latents * vae.config.scaling_factor).transpose(1, 2).to(torch.float16).numpy())
    return np.concatenate(parts)
