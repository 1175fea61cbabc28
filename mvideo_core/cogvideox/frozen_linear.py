"""A linear layer over a quantized weight that needs no full-size copy of it for the backward pass."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenProduct(torch.autograd.Function):
    """x W^T + b of a frozen, quantized W (any tensor with `dequantize`).

    torchao's own product lets autograd keep the dequantized W of every layer, which costs more than quantizing saves.
    Here the quantized W is kept and dequantized again.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Any, bias: Tensor | None) -> Tensor:
        """Product in the dtype of W, or of autocast."""
        ctx.save_for_backward(weight)
        ctx.dtype = x.dtype
        return F.linear(x, weight.dequantize(), bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """Gradient of x only."""
        (weight,) = ctx.saved_tensors
        return (gradient @ weight.dequantize().to(gradient.dtype)).to(ctx.dtype), None, None


class FrozenLinear(nn.Linear):
    """A linear layer whose weight is quantized and gets no gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Linear."""
        return FrozenProduct.apply(input, self.weight, self.bias)
