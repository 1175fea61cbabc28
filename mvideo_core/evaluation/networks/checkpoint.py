"""Read public checkpoints as tensors only and load them strictly. No code in a file is executed."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

if TYPE_CHECKING:
    from torch import Tensor, nn


class Inert:
    """Placeholder for an object of a foreign class (e.g. a training configuration) in a checkpoint."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_checkpoint(path: Path, key: str = "") -> "dict[str, Tensor]":
    """Tensors of a .safetensors file or of a torch checkpoint, by name.

    Args:
        path: file.
        key: entry of the checkpoint with the tensors; "" = the checkpoint itself.

    Raises:
        ModelError: missing, damaged, or the entry does not exist.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelError(f"{path}: missing; see `mvideo weights list` for its source")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Classes outside torch become inert objects; they are never looked up, let alone called. Checkpoints older than
        # torch 1.6 are not zip archives and cannot list such classes; only bare tensors are accepted from them.
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        with torch.serialization.safe_globals([(Inert, name) for name in foreign]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except RAISED_BY_LOADERS as error:
        check_memory(path, error)
        raise ModelError(f"{path}: not a tensor checkpoint ({plain_words(error)}); fetch it again") from None
    state = content.get(key) if key and isinstance(content, dict) else content
    if not isinstance(state, dict):
        seen = sorted(map(str, content))[:6] if isinstance(content, dict) else type(content).__name__
        raise ModelError(f"{path}: expected {f'entry {key!r}' if key else 'a mapping'} of tensors, got {seen}")
    return {name.removeprefix("module."): value for name, value in state.items()}


def load_strictly(model: "nn.Module", state: "dict[str, Tensor]", path: Path) -> None:
    """Load weights into a network; every name and shape must match.

    Raises:
        ModelError: names missing, unexpected or of different shape; the message lists the first ones.
    """
    expected = model.state_dict()
    problems = {
        "missing": sorted(expected.keys() - state.keys()),
        "unknown": sorted(state.keys() - expected.keys()),
        "of another shape": sorted(
            name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape
        ),
    }
    mismatches = [f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in problems.items() if names]
    if mismatches:
        raise ModelError(f"{path}: these weights do not fit {type(model).__name__}: {'; '.join(mismatches)}")
    model.load_state_dict(state)


def only_file(folder: Path, patterns: tuple[str, ...]) -> Path:
    """The only file in a folder that matches one of the patterns.

    Raises:
        ModelError: none or several.
    """
    found = [path for path in visible_files(folder) if any(path.match(pattern) for pattern in patterns)]
    if len(found) != 1:
        raise ModelError(f"{folder}: expected one file {' or '.join(patterns)}, found {[path.name for path in found]}")
    return found[0]
