"""State dicts of GroundingDINO: read from safetensors or the official .pth, loaded strictly, each tensor saved once."""

import hashlib
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

LEFTOVERS = frozenset({"label_enc.weight", "bert.embeddings.position_ids"})
"""Keys in the official checkpoints that the published model does not use: the label embedding of denoising
training, and a buffer saved by old BERT classes."""


def read_state(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Weight file of a model folder and its tensors: `model.safetensors`, else the only `.pth`.

    Raises:
        ModelError: no such file, several, or not a checkpoint.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        found = visible_files(folder, ".pth")
        if len(found) != 1:
            raise ModelError(f"{folder}: expected model.safetensors or one .pth, found {[p.name for p in found]}")
        path = found[0]
    return path, _read_pth(path) if path.suffix == ".pth" else _read_safetensors(path)


def unwrap(state: dict[str, Any]) -> dict[str, Any]:
    """Plain names: take the "model" entry, strip DistributedDataParallel's "module.", drop unused keys."""
    state = state.get("model", state)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in state.items() if name not in LEFTOVERS}


def load_state(model: Any, state: dict[str, Any], path: Path) -> None:
    """Load weights into `model`; every key and shape must match (tensors shared by modules may be stored once).

    Raises:
        ModelError: keys missing, unexpected or of different shape; the message counts them and lists the first ones.
    """
    state = unwrap(state)
    for name, canonical in find_shared_names(model).items():
        if name not in state and canonical in state:
            state[name] = state[canonical]
    expected = model.state_dict()
    missing = sorted(expected.keys() - state.keys() - constructor_buffers(model))
    surplus = sorted(state.keys() - expected.keys())
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & state.keys())
        if state[name].shape != expected[name].shape
    ]
    if missing or surplus or shapes:
        lines = [f"{path}: these weights do not fit the model in the config.json next to them:"]
        for what, names in (("missing", missing), ("unknown", surplus), ("of different shape", shapes)):
            if names:
                lines.append(f"  {len(names)} {what}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
        raise ModelError("\n".join(lines))
    model.load_state_dict(state, strict=not constructor_buffers(model) - state.keys())


def find_shared_names(model: Any) -> dict[str, str]:
    """Name -> the first name of the same tensor, for every tensor with several names."""
    first: dict[int, str] = {}
    shared: dict[str, str] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        canonical = first.setdefault(id(value), name)
        if canonical != name:
            shared[name] = canonical
    return shared


def constructor_buffers(model: Any) -> set[str]:
    """Buffers that the constructor computes and files may omit (Swin's index tables)."""
    return {name for name in model.state_dict() if name.endswith("relative_position_index")}


def save_state(model: Any) -> dict[str, Any]:
    """Tensors to save, each once, without computed buffers."""
    skip = find_shared_names(model).keys() | constructor_buffers(model)
    return {name: value.detach().cpu() for name, value in model.state_dict().items() if name not in skip}


def parameters_sha256(model: Any) -> str:
    """Digest of all parameters in name order: identifies weights that do not come from a file."""
    total = hashlib.sha256()
    for name, value in sorted(save_state(model).items()):
        total.update(name.encode())
        total.update(value.contiguous().numpy().tobytes())
    return total.hexdigest()


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a safetensors file ({plain_words(error)}); fetch it again") from None


def _read_pth(path: Path) -> dict[str, Any]:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except RAISED_BY_LOADERS as error:
        check_memory(path, error)
        raise ModelError(f"{path}: not a plain checkpoint ({plain_words(error)}); fetch it again") from None
    if not isinstance(state, dict):
        raise ModelError(f"{path}: expected a mapping of tensors, got {type(state).__name__}")
    return state
