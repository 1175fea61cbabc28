"""ComfyUI's tensors and ours. IMAGE: (T, H, W, 3) float 0 to 1; MASK: (T, H, W) float 0 to 1.

A link of type MVIDEO_MASKS is a `MaskClip`: all objects with names and frame rate, lossless and small.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import text_lines
from mvideo_core.masks import encode
from mvideo_core.masks.io.clip import MaskClip, check_objects

if TYPE_CHECKING:
    import torch


def to_image(frames: Iterable[np.ndarray]) -> "torch.Tensor":
    """IMAGE of (H, W, 3) uint8 RGB frames."""
    import torch

    return torch.from_numpy(np.stack(list(frames))).float() / 255


def to_frames(image: "torch.Tensor") -> np.ndarray:
    """(T, H, W, 3) uint8 RGB of an IMAGE.

    Raises:
        ConfigError: of another shape.
    """
    if image.ndim != 4 or image.shape[-1] < 3:
        raise ConfigError(f"an IMAGE of shape {tuple(image.shape)}; expected (frames, height, width, 3)")
    scaled = (image[..., :3].detach().float().cpu() * 255).round().clamp(0, 255)
    return np.ascontiguousarray(scaled.byte().numpy())


def to_mask(clip: MaskClip, objects: Sequence[int] | None) -> "torch.Tensor":
    """MASK of the union of some objects; None = all.

    Raises:
        ConfigError: an object that the clip does not have.
    """
    import torch

    chosen = clip.sequence.select(check_objects(objects, clip.sequence.n_objects))
    frames = [chosen.frame(number).any(axis=0) for number in range(chosen.n_frames)]
    return torch.from_numpy(np.stack(frames)).float()


def to_clip(mask: "torch.Tensor", fps: float, threshold: float, label: str) -> MaskClip:
    """One object: where a MASK is above the threshold.

    Raises:
        ConfigError: of another shape.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3:
        raise ConfigError(f"a MASK of shape {tuple(mask.shape)}; expected (frames, height, width)")
    inside = (mask.detach().cpu() > threshold).numpy()
    return MaskClip(encode(inside[:, None]), fps, (label,))


def parse_objects(text: str) -> list[int] | None:
    """Object numbers from "0, 2"; None (all) if empty.

    Raises:
        ConfigError: not numbers.
    """
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        raise ConfigError(f"objects {text!r}: expected numbers such as 0, 2 (empty: all)")
    return [int(word) for word in words] or None


def lines(text: str) -> list[Any]:
    """Entries of a text field with one per line; empty lines and those that begin with # do not count."""
    return [line.strip() for line in text_lines(text) if line.strip() and not line.strip().startswith("#")]
