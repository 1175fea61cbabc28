"""The LoRA layers of the transformer, and the adapter files that a training run writes.

An adapter is a folder with

* `pytorch_lora_weights.safetensors`: the LoRA in diffusers' format, with alpha in its metadata (without it, readers
  assume alpha = rank);
* `mvideo_conditioning.safetensors`: mask convolution and segment offsets, in a separate file because diffusers rejects
  a LoRA file with other keys in it;
* `mvideo_config.json`: clip sizes, conditioning options, LoRA settings, and digests of the base and of the other files.

An adapter with another architecture or other conditioning options is refused; the message names the field that differs.
An adapter for other base weights of the same shape is refused, too, unless `--allow-other-base` (`allow_other_base`)
makes it a warning. Fused adapters cannot be saved or exported: they would be applied twice.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mvideo_core.base.disk import write_tensors, write_whole
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import Options
from mvideo_core.cogvideox.adapter_files import (
    ADAPTER_NAME,
    BASE_CONFIG,
    CONDITIONING_FILE,
    CONFIG_FILE,
    LORA_FILE,
    PREFIX,
    AdapterFiles,
    check_adapter,
    check_configuration,
    read_config,
    require_file,
    tensors_digest,
)
from mvideo_core.cogvideox.adapter_header import CONTENT_KEYS, about_of, conditioning_header, lora_header, read_header
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.cogvideox.weights_digest import CONDITIONING_CONFIG, base_sha256, encoder_digests
from mvideo_core.weights.reading import explain_failures

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

log = logging.getLogger(__name__)
BASE_PARTS = {"sha256": "base weights", "vae": "VAE weights", "text_encoder": "text encoder weights"}
"""Digests in an adapter's configuration of the base that it was trained with."""
CONDITIONING = ("mask_proj", "segment_embed")


class LoraOptions(Options):
    """Low-rank adapters on the frozen transformer; defaults as in CogVideoX's own fine-tuning."""

    rank: int = Field(
        default=128, ge=1, description="rank of each adapter; a higher rank has more capacity and larger files"
    )
    alpha: int = Field(default=64, ge=1, description="adapters are scaled by alpha / rank")
    target_modules: tuple[str, ...] = Field(
        default=("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="linear layers, by the end of their name; each must match a layer",
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="fraction of the adapters' inputs dropped in training")


def add_lora(transformer: "MVideoTransformer3DModel", options: LoraOptions) -> None:
    """Freeze the model, add adapters, and make adapters and conditioning trainable in fp32 (train under autocast).

    Raises:
        ConfigError: a target matches no linear layer, or the model already has adapters.
    """
    from peft import LoraConfig

    if getattr(transformer, "peft_config", None):
        raise ConfigError(f"lora: adapters {sorted(transformer.peft_config)} are already attached; load the base again")
    _check_targets(transformer, options.target_modules)
    transformer.requires_grad_(False)
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        target_modules=list(options.target_modules),
        lora_dropout=options.dropout,
    )
    with warnings.catch_warnings():
        # Adapters on quantized layers cannot be fused; nothing here fuses them in training.
        warnings.filterwarnings("ignore", message="TorchaoLoraLinear was instantiated")
        transformer.add_adapter(config, adapter_name=ADAPTER_NAME)
    _open(transformer)


def list_trainable(transformer: "nn.Module") -> "dict[str, nn.Parameter]":
    """Name and parameter of everything that gets gradients: adapters and conditioning after `add_lora`."""
    return {name: parameter for name, parameter in transformer.named_parameters() if parameter.requires_grad}


def save_adapter(
    folder: str | Path,
    transformer: "MVideoTransformer3DModel",
    format: VideoFormat,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write the three files; the folder is created if missing.

    Args:
        folder: destination; files with the same names are replaced.
        transformer: with one adapter, from `add_lora` or `load_adapter`.
        format: sizes the model was trained at; readers check theirs against it.
        about: keys of `adapter_header` for the files' headers; None: those of the loaded files.

    Raises:
        ConfigError: no adapter, or several. StoreError: disk error.
    """
    from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
    from peft.utils import get_peft_model_state_dict

    name = _only_adapter(transformer)
    lora = transformer.peft_config[name]
    folder = Path(folder)
    record: dict[str, Any] = {
        "format": format.model_dump(mode="json"),
        "conditioning": {field: transformer.config[field] for field in CONDITIONING_CONFIG},
        "base": {field: transformer.config[field] for field in BASE_CONFIG}
        | {"sha256": base_digest(transformer)}
        | encoders_of(transformer),
        "lora": {"rank": lora.r, "alpha": lora.lora_alpha, "target_modules": sorted(lora.target_modules)},
    }
    # Sets are ordered differently in every process; the same adapter must give the same bytes.
    settings = {
        PREFIX + key: sorted(value) if isinstance(value, set) else value for key, value in lora.to_dict().items()
    }
    about = transformer.adapter_about or {} if about is None else about
    header = lora_header(record, about, lora.lora_dropout) | {
        "format": "pt",
        LORA_ADAPTER_METADATA_KEY: json.dumps(settings, indent=2, sort_keys=True),
    }
    layers = get_peft_model_state_dict(transformer, adapter_name=name)
    write_tensors(folder / LORA_FILE, {PREFIX + key: value for key, value in layers.items()}, header, CONTENT_KEYS)
    header = conditioning_header(record, about)
    write_tensors(folder / CONDITIONING_FILE, conditioning_state(transformer), header, CONTENT_KEYS)
    record["files"] = {name: tensors_digest(folder / name) for name in (LORA_FILE, CONDITIONING_FILE)}
    write_whole(folder / CONFIG_FILE, json.dumps(record, indent=2, sort_keys=True) + "\n")


def load_adapter(
    transformer: "MVideoTransformer3DModel",
    folder: str | Path,
    train: bool = False,
    allow_other_base: bool = False,
) -> VideoFormat:
    """Load what `save_adapter` wrote into a model without adapters.

    Args:
        transformer: base model, same architecture as the trained one.
        folder: written by `save_adapter`.
        train: make adapters and conditioning trainable; otherwise everything is frozen.
        allow_other_base: only warn if the base weights are not those it was trained on.

    Returns:
        The format that the adapter was trained at.

    Raises:
        ModelError: a file is missing or does not match, or was trained with other base weights.
        ConfigError: the model already has adapters, or a different configuration than the trained one.
    """
    from diffusers.loaders import CogVideoXLoraLoaderMixin

    folder = Path(folder)
    if getattr(transformer, "peft_config", None):
        raise ConfigError(f"lora: adapters {sorted(transformer.peft_config)} are already attached; load the base again")
    for name in (LORA_FILE, CONDITIONING_FILE, CONFIG_FILE):
        require_file(folder, name)
    check_adapter(AdapterFiles(folder / LORA_FILE, ours=True), transformer.config)
    format = load_conditioning(transformer, folder, allow_other_base)
    with explain_failures(folder / LORA_FILE):
        state, metadata = CogVideoXLoraLoaderMixin.lora_state_dict(
            str(folder), weight_name=LORA_FILE, return_lora_metadata=True, local_files_only=True, use_safetensors=True
        )
        CogVideoXLoraLoaderMixin.load_lora_into_transformer(
            state, transformer, adapter_name=ADAPTER_NAME, metadata=metadata
        )
    transformer.requires_grad_(False)
    if train:
        _open(transformer)
    return format


def load_conditioning(
    transformer: "MVideoTransformer3DModel",
    folder: str | Path,
    allow_other_base: bool = False,
    flag: str = "--allow-other-base",
) -> VideoFormat:
    """Load mask convolution and segment offsets, checked against the model; returns the training format.

    Args:
        allow_other_base: only warn if the base weights are not those it was trained on.
        flag: the flag that allows it, for the message.

    Raises:
        ModelError: a file is missing, its tensors are not this model's, or the base weights differ.
        ConfigError: trained with a different configuration.
    """
    import torch
    from safetensors.torch import load_file

    record = read_config(folder)
    check_configuration(Path(folder) / CONFIG_FILE, record, transformer.config)
    then, now = record["base"], {"sha256": base_digest(transformer)} | encoders_of(transformer)
    for key, part in BASE_PARTS.items():
        _check_base(Path(folder), str(then.get(key, "")), now.get(key, ""), part, flag, allow_other_base)
    with explain_failures(Path(folder) / CONDITIONING_FILE):
        state = load_file(require_file(Path(folder), CONDITIONING_FILE))
    own = conditioning_state(transformer)
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in own.items()}:
        seen = {name: tuple(value.shape) for name, value in state.items()}
        raise ModelError(
            f"{Path(folder) / CONDITIONING_FILE}: {seen}; { ({n: tuple(v.shape) for n, v in own.items()}) } expected"
        )
    parameters = dict(transformer.named_parameters())
    with torch.no_grad():
        for name, value in state.items():
            parameters[name].copy_(value)
    transformer.adapter_about = about_of(read_header(require_file(Path(folder), LORA_FILE)))
    return VideoFormat.parse(record["format"], where=str(Path(folder) / CONFIG_FILE))


def base_digest(transformer: "MVideoTransformer3DModel") -> str:
    """Digest of the model's base weights; "" if their origin is unknown."""
    if not transformer.base_sha256 and transformer.base_folder:
        transformer.base_sha256 = base_sha256(Path(transformer.base_folder))
    return transformer.base_sha256


def encoders_of(transformer: "MVideoTransformer3DModel") -> dict[str, str]:
    """Digests of the VAE and text encoder in the folder that the model came from; {} if unknown."""
    if transformer.encoder_sha256 is None:
        transformer.encoder_sha256 = encoder_digests(Path(transformer.base_folder)) if transformer.base_folder else {}
    return dict(transformer.encoder_sha256)


def _check_base(folder: Path, then: str, now: str, part: str, flag: str, allowed: bool) -> None:
    """Compare digests of base weights; an adapter of an earlier version, or a base of unknown origin, has none."""
    if not then or not now or then == now:
        return
    problem = f"{folder / CONFIG_FILE}: trained with different {part} (sha256 {then[:12]}; loaded: {now[:12]})"
    if not allowed:
        raise ModelError(f"{problem}; load the base that the adapter was trained on, or pass {flag} to use it anyway")
    log.warning("%s; used anyway, as allowed", problem)


def conditioning_state(transformer: "MVideoTransformer3DModel") -> "dict[str, Any]":
    """Tensors of mask convolution and segment offsets, by parameter name, on CPU."""
    named = transformer.named_parameters()
    return {name: p.detach().cpu().contiguous() for name, p in named if name.split(".")[0] in CONDITIONING}


def check_not_fused(transformer: "nn.Module") -> None:
    """Reject adapters that are already fused into the base weights: they would count twice.

    Raises:
        ConfigError: an adapter is fused.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    if any(isinstance(module, BaseTunerLayer) and module.merged for module in transformer.modules()):
        raise ConfigError("lora: adapters are fused into the base weights; call unfuse_lora() first")


def without_adapters(transformer: "MVideoTransformer3DModel") -> "MVideoTransformer3DModel":
    """The same model without its adapters: base and conditioning, sharing their tensors; the argument is unchanged.

    Raises:
        ConfigError: the adapters are fused.
    """
    import torch

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    check_not_fused(transformer)
    known = {name: value for name, value in transformer.config.items() if not name.startswith("_")}
    with torch.device("meta"):
        model = MVideoTransformer3DModel(**known)
    state = {
        name.replace(".base_layer.", "."): value
        for name, value in transformer.state_dict().items()
        if ".lora_" not in name
    }
    model.load_state_dict(state, strict=True, assign=True)
    model.fill_missing()
    model.base_folder, model.base_sha256 = transformer.base_folder, transformer.base_sha256
    model.encoder_sha256 = transformer.encoder_sha256
    return model.train(transformer.training)


def _open(transformer: "MVideoTransformer3DModel") -> None:
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, parameter in transformer.named_parameters():
        if "lora_" in name or name.split(".")[0] in CONDITIONING:
            parameter.data = parameter.data.to(torch.float32)
            parameter.requires_grad_(True)
    adapted: list[Any] = [module for module in transformer.modules() if isinstance(module, BaseTunerLayer)]
    for layer in adapted:
        layer._cast_input_dtype = _cast_outside_autocast


def _cast_outside_autocast(tokens: "torch.Tensor", dtype: "torch.dtype") -> "torch.Tensor":
    """peft casts to the adapter's fp32, autocast casts back, and the backward pass keeps that second copy."""
    import torch

    device = tokens.device.type
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return tokens if on else tokens.to(dtype)


def _check_targets(transformer: "MVideoTransformer3DModel", targets: tuple[str, ...]) -> None:
    from torch import nn

    linears = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in linears):
            ends = sorted({_drop_block_name(name) for name in linears if name.startswith("transformer_blocks.")})
            raise ConfigError(
                f"lora: target_modules: {target!r} matches no linear layer; the blocks have: {', '.join(ends)}"
            )


def _drop_block_name(name: str) -> str:
    return ".".join(name.split(".")[2:])


def _only_adapter(transformer: "MVideoTransformer3DModel") -> str:
    names = sorted(getattr(transformer, "peft_config", {}))
    if len(names) != 1:
        raise ConfigError(
            f"save_adapter: the model has {len(names)} adapters {names}; exactly one expected (`add_lora`)"
        )
    return names[0]
