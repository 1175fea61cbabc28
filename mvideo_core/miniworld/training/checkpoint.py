"""Checkpoints of the mini models' training runs: one file, replaced atomically, read without pickle."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import new_file
from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.weights.reading import check_memory


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint atomically: if killed, either the old or the new one exists."""
    import torch

    with new_file(path) as part:
        torch.save(state, part)


def load(path: Path, device: Any = None) -> dict[str, Any] | None:
    """Load the state written by `save`; None if there is no checkpoint yet.

    Raises:
        StoreError: the file is damaged or not a checkpoint.
    """
    import torch

    if not path.is_file():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location=device)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        check_memory(path, error)
        raise StoreError(_remedy(path, "not a readable checkpoint", error)) from error
    if not isinstance(state, dict):
        raise StoreError(_remedy(path, f"not a checkpoint ({type(state).__name__})"))
    return state


@contextmanager
def state_errors(path: Path) -> Iterator[None]:
    """Context manager for loading a state into networks and optimizer: turns mismatches into one-line errors.

    Raises:
        ConfigError: the state belongs to other networks.
    """
    try:
        yield
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        check_memory(path, error)
        raise ConfigError(_remedy(path, "a checkpoint of another size or training", error)) from error


def _remedy(path: Path, problem: str, error: Exception | None = None) -> str:
    """`path`, the problem, the first informative line of torch's message, and what to do."""
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    detail = next((line for line in lines if "size mismatch" in line), lines[0] if lines else "")
    seen = f" ({detail.rstrip('.')})" if detail and "weights_only" not in detail else ""
    return f"{path}: {problem}{seen}; use the options it was trained with or another --out, or delete the file"
