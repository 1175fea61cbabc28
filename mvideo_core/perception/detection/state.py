"""State dicts of GroundingDINO: read from safetensors or the official .pth, loaded strictly, saved once per tensor."""

import hashlib
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.weights.reading import RAISED_BY_LOADERS, plain_words

LEFTOVERS = frozenset({"label_enc.weight", "bert.embeddings.position_ids"})
"""Keys of the official checkpoints that the published model has no place for: the label embedding of denoising
training, and a buffer that old BERT classes saved."""


def read_state(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Weight file of a model folder and its tensors: `model.safetensors`, else the only `.pth`.

    Raises:
        ModelError: no such file, several, or not a checkpoint.
    """
    path = folder / "model.safetensors"
    if not path.is_file():
        found = visible_files(folder, ".pth")
        if len(found) != 1:
            raise ModelError(f"{folder}: model.safetensors or one .pth expected, {[p.name for p in found]} seen")
        path = found[0]
    return path, _read_pth(path) if path.suffix == ".pth" else _read_safetensors(path)


def unwrap(state: dict[str, Any]) -> dict[str, Any]:
    """Plain names: out of the "model" entry, without "module." of DistributedDataParallel, without the leftovers."""
    state = state.get("model", state)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    return {name: value for name, value in state.items() if name not in LEFTOVERS}


def load_state(model: Any, state: dict[str, Any], path: Path) -> None:
    """Fill `model`; every key and shape must fit (tensors shared by several modules may stand once).

    Raises:
        ModelError: keys missing, left over or of another shape; the message counts and names the first of them.
    """
    state = unwrap(state)
    for name, canonical in shared_names(model).items():
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
        lines = [f"{path}: these weights do not fit the model described by config.json beside them:"]
        for what, names in (("missing", missing), ("unknown", surplus), ("of another shape", shapes)):
            if names:
                lines.append(f"  {len(names)} {what}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
        raise ModelError("\n".join(lines))
    model.load_state_dict(state, strict=not constructor_buffers(model) - state.keys())


def shared_names(model: Any) -> dict[str, str]:
    """Name -> the first name of the same tensor, for every tensor that stands under several names."""
    first: dict[int, str] = {}
    shared: dict[str, str] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        canonical = first.setdefault(id(value), name)
        if canonical != name:
            shared[name] = canonical
    return shared


def constructor_buffers(model: Any) -> set[str]:
    """Buffers that the constructor computes and that files may leave out (Swin's index tables)."""
    return {name for name in model.state_dict() if name.endswith("relative_position_index")}


def save_state(model: Any) -> dict[str, Any]:
    """Tensors to save: each once, without the computed buffers."""
    skip = shared_names(model).keys() | constructor_buffers(model)
    return {name: value.detach().cpu() for name, value in model.state_dict().items() if name not in skip}


def parameters_sha256(model: Any) -> str:
    """Digest of all parameters in name order: the identity of weights that came from no file."""
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
        raise ModelError(f"{path}: not a plain checkpoint ({plain_words(error)}); fetch it again") from None
    if not isinstance(state, dict):
        raise ModelError(f"{path}: a mapping of tensors expected, {type(state).__name__} seen")
    return state
