"""How other programs look for the layers of a LoRA file, and at what strength they add it: their documented search.

Each reader takes the tensors of a file by name and a model with diffusers' layer names, and gives what it adds to the
weight of each layer it finds. Read from the public sources of VideoX-Fun (`merge_lora`), ComfyUI-CogVideoXWrapper
(`merge_lora`; files with `lora_B` go to diffusers), ComfyUI (`model_lora_keys_unet` and its LoRA adapter; it has no
CogVideoX of its own, so the names are looked up in diffusers' model) and kohya's sd-scripts
(`create_network_from_weights`).
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

Added = dict[str, Tensor]
"""Layer's name in the model -> what is added to its weight."""


def product(pieces: dict[str, Tensor]) -> Tensor:
    """up x down, times alpha / rank; without an alpha, times 1."""
    up, down = pieces["up"], pieces["down"]
    scale = pieces["alpha"].item() / down.shape[0] if "alpha" in pieces else 1.0
    return scale * (up @ down)


def walked(model: nn.Module, words: list[str], whole_rest: bool) -> str:
    """Name of the layer that underscored words lead to; "" when they lead nowhere.

    Words are joined until a child has that name.

    Args:
        whole_rest: at each level, all words that are left are tried as one name first.
    """
    here, place, name, left = model, [], words[0], list(words[1:])
    while True:
        children = dict(here.named_children())
        rest = "_".join([name, *left])
        if whole_rest and rest in children:
            return ".".join([*place, rest])
        if name in children:
            here, place = children[name], [*place, name]
            if not left:
                return ".".join(place)
            name = left.pop(0)
        elif left:
            name = f"{name}_{left.pop(0)}" if name else left.pop(0)
        else:
            return ""


def videox_fun(tensors: dict[str, Tensor], model: nn.Module) -> Added:
    """Any of four spellings; every dot becomes an underscore, and "lora_unet__" comes first where it is absent."""
    endings = {
        "_lora_up_weight": "up", "_lora_down_weight": "down", "_lora_B_weight": "up", "_lora_A_weight": "down",
        "_lora_B_default_weight": "up", "_lora_A_default_weight": "down", "_alpha": "alpha",
    }  # fmt: skip
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        flat = key.replace("diffusion_model.", "")
        flat = (flat if "lora_unet__" in flat else f"lora_unet__{flat}").replace(".", "_")
        ending = next(one for one in endings if flat.endswith(one))
        layers[flat.removesuffix(ending)][endings[ending]] = value
    found = {walked(model, layer.split("lora_unet_")[-1].split("_"), True): one for layer, one in layers.items()}
    return {layer: product(pieces) for layer, pieces in found.items() if layer}


def comfyui_wrapper(tensors: dict[str, Tensor], model: nn.Module) -> Added:
    """Split at the first dot. A file with `lora_B` in it never gets here."""
    assert not any("lora_B" in key for key in tensors), "goes to diffusers"
    names = {"lora_up.weight": "up", "lora_down.weight": "down", "alpha": "alpha"}
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        layer, _, piece = key.partition(".")
        layers[layer][names[piece]] = value
    found = {walked(model, layer.split("lora_unet_")[-1].split("_"), False): one for layer, one in layers.items()}
    return {layer: product(pieces) for layer, pieces in found.items() if layer}


def comfyui(tensors: dict[str, Tensor], model: nn.Module) -> Added:
    """The generic map: lora_unet_<layer with underscores>, or diffusion_model.<layer>."""
    added = {}
    for layer in linears(model):
        for key in (f"lora_unet_{layer.replace('.', '_')}", f"diffusion_model.{layer}"):
            for up, down in ((".lora_up.weight", ".lora_down.weight"), (".lora_B.weight", ".lora_A.weight")):
                if key + up in tensors:
                    pieces = {"up": tensors[key + up], "down": tensors[key + down]}
                    if f"{key}.alpha" in tensors:
                        pieces["alpha"] = tensors[f"{key}.alpha"]
                    added[layer] = product(pieces)
    return added


def kohya(tensors: dict[str, Tensor], model: nn.Module) -> Added:
    """Rank and alpha are collected by what stands before the first dot; the model's layers are named and looked up."""
    ranks = {key.split(".")[0]: value.shape[0] for key, value in tensors.items() if "lora_down" in key}
    alphas = {key.split(".")[0]: value for key, value in tensors.items() if "alpha" in key}
    added = {}
    for layer in linears(model):
        name = "lora_unet_" + layer.replace(".", "_")
        if name in ranks:
            up, down = tensors[f"{name}.lora_up.weight"], tensors[f"{name}.lora_down.weight"]
            added[layer] = float(alphas[name]) / ranks[name] * (up @ down)
    return added


def linears(model: nn.Module) -> Iterable[str]:
    """Names of the linear layers."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


Reader = Callable[[dict[str, Tensor], nn.Module], Added]
READERS: dict[str, tuple[str, Reader]] = {
    "VideoX-Fun": ("videox-fun", videox_fun),
    "ComfyUI-CogVideoXWrapper": ("comfyui", comfyui_wrapper),
    "ComfyUI": ("comfyui", comfyui),
    "kohya's sd-scripts": ("kohya", kohya),
}
"""Reader -> target of `mvideo adapter export`, and its search."""


def strength(added: Added, wanted: Added) -> float:
    """Factor between two sets of weights for the same layers, by least squares."""
    pairs = [(added[layer].flatten(), wanted[layer].flatten()) for layer in added]
    return float(sum(a @ b for a, b in pairs) / sum(b @ b for _, b in pairs))


def read(file: Path, reader: Reader, model: nn.Module) -> Added:
    """What a reader adds when it is given a file."""
    return reader(load_file(file), model)


def underscored(name: str) -> bool:
    """Whether a key is in kohya's form."""
    return re.fullmatch(r"lora_unet_+[a-z0-9_]+\.(lora_(up|down)\.weight|alpha)", name) is not None
