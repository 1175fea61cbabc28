"""One clip's members in a tar of latents: `{key}.txt`, `{key}.text.safetensors`, `{key}.w00032.safetensors`, ...

Keys, names of tars and their order are those of the dataset, so `webdataset` can read both together. The number in a
window's name is the clip's frame at which its target starts; the caption's embedding is stored once for all windows of
a clip.

Latents are bfloat16 and **not** multiplied by the VAE's scaling factor, which is in `latents.json`. A window takes 5.6
MB at 480x720 and 33 frames. Each sloppy mask (`sloppy.variants`) adds 1.6 MB. `store_coverage` adds the share of each
latent cell that the mask covers (49 kB, uint8).
"""

# safetensors rather than npy: it supports bfloat16 (npy needs a uint16 view and a separate note), holds the tensors of
# a window in one member that takes one read, needs no pickle, and equal tensors give equal bytes. No metadata is
# written (its order is not fixed): everything about the tensors is in `latents.json`.

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import LatentWindow
from mvideo_core.shards.tar_format import add_member, open_tar
from mvideo_core.training.latents.text import TEXT
from mvideo_core.training.latents.windows import Window

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """One clip with everything that is cached for it.

    Attributes:
        text_LC: embedding of the caption.
        windows: with their tensors from `encode_windows`.
    """

    key: str
    video_id: str
    caption: str
    text_LC: "torch.Tensor"
    windows: Sequence[tuple[Window, Mapping[str, "torch.Tensor"]]]


def pack_clip(clip: EncodedClip, offset_bytes: int) -> tuple[bytes, list[LatentWindow]]:
    """The bytes of a clip's members in a tar, headers and padding included, and the row of each window.

    Args:
        offset_bytes: where in the tar the bytes will be.
    """
    out = io.BytesIO()
    tar = open_tar(out)  # never closed: its end follows the last clip

    def add(extension: str, content: bytes) -> int:
        return offset_bytes + add_member(tar, f"{clip.key}.{extension}", io.BytesIO(content), len(content))

    add("txt", clip.caption.encode())
    text = tensor_bytes({TEXT: clip.text_LC})
    text_at = add("text.safetensors", text)
    rows = []
    for window, tensors in clip.windows:
        content = tensor_bytes(tensors)
        at = add(f"w{window.target_start:05d}.safetensors", content)
        rows.append(
            LatentWindow(
                key=clip.key, video_id=clip.video_id, caption=clip.caption, target_start_frame=window.target_start,
                history=window.history, offset_bytes=at, size_bytes=len(content), sha256=_sha256(content),
                text_offset_bytes=text_at, text_size_bytes=len(text), text_sha256=_sha256(text),
            )
        )  # fmt: skip
    return out.getvalue(), rows


def tensor_bytes(tensors: Mapping[str, "torch.Tensor"]) -> bytes:
    """Tensors as safetensors; equal tensors give equal bytes."""
    from safetensors.torch import save

    return save({name: tensors[name].contiguous() for name in sorted(tensors)})


def read_tensors(content: bytes, where: str) -> dict[str, Any]:
    """Tensors written by `tensor_bytes`.

    Raises:
        StoreError: damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, ValueError) as error:
        raise StoreError(f"{where}: unreadable tensors ({error}); encode this shard again") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
