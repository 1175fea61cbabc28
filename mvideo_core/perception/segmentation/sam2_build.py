"""SAM2 networks of any size from the sam2 package's own classes, and their weights, without network access.

An architecture is one of the package's public yaml files plus overrides, as `config.json` in a model folder spells out:

    {"format": "sam2", "base": "sam2.1_hiera_t", "overrides": {"image_size": 256, "memory_attention": {...}}}

Public checkpoints (`sam2.1_hiera_tiny.pt`, ...) are read as they are; a model folder holds `config.json` and
`model.safetensors`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ModelError
from mvideo_core.weights.reading import RAISED_BY_LOADERS, plain_words

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
"""File names under which Meta publishes the weights, and the architecture each one fits."""

_INFERENCE = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
}
"""What `build_sam2_video_predictor` adds by default, less hole filling, which needs the package's CUDA extension."""


def build_predictor(
    base: str, overrides: dict[str, Any] | None = None, seed: int | None = None
) -> "SAM2VideoPredictor":
    """An untrained video predictor in eval mode, fp32, on the CPU.

    Args:
        base: one of `PUBLIC`.
        overrides: nested values that replace those under `model:` of the yaml file; no key may begin with "_".
        seed: makes the random weights repeatable; None leaves torch's generator alone.

    Raises:
        ModelError: unknown base, or an override the classes do not take.
    """
    import sam2
    import torch
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if base not in PUBLIC:
        raise ModelError(f"no SAM2 architecture called {base!r}; known: {', '.join(PUBLIC)}")
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
    """A video predictor with weights from disk.

    Args:
        path: a model folder (`config.json`, `model.safetensors`) or a checkpoint file of the original authors (`.pt`).
        arch: base architecture of a checkpoint file whose name does not tell it; "" to go by the name.
        image_size: input side in px instead of the model's own; 0 keeps it. Away from its own size quality drops.

    Returns:
        The model in eval mode on the CPU, its name, and the SHA-256 of its weights file.

    Raises:
        ModelError: nothing there, unreadable, or weights that do not fit the architecture.
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
            raise ModelError(f"{path}: give `arch`, one of {', '.join(PUBLIC)}; the file name does not tell it")
        model, weights, name = build_predictor(base, extra), path, path.stem
        state = read_checkpoint(path)
    else:
        raise ModelError(
            f"{path}: no SAM2 weights there. Put a checkpoint ({', '.join(CHECKPOINTS)}) or a model folder at that "
            "path, or name another with the option `weights`; `mvideo weights list` tells the sources"
        )
    load_strict(model, state, weights)
    return model, name, file_sha256(weights)


def load_strict(model: "torch.nn.Module", state: dict[str, "torch.Tensor"], where: Path) -> None:
    """Copies a state dict that must fit exactly; half precision is widened to fp32.

    Raises:
        ModelError: missing or unexpected names, or shapes that differ.
    """
    try:
        model.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    except RuntimeError as error:
        head = " ".join(str(error).split())[:600]
        raise ModelError(f"{where}: the weights do not fit the architecture: {head}") from None


def read_config(path: Path) -> dict[str, Any]:
    """The two keys of a model folder's `config.json`, checked.

    Raises:
        ModelError: missing, not JSON, or not of the format "sam2".
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: a SAM2 model folder needs a readable config.json: {error}") from None
    if not isinstance(config, dict) or config.get("format") != "sam2" or not isinstance(config.get("overrides"), dict):
        raise ModelError(f'{path}: {{"format": "sam2", "base": ..., "overrides": {{...}}}} wanted')
    return {"base": config.get("base", ""), "overrides": config["overrides"]}


def read_safetensors(path: Path) -> dict[str, "torch.Tensor"]:
    """Tensors of a safetensors file, on the CPU.

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
    """The "model" entry of an original `.pt` checkpoint; only tensors are unpickled.

    Raises:
        ModelError: not such a file.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except RAISED_BY_LOADERS as error:
        raise ModelError(f"{path}: cannot be read as a checkpoint of tensors: {plain_words(error)}") from None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise ModelError(f'{path}: a checkpoint with an entry "model" is wanted')
    return state


def _refuse_targets(values: dict[str, Any], where: str) -> None:
    """Keys such as `_target_` would let a config file name code to run."""
    for key, value in values.items():
        if str(key).startswith("_"):
            raise ModelError(f"{where}.{key}: keys that begin with '_' are not allowed in an architecture")
        if isinstance(value, dict):
            _refuse_targets(value, f"{where}.{key}")
