"""A run can start from one of this project's adapters, or from a plain CogVideoX LoRA. With a plain LoRA, the
conditioning starts at zero.

The adapter's rank, alpha and targets must match the options, so that the first step computes the same as the adapter.
The optimizer starts fresh. When the run resumes, another adapter is refused without `--allow init_adapter`.
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import digest
from mvideo_core.cogvideox.adapter import LoraOptions
from mvideo_core.cogvideox.adapter_files import CONDITIONING_FILE, PREFIX, find_adapter, parameter_name
from mvideo_core.cogvideox.weights_digest import file_tensors
from mvideo_core.weights.reading import explain_failures

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

log = logging.getLogger(__name__)
INIT = "init_adapter"
OTHER_BASE = "init_adapter.base"
"""Name that makes --allow accept an adapter trained with other base weights."""


def adapter_identity(given: str) -> str:
    """Digest of the adapter's tensors; "" without one.

    Raises:
        ConfigError: no such folder or file. ModelError: it has no adapter, or cannot be read.
    """
    if not given:
        return ""
    files = find_adapter(given, INIT)
    lora, folder = files.lora, files.folder if files.ours else None
    tensors: dict[str, Any] = {"lora": file_tensors(lora)}
    if folder:
        tensors["conditioning"] = file_tensors(folder / CONDITIONING_FILE)
    return f"sha256:{digest(tensors)}"


def load_init_adapter(
    transformer: "MVideoTransformer3DModel", given: str, options: LoraOptions, allow_other_base: bool = False
) -> None:
    """Load an adapter's values into a model that `add_lora` has prepared for training.

    Args:
        given: folder of an adapter or of a checkpoint, or a .safetensors file of a plain LoRA.
        options: rank, alpha and targets of this run.
        allow_other_base: only warn if our adapter was trained with other base weights.

    Raises:
        ConfigError: a different rank, alpha or set of targets; the message has the matching setting.
        ModelError: files missing, tensors that are not this model's, or not finite.
    """
    import torch
    from safetensors.torch import load_file

    from mvideo_core.cogvideox.adapter import load_conditioning
    from mvideo_core.training.diagnosis import first_not_finite

    files = find_adapter(given, INIT)
    lora, folder = files.lora, files.folder if files.ours else None
    if folder:
        load_conditioning(transformer, folder, allow_other_base, f"--allow {OTHER_BASE}")
    with explain_failures(lora):
        values = {parameter_name(name): value for name, value in load_file(lora).items()}
    parameters = {name: p for name, p in transformer.named_parameters() if ".lora_" in name}
    _check_alpha(lora, values, options)
    _check_rank(lora, values, options)
    _check_names(lora, values, parameters, options)
    for name, value in values.items():
        if value.shape != parameters[name].shape:
            seen, wanted = tuple(value.shape), tuple(parameters[name].shape)
            raise ModelError(f"{lora}: {name} has shape {seen}, the model's is {wanted}; it belongs to another model")
    bad = first_not_finite(iter(values.items()))
    if bad:
        raise ModelError(f"{lora}: {bad} is not finite; use another adapter")
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value)
    kind = "with its conditioning" if folder else "a plain LoRA: masks and history start at zero"
    log.info("starting from %s, %s", lora, kind)


def _check_alpha(lora: Path, values: "dict[str, torch.Tensor]", options: LoraOptions) -> None:
    from safetensors import safe_open

    with explain_failures(lora), safe_open(lora, "pt") as file:
        noted = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
    ranks = {value.shape[0] for name, value in values.items() if ".lora_A." in name}
    rank = ranks.pop() if len(ranks) == 1 else options.rank
    alpha = noted.get(f"{PREFIX}lora_alpha", rank)
    if alpha * options.rank != options.alpha * rank:
        note = "" if f"{PREFIX}lora_alpha" in noted else " (not in the file, so it equals the rank, as in diffusers)"
        raise ConfigError(
            f"init_adapter: {lora}: alpha {alpha} over rank {rank}{note}, the options have lora.alpha {options.alpha} "
            f"over lora.rank {options.rank}; use `--set lora.rank={rank} --set lora.alpha={alpha}`"
        )


def _check_rank(lora: Path, values: "dict[str, torch.Tensor]", options: LoraOptions) -> None:
    ranks = sorted({value.shape[0] for name, value in values.items() if ".lora_A." in name})
    if ranks and ranks != [options.rank]:
        fit = f"use `--set lora.rank={ranks[0]}`" if len(ranks) == 1 else "one rank for all layers is supported"
        raise ConfigError(f"init_adapter: {lora}: rank {_list(ranks)}, lora.rank is {options.rank}; {fit}")


def _check_names(
    lora: Path, values: "dict[str, torch.Tensor]", parameters: dict[str, Any], options: LoraOptions
) -> None:
    absent, odd = sorted(parameters.keys() - values.keys()), sorted(values.keys() - parameters.keys())
    if not absent and not odd:
        return
    seen, wanted = _targets(values), _targets(parameters)
    if seen and seen != wanted:
        raise ConfigError(
            f"init_adapter: {lora}: its targets are {_list(seen)}; lora.target_modules gives {_list(wanted)}; use "
            f"`--set lora.target_modules=[{','.join(seen)}]`"
        )
    parts = [f"{len(absent)} tensors missing, e.g. {absent[0]}"] if absent else []
    parts += [f"{len(odd)} belong to no layer here, e.g. {odd[0]}"] if odd else []
    raise ModelError(f"init_adapter: {lora}: {'; '.join(parts)}; it is incomplete or belongs to another model")


def _targets(names: Any) -> list[str]:
    """Last parts of the layers' names below the block, such as "attn1.to_q"."""
    return sorted({".".join(name.split(".lora_")[0].split(".")[2:]) for name in names if ".lora_" in name})


def _list(values: list[Any]) -> str:
    return ", ".join(map(str, values)) or "none"
