"""Checkpoints of the mini trainings: one file, replaced in one move, read without pickle."""

from pathlib import Path
from typing import Any

from mvideo_core.disk import new_file


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint; killed at any moment, the old one or the new one is there."""
    import torch

    with new_file(path) as part:
        torch.save(state, part)


def load(path: Path, device: Any = None) -> dict[str, Any] | None:
    """The state that `save` wrote; None when there is no checkpoint yet."""
    import torch

    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    return state
