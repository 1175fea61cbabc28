"""Exports an adapter's LoRA as a file for other programs, with the tensor names that they expect and alpha as a tensor.

`mvideo adapter export --for` names the program:

| `--for` | Loaded by |
|---|---|
| `videox-fun` | VideoX-Fun: `lora_path` of its CogVideoX scripts and nodes |
| `comfyui` | the LoRA nodes of ComfyUI-CogVideoXWrapper; ComfyUI itself does not support CogVideoX |
| `kohya` | sd-scripts' LoRA tools, and programs that read their format; sd-scripts does not support CogVideoX either |

diffusers needs no export. All three read kohya's format: `<prefix><layer with underscores>.lora_down.weight`,
`.lora_up.weight`, `.alpha`, and scale by alpha / rank; training writes diffusers' format, with alpha only in the
header. None of these programs can use the mask convolution and the segment offsets, and none of them was run;
docs/results/accuracy.md#adapters-in-other-programs lists what each of them reads. DoRA, rsLoRA and an alpha per layer
are refused.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.base.disk import write_tensors
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.adapter_files import (
    A_ENDING,
    B_ENDING,
    CONDITIONING_FILE,
    CONFIG_FILE,
    PREFIX,
    AdapterFiles,
    check_companions,
    find_adapter,
    lora_settings,
    read_config,
)
from mvideo_core.cogvideox.adapter_header import CONTENT_KEYS, CardOptions, about_of, lora_header, read_header
from mvideo_core.weights.file_checks import content_problem
from mvideo_core.weights.reading import explain_failures
from mvideo_core.weights.tensors import first_not_finite, list_stored

if TYPE_CHECKING:
    import torch


class Target(NamedTuple):
    """A program that loads LoRA files.

    Attributes:
        title: its name.
        prefix: of the layer's name.
        loader: where the program takes the file.
    """

    title: str
    prefix: str
    loader: str


TARGETS = {
    "videox-fun": Target("VideoX-Fun", "lora_unet__", "lora_path of its CogVideoX scripts and nodes"),
    "comfyui": Target("ComfyUI", "lora_unet_", "LoRA nodes of ComfyUI-CogVideoXWrapper"),
    "kohya": Target("kohya's sd-scripts", "lora_unet_", "its networks and LoRA tools, and programs that read its form"),
}
NOT_EXPORTED = ("use_dora", "use_rslora", "alpha_pattern", "lora_bias")
"""Settings of peft that kohya's format cannot hold."""


class Exported(NamedTuple):
    """What was written.

    Attributes:
        layers: number of layers that the file adapts.
        left_out: what the target cannot load from the adapter, in one line; "" for a plain LoRA.
    """

    path: Path
    layers: int
    rank: int
    alpha: float
    left_out: str


def export_adapter(
    given: str | Path, target: str, out: str | Path, card: CardOptions = CardOptions(), overwrite: bool = False
) -> Exported:
    """Write the LoRA of an adapter for another program.

    Args:
        given: see `find_adapter`.
        target: a name of TARGETS.
        out: .safetensors file; its folders are created.
        card: overrides the adapter's own header.
        overwrite: replace `out` if it exists.

    Raises:
        ConfigError: no such adapter or target, or `out` exists or is not a .safetensors file.
        ModelError: the adapter is damaged, or has settings that the target's format cannot hold.
        StoreError: disk error.
    """
    if target not in TARGETS:
        raise ConfigError(f"adapter export: --for {target}: unknown; use one of: {', '.join(TARGETS)}")
    path = Path(out)
    if path.suffix != ".safetensors":
        raise ConfigError(f"adapter export: --out {path}: the name must end with .safetensors")
    if path.exists() and not overwrite:
        raise ConfigError(f"adapter export: --out {path} already exists; use another name, or --overwrite")
    files = find_adapter(given)
    record = _check_adapter(files)
    layers, alpha = _layers(files.lora)
    rank = max(pair[0].shape[0] for pair in layers.values())
    record |= {"lora": {"rank": rank, "alpha": alpha}}
    about = about_of(read_header(files.lora)) | card.keys()
    header = _header(record, about) | {"format": "pt", "ss_network_module": "networks.lora"}
    write_tensors(
        path, _kohya_form(layers, alpha, TARGETS[target].prefix), header, CONTENT_KEYS | {"sshs_model_hash": ""}
    )
    return Exported(path, len(layers), rank, alpha, _left_out(TARGETS[target]) if files.ours else "")


def _check_adapter(files: AdapterFiles) -> dict[str, Any]:
    """The configuration of an adapter with complete files; a plain LoRA has none."""
    paths = [files.lora, *([files.folder / CONDITIONING_FILE, files.folder / CONFIG_FILE] if files.ours else [])]
    for path in paths:
        if problem := content_problem(path):
            raise ModelError(f"adapter: {path}: {problem}; copy the adapter again")
    if bad := first_not_finite(list_stored([files.lora]), deep=True):
        raise ModelError(f"adapter: {files.lora}: {bad} has non-finite values (NaN or infinity)")
    if not files.ours:
        return {"base": {}, "format": None}
    record = read_config(files.folder)
    check_companions(files, record)
    return record


def _layers(lora: Path) -> "tuple[dict[str, tuple[torch.Tensor, torch.Tensor]], float]":
    """A and B of each layer, and alpha: from the header, else the rank, as in diffusers."""
    from safetensors.torch import load_file

    with explain_failures(lora):
        tensors = load_file(lora)
    names = {name.removesuffix(A_ENDING).removesuffix(B_ENDING) for name in tensors}
    odd = [name for name in sorted(tensors) if not re.fullmatch(r"transformer\..+\.lora_[AB]\.weight", name)]
    lone = [name for name in sorted(names) if not {name + A_ENDING, name + B_ENDING} <= set(tensors)]
    if odd or lone or not tensors:
        seen = (odd or lone or ["no tensor at all"])[0]
        raise ModelError(f"adapter: {lora}: {seen}; expected pairs of transformer...{A_ENDING} and ...{B_ENDING}")
    noted = {name.removeprefix(PREFIX): value for name, value in lora_settings(lora).items()}
    if strange := [name for name in NOT_EXPORTED if noted.get(name)]:
        raise ModelError(f"adapter: {lora}: {strange[0]} is {noted[strange[0]]!r}, which no target's format can hold")
    layers = {name.removeprefix(PREFIX): (tensors[name + A_ENDING], tensors[name + B_ENDING]) for name in sorted(names)}
    ranks = {first.shape[0] for first, _ in layers.values()}
    if "lora_alpha" not in noted and len(ranks) > 1:
        raise ModelError(f"adapter: {lora}: ranks {sorted(ranks)} and no alpha in its header; use another file")
    return layers, float(noted.get("lora_alpha", min(ranks)))


def _kohya_form(
    layers: "Mapping[str, tuple[torch.Tensor, torch.Tensor]]", alpha: float, prefix: str
) -> "dict[str, torch.Tensor]":
    import torch

    written: dict[str, torch.Tensor] = {}
    for layer, (down, up) in layers.items():
        name = prefix + layer.replace(".", "_")
        written |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        written[f"{name}.alpha"] = torch.tensor(alpha, dtype=torch.float32)
    return written


def _header(record: Mapping[str, Any], about: Mapping[str, str]) -> dict[str, str]:
    """The header for one of our LoRAs; for a plain one the sizes are unknown."""
    form = record["format"] or {"width_px": 0, "height_px": 0}
    header = lora_header({**record, "format": form}, about)
    header["ss_network_alpha"] = f"{record['lora']['alpha']:g}"
    drop = ["ss_network_dropout"]
    if not record["format"]:
        drop += ["modelspec.resolution", "ss_resolution", "modelspec.usage_hint"]
    return {key: value for key, value in header.items() if key not in drop}


def _left_out(target: Target) -> str:
    return (
        f"{CONDITIONING_FILE} is not included: {target.title} does not support mask_proj and segment_embed, so masks "
        "and the previous clip have no effect there; `mvideo generate` and MVideoPipeline read both"
    )
