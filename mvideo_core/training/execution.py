"""How fast the same numbers are computed: precision, activation checkpointing, attention kernel, compilation."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mvideo_core.cogvideox.kernels import KernelOptions, use_kernels
from mvideo_core.cogvideox.quantize import Quantization

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


class ExecutionOptions(KernelOptions):
    """Speed and memory. Everything except precision and quantization may change on resume."""

    precision: Literal["fp32", "bf16"] = Field(
        default="bf16", description="precision of matrix products (autocast); losses, adapters and Adam stay fp32"
    )
    quantize: Quantization = Field(
        default="none",
        description="frozen linear layers in 8 bits, half the memory of bf16: int8 on any device, fp8 on compute "
        "capability 8.9 or higher; needs the extra `quantization`",
    )
    gradient_checkpointing: str = Field(
        default="none",
        pattern=r"^(none|full|block_skip:([2-9]|[1-9]\d+))$",
        description="recompute activations: none (most memory, fastest), full (every block), block_skip:n (every n-th)",
    )


def prepare(transformer: "MVideoTransformer3DModel", options: ExecutionOptions) -> None:
    """Set attention kernel, activation checkpointing, TF32 and compilation of a transformer, in place."""
    transformer.set_gradient_checkpointing(options.gradient_checkpointing)
    use_kernels(transformer, options)


def input_dtype(options: ExecutionOptions) -> "torch.dtype":
    """torch dtype of the model's inputs."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16}[options.precision]
