"""Loads a CogVideoX: from a diffusers pipeline folder, from the weights catalog, or with random weights.

The option `weights` selects it: a catalog name (`cogvideox-2b`, `mini`), a folder of a diffusers CogVideoX pipeline, or
`random:<size>` for random weights at one of the sizes of docs/results/mini_base.md#architecture (for tests, dry runs
and benchmarks: no file is read).
"""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mvideo_core.base.cpu_kernels import half_precision_advice
from mvideo_core.base.devices import default_device
from mvideo_core.base.disk import disk_errors, obey_umask, write_whole
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import Options, digest
from mvideo_core.cogvideox.fingerprint import folder_sha256
from mvideo_core.cogvideox.folder_check import check_model
from mvideo_core.cogvideox.mini_tokenizer import mini_tokenizer, vocabulary
from mvideo_core.cogvideox.sizes import ModelSize, size_of
from mvideo_core.cogvideox.video_format import VideoFormat, spatial_stride
from mvideo_core.cogvideox.weights_digest import base_sha256, conditioning_config
from mvideo_core.weights import find
from mvideo_core.weights.reading import bars_on_terminals_only, explain_failures
from mvideo_core.weights.tensors import all_zero, list_stored, weight_files

if TYPE_CHECKING:
    import torch

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

log = logging.getLogger(__name__)
Part = Literal["vae", "text_encoder", "transformer"]
PARTS: tuple[Part, ...] = ("vae", "text_encoder", "transformer")
FORMAT_FILE = "mvideo_format.json"
MASK_WEIGHT = "mask_proj.weight"
RANDOM = "random:"


class BaseOptions(Options):
    """Which CogVideoX, and in which precision."""

    weights: str = Field(
        default="mini", description="catalog name, folder of a diffusers CogVideoX pipeline, or random:<size>"
    )
    dtype: Literal["bf16", "fp16", "fp32"] = Field(
        default="bf16", description="dtype of weights and activations; fp32 for the mini models on a CPU"
    )


@dataclass
class Base:
    """The parts of one CogVideoX; parts that were not requested are None.

    Attributes:
        format: clip sizes that the model is made for.
        weights_sha256: fingerprint of all parts' files (of name and seed for random weights).
        name: the value of `weights`.
        part_sha256: fingerprint per part; latents depend only on "vae" and "text_encoder".
    """

    vae: Any
    text_encoder: Any
    tokenizer: Any
    transformer: "MVideoTransformer3DModel | None"
    scheduler: Any
    format: VideoFormat
    weights_sha256: str
    name: str
    part_sha256: dict[str, str] = field(default_factory=dict)


def weights_identity(options: BaseOptions) -> str:
    """SHA-256 (hex) of everything in the base that training depends on: `base_sha256`, and MVideo's own configuration.

    The same weights have the same digest under any name or path.

    Raises:
        ModelError: weights missing or unreadable. ConfigError: no such name.
    """
    if options.weights.startswith(RANDOM):
        size = options.weights.removeprefix(RANDOM)
        size_of(size)
        return _random_sha256(size, 0, "transformer")
    folder = find(options.weights, kind="generator")
    _check_folder(folder, ("transformer",))
    return digest({"base": base_sha256(folder), "conditioning": conditioning_config(folder)})


def transformer_config(options: BaseOptions) -> dict[str, Any]:
    """Configuration of the base's transformer; nothing is loaded.

    Raises:
        ModelError: weights missing. ConfigError: no such name.
    """
    if options.weights.startswith(RANDOM):
        return dict(size_of(options.weights.removeprefix(RANDOM)).transformer)
    folder = find(options.weights, kind="generator")
    _check_folder(folder, ())
    return read_json(folder / "transformer" / "config.json")


def has_mask_weights(options: BaseOptions) -> bool:
    """Whether the base itself was saved with nonzero mask weights; false for a plain CogVideoX and random weights.

    Raises:
        ModelError: weights missing or unreadable. ConfigError: no such name.
    """
    if options.weights.startswith(RANDOM):
        return False
    folder = find(options.weights, kind="generator") / "transformer"
    with explain_failures(folder):
        held = list_stored(weight_files(folder, "diffusion_pytorch_model"))
    return MASK_WEIGHT in held and not all_zero(held[MASK_WEIGHT])


def torch_dtype(name: str) -> "torch.dtype":
    """torch's dtype for "bf16", "fp16" or "fp32"."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[name]


def load_base(options: BaseOptions, parts: Collection[str] = PARTS) -> Base:
    """The model that `options` names, in evaluation mode on CPU.

    Args:
        parts: which of "vae", "text_encoder" (with tokenizer), "transformer" to load.

    Raises:
        ModelError: weights missing (the message says which file, where to get it and where to put it), not a CogVideoX,
            or `folder_check` finds damage.
        ConfigError: no such name, or an unknown part.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise ConfigError(f"load_base: parts {unknown}; known: {', '.join(PARTS)}")
    if "vae" in parts:
        _advise(options.dtype)
    if options.weights.startswith(RANDOM):
        return _cast(random_base(options.weights.removeprefix(RANDOM), parts=parts), options.dtype)
    folder = find(options.weights, kind="generator")
    _check_folder(folder, parts)
    check_model(folder, parts, options.weights)
    return _from_folder(folder, options, parts)


def _advise(dtype: str) -> None:
    if default_device() == "cpu" and (advice := half_precision_advice(dtype)):
        log.warning("%s", advice)


def random_base(size: str = "tiny-sincos", seed: int = 0, parts: Collection[str] = PARTS) -> Base:
    """The real classes at that size with random fp32 weights, the same for the same seed; no file is read.

    Raises:
        ConfigError: no such size.
    """
    import torch
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler

    from mvideo_core.cogvideox.cpu_convolutions import use_onednn
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    plan = size_of(size)
    vae = text_encoder = transformer = None
    with torch.random.fork_rng(devices=[]):
        if "vae" in parts:
            torch.manual_seed(seed)
            vae = AutoencoderKLCogVideoX(**plan.vae).eval()
            use_onednn(vae)
        if "text_encoder" in parts:
            torch.manual_seed(seed + 1)
            text_encoder = _random_text_encoder(plan)
        if "transformer" in parts:
            torch.manual_seed(seed + 2)
            transformer = MVideoTransformer3DModel(**plan.transformer).eval()
    fingerprints: dict[str, str] = {part: _random_sha256(size, seed, part) for part in PARTS}
    return Base(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=mini_tokenizer(plan.text_tokens) if "text_encoder" in parts else None,
        transformer=transformer,
        scheduler=CogVideoXDDIMScheduler(**plan.scheduler),
        format=plan.format,
        weights_sha256=digest(fingerprints),
        name=f"{RANDOM}{size}",
        part_sha256=fingerprints,
    )


def save_base(base: Base, folder: str | Path) -> None:
    """Write a complete base as a plain diffusers CogVideoX pipeline folder, plus `mvideo_format.json`.

    Raises:
        ConfigError: a part is missing, or the transformer has adapters or trained conditioning, which a plain CogVideoX
            cannot hold (`MVideoPipeline.save_pretrained` and `save_adapter` can).
    """
    from diffusers import CogVideoXPipeline

    from mvideo_core.cogvideox.fun_control import plain

    absent = [part for part in PARTS if getattr(base, part) is None]
    if absent or base.transformer is None:
        raise ConfigError(f"save_base: {', '.join(absent)} not loaded; load every part first")
    pipeline = CogVideoXPipeline(
        tokenizer=base.tokenizer,
        text_encoder=base.text_encoder,
        vae=base.vae,
        transformer=plain(base.transformer),
        scheduler=base.scheduler,
    )
    with disk_errors(str(folder)), bars_on_terminals_only():
        pipeline.save_pretrained(folder)
    obey_umask(folder)
    for config in sorted(Path(folder).glob("*/config.json")):
        _drop_origin(config)
    text = json.dumps(base.format.model_dump(mode="json"), indent=2, sort_keys=True)
    write_whole(Path(folder) / FORMAT_FILE, text + "\n")


def _drop_origin(path: Path) -> None:
    """Remove the path that a part was loaded from: a folder of this machine means nothing elsewhere."""
    config = read_json(path)
    if config.pop("_name_or_path", None) is not None:
        write_whole(path, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _random_sha256(size: str, seed: int, part: str) -> str:
    return digest({"random": size, "seed": seed, "part": part})


def _random_text_encoder(plan: ModelSize) -> Any:
    from transformers import T5Config, T5EncoderModel

    small = "vocab_size" not in plan.text_encoder
    config = plan.text_encoder | ({"vocab_size": len(vocabulary())} if small else {})
    return T5EncoderModel(T5Config(**config)).eval()


def _from_folder(folder: Path, options: BaseOptions, parts: Collection[str]) -> Base:
    import diffusers
    from diffusers import AutoencoderKLCogVideoX
    from transformers import AutoTokenizer, T5EncoderModel

    from mvideo_core.cogvideox.cpu_convolutions import use_onednn
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    dtype = torch_dtype(options.dtype)
    vae = text_encoder = tokenizer = transformer = None
    files: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
    if "vae" in parts:
        with explain_failures(folder / "vae"):
            vae = AutoencoderKLCogVideoX.from_pretrained(folder / "vae", torch_dtype=dtype, **files).eval()
        use_onednn(vae)
    if "text_encoder" in parts:
        with explain_failures(folder / "text_encoder"):
            text_encoder = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype, **files).eval()
        with explain_failures(folder / "tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    if "transformer" in parts:
        with explain_failures(folder / "transformer"):
            transformer = MVideoTransformer3DModel.from_pretrained(
                folder / "transformer", torch_dtype=dtype, **files
            ).eval()
        transformer.base_folder = str(folder)
    with explain_failures(folder / "scheduler"):
        settings = read_json(folder / "scheduler" / "scheduler_config.json")
        scheduler = getattr(diffusers, settings["_class_name"]).from_pretrained(folder, subfolder="scheduler")
    fingerprints: dict[str, str] = {
        part: folder_sha256(folder, _folders_of(part)) for part in PARTS if (folder / part).is_dir()
    }
    return Base(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        transformer=transformer,
        scheduler=scheduler,
        format=read_format(folder),
        weights_sha256=digest(fingerprints),
        name=options.weights,
        part_sha256=fingerprints,
    )


def read_format(folder: Path) -> VideoFormat:
    """The clip sizes for a pipeline folder: from `mvideo_format.json`, else `format_of` its transformer."""
    if (folder / FORMAT_FILE).is_file():
        return VideoFormat.parse(read_json(folder / FORMAT_FILE), where=str(folder / FORMAT_FILE))
    config, vae = folder / "transformer" / "config.json", folder / "vae" / "config.json"
    stride_px = spatial_stride(read_json(vae) if vae.is_file() else {})
    return format_of(read_json(config), stride_px, str(config))


def format_of(config: Mapping[str, Any], stride_px: int, where: str = "transformer") -> VideoFormat:
    """Clip sizes of a CogVideoX without its own format: its training size, 33 frames at 8 fps (the paper's 4 s).

    The motion condition is CogVideoX's low-resolution stage: 480 / 1.875 = 256 high.

    Args:
        config: of the transformer.
        stride_px: pixels per latent cell (`spatial_stride` of the VAE's config).
    """
    height, width = config["sample_height"] * stride_px, config["sample_width"] * stride_px
    scale = config.get("spatial_interpolation_scale", 1.875)
    values = {"height_px": height, "width_px": width}
    values |= {"motion_height_px": round(height / scale / 16) * 16, "motion_width_px": round(width / scale / 16) * 16}
    return VideoFormat.parse(values, where=where)


def _folders_of(part: str) -> tuple[str, ...]:
    return ("text_encoder", "tokenizer") if part == "text_encoder" else (part,)


def _check_folder(folder: Path, parts: Collection[str]) -> None:
    needed = ["model_index.json", "scheduler/scheduler_config.json", "transformer/config.json"]
    for part in parts:
        needed += [f"{name}/" for name in _folders_of(part)]
    for name in needed:
        if not (folder / name).exists():
            raise ModelError(
                f"weights: {folder / name} is missing; expected a diffusers CogVideoX pipeline folder "
                "(model_index.json, scheduler/, text_encoder/, tokenizer/, transformer/, vae/), such as a copy of "
                "https://huggingface.co/THUDM/CogVideoX-2b"
            )


def _cast(base: Base, dtype: str) -> Base:
    from torch import nn

    for part in PARTS:
        if (module := getattr(base, part)) is not None:
            nn.Module.to(module, torch_dtype(dtype))  # diffusers' own `to` warns of an empty list of fp32 modules
    return base


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder. Raises ModelError: missing, or not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error}); copy the model folder again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path}: expected a JSON object; copy the model folder again")
    return value
