"""How fast the same numbers are computed: precision, activation checkpointing, attention kernel, compilation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mvideo_core.model.quantize import Quantization
from mvideo_core.options import Options

if TYPE_CHECKING:
    import torch

    from mvideo_core.model.transformer import MVideoTransformer3DModel


class ExecutionOptions(Options):
    """Speed and memory. All but precision and quantization may change when a run is resumed."""

    precision: Literal["fp32", "bf16"] = Field(
        default="bf16", description="of matrix products (autocast); losses, adapters and Adam stay fp32"
    )
    quantize: Quantization = Field(
        default="none",
        description="frozen linear layers in 8 bits, half the memory of bf16: int8 on any device, fp8 from compute "
        "capability 8.9 on; needs the extra `quantization`",
    )
    gradient_checkpointing: str = Field(
        default="none",
        pattern=r"^(none|full|block_skip:([2-9]|[1-9]\d+))$",
        description="recompute activations: none (most memory, fastest), full (every block), block_skip:n (every n-th)",
    )
    attention: Literal["auto", "cudnn", "flash", "efficient", "math"] = Field(
        default="auto", description="kernel of attention; cudnn comes first on Hopper GPUs and falls back to others"
    )
    compile: bool = Field(default=False, description="torch.compile each block; minutes once, then faster steps")
    tf32: bool = Field(default=True, description="let fp32 products on GPUs use TensorFloat-32")


def prepare(transformer: "MVideoTransformer3DModel", options: ExecutionOptions) -> None:
    """Set attention kernel, activation checkpointing, TF32 and compilation of a transformer, in place."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    transformer.set_sdpa(options.attention)
    transformer.set_gradient_checkpointing(options.gradient_checkpointing)
    if options.compile:
        transformer.compile_blocks()


def input_dtype(options: ExecutionOptions) -> "torch.dtype":
    """torch dtype of the model's inputs."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
