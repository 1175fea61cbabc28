"""Bytes of all live tensors while something runs, on tensors with shapes but no content.

`fake_mode()` simulates a GPU's computation under autocast: the real modules run, with torch's fake tensors.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Counts storages that operations inside the block allocate, until they are freed.

    Attributes:
        now, peak: bytes. Tensors from outside (weights) are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def outside(self, tensors: Any) -> None:
        """Do not count the storages of these tensors, even if an operation returns a view of one."""
        for tensor in tree_iter(tensors):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage(), counted=False)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_iter(result):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage(), counted=True)
        self.peak = max(self.peak, self.now)
        return result

    def _see(self, storage: torch.UntypedStorage, counted: bool) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes() if counted else 0
        self._known.add(key)
        self.now += size
        weakref.finalize(storage, self._subtract, key, size)

    def _subtract(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextmanager
def cuda_norms() -> Iterator[None]:
    """Inside the block, autocast of "cpu" treats layer norms as that of "cuda": in fp32. Not thread-safe."""
    on_cpu = F.layer_norm

    def layer_norm(input: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
        if torch.is_autocast_enabled("cpu"):
            input, weight, bias = (None if one is None else one.float() for one in (input, weight, bias))
        return on_cpu(input, shape, weight, bias, eps)

    F.layer_norm = layer_norm  # type: ignore[assignment]  # a function mode is off in recomputation
    try:
        yield
    finally:
        F.layer_norm = on_cpu


@contextmanager
def fake_mode() -> Iterator[None]:
    """Inside the block, tensors are fake: real shapes and types on "cpu", no memory, no arithmetic.

    Autocast of "cpu" then keeps what autocast of "cuda" keeps. Not thread-safe.
    """
    with cuda_norms(), FakeTensorMode():
        yield


def fake_tensors(model: nn.Module) -> None:
    """Replace a module's meta tensors with fake ones, inside `fake_mode`."""
    for part in model.modules():
        for name, one in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(torch.empty(one.shape, dtype=one.dtype), requires_grad=one.requires_grad))
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
