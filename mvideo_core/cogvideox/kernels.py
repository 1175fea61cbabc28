"""Which kernels compute the numbers: attention, compilation, TensorFloat-32. Importing this does not import torch."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mvideo_core.base.options import Options

if TYPE_CHECKING:
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


class KernelOptions(Options):
    """Speed of training, generation and baselines. Different kernels round differently; nothing else changes."""

    attention: Literal["auto", "cudnn", "flash", "efficient", "math"] = Field(
        default="auto", description="attention kernel; cudnn is fastest on Hopper GPUs and falls back to others"
    )
    compile: bool = Field(default=False, description="torch.compile each block; minutes once, then faster steps")
    tf32: bool = Field(default=True, description="let fp32 products on GPUs use TensorFloat-32")


def use_kernels(transformer: "MVideoTransformer3DModel", options: KernelOptions) -> None:
    """Apply the options to one of our transformers, in place, and to this process's TensorFloat-32."""
    _set_tf32(options)
    transformer.set_sdpa(options.attention)
    if options.compile:
        transformer.compile_blocks()


def use_kernels_of_diffusers(transformer: Any, options: KernelOptions) -> None:
    """Apply the options to a diffusers transformer, in place, except attention, and to this process's TF32."""
    _set_tf32(options)
    if options.compile:
        for block in getattr(transformer, "transformer_blocks", None) or transformer.blocks:  # CogVideoX's or Wan's
            block.compile()


def use_attention(options: KernelOptions) -> AbstractContextManager[None]:
    """Context in which any model's attention uses that kernel."""
    from mvideo_core.cogvideox.attention import kernel

    return kernel(options.attention)


def _set_tf32(options: KernelOptions) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
