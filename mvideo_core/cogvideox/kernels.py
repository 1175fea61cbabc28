"""Which kernels compute the same numbers: attention, compilation, TensorFloat-32. Importing this imports no torch."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mvideo_core.base.options import Options

if TYPE_CHECKING:
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


class KernelOptions(Options):
    """Speed of training, generation and baselines. Other kernels round differently; nothing else changes."""

    attention: Literal["auto", "cudnn", "flash", "efficient", "math"] = Field(
        default="auto", description="kernel of attention; cudnn comes first on Hopper GPUs and falls back to others"
    )
    compile: bool = Field(default=False, description="torch.compile each block; minutes once, then faster steps")
    tf32: bool = Field(default=True, description="let fp32 products on GPUs use TensorFloat-32")


def use_kernels(transformer: "MVideoTransformer3DModel", options: KernelOptions) -> None:
    """Set a transformer of ours, in place, and TensorFloat-32 of this process."""
    _set_tf32(options)
    transformer.set_sdpa(options.attention)
    if options.compile:
        transformer.compile_blocks()


def use_kernels_of_diffusers(transformer: Any, options: KernelOptions) -> None:
    """Set a transformer of diffusers, in place, but for its attention; and TensorFloat-32 of this process."""
    _set_tf32(options)
    if options.compile:
        for block in getattr(transformer, "transformer_blocks", None) or transformer.blocks:  # CogVideoX's or Wan's
            block.compile()


def use_attention(options: KernelOptions) -> AbstractContextManager[None]:
    """Context in which any model's attention takes that kernel."""
    from mvideo_core.cogvideox.attention import kernel

    return kernel(options.attention)


def _set_tf32(options: KernelOptions) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
