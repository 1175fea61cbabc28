"""What detectors and segmenters share: autocast, compiled graphs, and copies that overlap with the GPU's work.

On a CPU nothing is copied and nothing is cast.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16"]


def on_gpu(device: str) -> bool:
    """Whether a device is a GPU."""
    return device.startswith("cuda")


def autocast(device: str, precision: Precision) -> AbstractContextManager[Any]:
    """bf16 matrix products on a GPU, if asked for; CPUs always use fp32."""
    import torch

    if on_gpu(device) and precision == "bf16":
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def run_eager(compiled: bool = True) -> AbstractContextManager[Any]:
    """Compiled modules run without their graphs inside; for shapes for which none should be made."""
    import torch

    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()


class Upload:
    """Arrays on their way to a device; on a GPU the copy starts at once, from pinned memory, on a stream of its own.

    Args:
        array: C-contiguous.
    """

    def __init__(self, array: np.ndarray, device: str):
        import torch

        tensor = torch.from_numpy(array)
        self._stream: Any = None
        if on_gpu(device) and torch.cuda.is_available():
            self._stream = torch.cuda.Stream(device)
            with torch.cuda.stream(self._stream):
                self._tensor = tensor.pin_memory().to(device, non_blocking=True)
        else:
            self._tensor = tensor.to(device)

    def tensor(self) -> "torch.Tensor":
        """The tensor on the device, safe to use on the current stream; the CPU does not wait."""
        import torch

        if self._stream is not None:
            torch.cuda.current_stream(self._tensor.device).wait_stream(self._stream)
            self._tensor.record_stream(torch.cuda.current_stream(self._tensor.device))
        return self._tensor


class Download:
    """Tensors on their way to the CPU; from a GPU the copies start at once, into pinned memory."""

    def __init__(self, *tensors: "torch.Tensor"):
        import torch

        self._tensors = []
        for tensor in tensors:
            self._tensors.append(tensor.to("cpu", non_blocking=True))
        self._event: Any = None
        if tensors[0].is_cuda and torch.cuda.is_available():
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(tensors[0].device))

    def arrays(self) -> list[np.ndarray]:
        """The arrays; waits until the copies are complete."""
        if self._event is not None:
            self._event.synchronize()
        return [tensor.numpy() for tensor in self._tensors]
