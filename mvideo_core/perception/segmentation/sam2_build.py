"""Build SAM2 networks of any size with the sam2 package's classes and load weights, without network access.

An architecture is one of the package's public yaml files plus overrides, given in a model folder's `config.json`:

    {"format": "sam2", "base": "sam2.1_hiera_t", "overrides": {"image_size": 256, "memory_attention": {...}}}

Public checkpoints (`sam2.1_hiera_tiny.pt`, ...) are read directly; a model folder contains `config.json` and
`model.safetensors`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ModelError
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

if TYPE_CHECKING:
    import torch
    from sam2.sam2_video_predictor import SAM2VideoPredictor

PUBLIC = ("sam2.1_hiera_t", "sam2.1_hiera_s", "sam2.1_hiera_b+", "sam2.1_hiera_l")
"""Base architectures: the yaml files in `sam2/configs/sam2.1`."""

CHECKPOINTS = {
    "sam2.1_hiera_tiny.pt": "sam2.1_hiera_t",
    "sam2.1_hiera_small.pt": "sam2.1_hiera_s",
    "sam2.1_hiera_base_plus.pt": "sam2.1_hiera_b+",
    "sam2.1_hiera_large.pt": "sam2.1_hiera_l",
}
"""File names of Meta's published weights, and their architectures."""

_INFERENCE = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}
"""Defaults of `build_sam2_video_predictor`, without hole filling, which needs the package's CUDA extension."""


def build_predictor(
    base: str, overrides: dict[str, Any] | None = None, seed: int | None = None
) -> "SAM2VideoPredictor":
    """An untrained video predictor in eval mode, fp32, on the CPU.

    Args:
        base: one of `PUBLIC`.
        overrides: nested values that replace those in `model:` of the yaml file; no key may begin with "_".
        seed: seed for the random weights; None uses torch's current generator state.

    Raises:
        ModelError: unknown base, or an override that the classes do not accept.
    """
    import sam2
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if base not in PUBLIC:
        raise ModelError(f"unknown SAM2 architecture {base!r}; known: {', '.join(PUBLIC)}")
    _refuse_targets(overrides or {}, "overrides")
    path = Path(sam2.__file__).parent / "configs" / "sam2.1" / f"{base}.yaml"
    try:
        config: Any = OmegaConf.merge(OmegaConf.load(path).model, _INFERENCE, overrides or {})
        config["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            model: SAM2VideoPredictor = instantiate(config, _recursive_=True)
    except (InstantiationException, OmegaConfBaseException) as error:
        raise ModelError(f"SAM2 {base} with overrides {overrides}: {error}") from None
    return model.eval()


def load_predictor(path: str | Path, arch: str = "", image_size: int = 0) -> tuple["SAM2VideoPredictor", str, str]:
    """Load a video predictor with weights from disk.

    Args:
        path: a model folder (`config.json`, `model.safetensors`) or an original checkpoint file (`.pt`).
        arch: base architecture of a checkpoint file, if its name does not show it; "" = from the name.
        image_size: input side in px instead of the model's own; 0 = the model's own. Quality drops at other sizes.

    Returns:
        The model in eval mode on the CPU, its name, and the SHA-256 of its weights file.

    Raises:
        ModelError: missing, unreadable, or weights that do not fit the architecture.
    """
    path = Path(path)
    extra = {"image_size": image_size} if image_size else {}
    if path.is_dir():
        config = read_config(path / "config.json")
        model = build_predictor(config["base"], {**config["overrides"], **extra})
        weights = path / "model.safetensors"
        state, name = read_safetensors(weights), path.name
    elif path.is_file():
        base = arch or CHECKPOINTS.get(path.name, "")
        if not base:
            raise ModelError(f"{path}: set `arch` to one of {', '.join(PUBLIC)}; the file name does not show it")
        model, weights, name = build_predictor(base, extra), path, path.stem
        state = read_checkpoint(path)
    else:
        raise ModelError(
            f"{path}: no SAM2 weights found. Copy a checkpoint ({', '.join(CHECKPOINTS)}) or a model folder to that "
            "path, or set the option `weights`; see `mvideo weights list` for sources"
        )
    load_strict(model, state, weights)
    return model, name, file_sha256(weights)


def load_strict(model: "torch.nn.Module", state: dict[str, "torch.Tensor"], where: Path) -> None:
    """Load a state dict that must match exactly; half precision is converted to fp32.

    Raises:
        ModelError: missing or unexpected names, or shapes that differ.
    """
    try:
        model.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    except RuntimeError as error:
        head = " ".join(str(error).split())[:600]
        raise ModelError(f"{where}: the weights do not fit the architecture: {head}") from None


def read_config(path: Path) -> dict[str, Any]:
    """Read and validate the two keys of a model folder's `config.json`.

    Raises:
        ModelError: missing, not JSON, or not of the format "sam2".
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: a SAM2 model folder needs a readable config.json: {error}") from None
    if not isinstance(config, dict) or config.get("format") != "sam2" or not isinstance(config.get("overrides"), dict):
        raise ModelError(f'{path}: {{"format": "sam2", "base": ..., "overrides": {{...}}}} expected')
    return {"base": config.get("base", ""), "overrides": config["overrides"]}


def read_safetensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Read the tensors of a safetensors file to the CPU.

    Raises:
        ModelError: missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors: {plain_words(error)}") from None


def read_checkpoint(path: Path) -> dict[str, "torch.Tensor"]:
    """Read the "model" entry of an original `.pt` checkpoint; only tensors are unpickled.

    Raises:
        ModelError: not such a checkpoint.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except RAISED_BY_LOADERS as error:
        check_memory(path, error)
        raise ModelError(f"{path}: cannot be read as a tensor checkpoint: {plain_words(error)}") from None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f'{path}: expected a checkpoint with an entry "model"')
    return state


def _refuse_targets(values: dict[str, Any], where: str) -> None:
    """Refuse keys such as `_target_`, which would let a config file specify code to run."""
    for key, value in values.items():
        if str(key).startswith("_"):
            raise ModelError(f"{where}.{key}: keys that begin with '_' are not allowed in an architecture")
        if isinstance(value, dict):
            _refuse_targets(value, f"{where}.{key}")
