"""The frozen transformer's linear layers in 8 bits, half the memory of bf16; adapters and gradients stay unchanged.

Weights only: they are stored as int8 or fp8 with one scale per output row, and multiplied in the model's dtype.
"""

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any, Literal

from mvideo_core.base.errors import ConfigError, ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

Quantization = Literal["none", "int8", "fp8"]
INSTALL = "pip install 'mvideo[quantization]'"
FP8_CAPABILITY = (8, 9)
"""CUDA compute capability with fp8 types: Ada, Hopper and newer."""


def capability(device: "torch.device") -> tuple[int, int] | None:
    """CUDA compute capability of a device; None if it is not a GPU."""
    import torch

    return torch.cuda.get_device_capability(device) if device.type == "cuda" else None


def check_quantization(kind: Quantization, capability: tuple[int, int] | None) -> None:
    """Reject what cannot run here, before weights are loaded.

    Args:
        capability: CUDA compute capability of the GPU; None on a CPU.

    Raises:
        ModelError: torchao is not installed.
        ConfigError: fp8 on a device without it.
    """
    if kind == "none":
        return
    if importlib.util.find_spec("torchao") is None:
        raise ModelError(f"execution.quantize is {kind!r}, but torchao is not installed; run: {INSTALL}")
    if kind == "fp8" and (capability is None or capability < FP8_CAPABILITY):
        here = "this is a CPU" if capability is None else f"this GPU has {capability[0]}.{capability[1]}"
        raise ConfigError(
            f"execution.quantize is 'fp8'; it needs a GPU of compute capability 8.9 or newer (Ada, Hopper), {here}: "
            "use int8, which needs the same memory"
        )


def quantize_blocks(transformer: "nn.Module", kind: Quantization) -> int:
    """Replace the weights of all linear layers in the transformer's blocks, in place, before adapters are added.

    Args:
        transformer: without adapters; its blocks are in `transformer_blocks`.

    Returns:
        Number of layers changed.
    """
    if kind == "none":
        return 0
    from torch import nn

    from mvideo_core.cogvideox.frozen_linear import FrozenLinear

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

        config: Any = Int8WeightOnlyConfig() if kind == "int8" else Float8WeightOnlyConfig()
        blocks: Any = transformer.transformer_blocks
        linears = [module for module in blocks.modules() if isinstance(module, nn.Linear)]
        chosen = {id(module) for module in linears}
        quantize_(blocks, config, lambda module, _name: id(module) in chosen)
    for linear in linears:
        linear.weight.requires_grad_(False)
        linear.__class__ = FrozenLinear
    return len(linears)
