"""The frozen CogVideoX inside the trained model: the reference of the consistency loss (equation 2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def teacher_view(transformer: "nn.Module") -> "Iterator[None]":
    """Inside the block, the transformer is the base model: adapters bypassed, no gradients recorded.

    Call it without conditions, `transformer(x_t, text, t)`: mask convolution and segment embedding are then not used,
    and the output equals the base model's bit for bit at any point of training. For a DDP wrapper, call its `.module`.

    peft's own `disable_adapters` flips `requires_grad` of every adapter, which costs DDP its buckets and
    `torch.compile` its graphs. This sets only the flag that each adapter layer reads in `forward`.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in transformer.modules() if isinstance(module, BaseTunerLayer)]
    before = [layer._disable_adapters for layer in layers]
    for layer in layers:
        layer._disable_adapters = True
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, value in zip(layers, before, strict=True):
            layer._disable_adapters = value
