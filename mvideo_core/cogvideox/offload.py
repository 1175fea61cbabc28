"""VAE and transformer take turns on one small GPU, so that only one of them is there at a time."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Offloader:
    """Tracks which of several modules is on the device; the others wait elsewhere.

    Trained parameters stay in place: their gradients are views of the trainer's buffer, and they are small.

    Args:
        modules: by name; they may be anywhere.
        device: where the active module computes.
        away: where the others wait.
    """

    def __init__(self, modules: dict[str, nn.Module], device: torch.device, away: torch.device):
        self.modules, self.device, self.away = modules, device, away
        self.active = ""

    @contextmanager
    def use(self, name: str) -> Iterator[None]:
        """Inside the block, only the named module is on the device; it stays there afterwards."""
        if name != self.active:
            for other, module in self.modules.items():
                if other != name:
                    move_frozen(module, self.away)
            self._free()
            move_frozen(self.modules[name], self.device)
            self.active = name
        yield

    def _free(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def move_frozen(module: nn.Module, device: torch.device) -> None:
    """Move buffers and all parameters without gradients; the others keep their place, and their `.grad`."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if not parameter.requires_grad and parameter.device != device:
                # A new parameter, since quantized tensors cannot change device in place.
                setattr(part, name, nn.Parameter(parameter.detach().to(device), requires_grad=False))
        for name, buffer in part.named_buffers(recurse=False):
            if buffer.device != device:
                part._buffers[name] = buffer.to(device)
