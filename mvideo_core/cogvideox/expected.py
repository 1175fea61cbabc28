"""Names and shapes of the tensors for a configuration: the real classes, built without memory.

All blocks are alike, so one is built and extrapolated; a 42-layer model takes as long as a 1-layer one.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import canonical_json

Shapes = dict[str, tuple[int, ...]]
MOST_LAYERS = 1000


def compute_shapes(part: str, config: Mapping[str, Any]) -> Shapes:
    """Name -> shape of every tensor of a "transformer", "vae" or "text_encoder" with that configuration.

    Raises:
        ConfigError: not a configuration of CogVideoX. Other errors: those of the classes (use in `explain_failures`).
    """
    values = {name: value for name, value in config.items() if name[0] != "_"}  # "_": who wrote it, and its source
    return dict(_shapes(part, canonical_json(values)))


@lru_cache(maxsize=32)
def _shapes(part: str, config_json: str) -> Shapes:
    build: Callable[[dict[str, Any]], Shapes] = {
        "transformer": _transformer,
        "vae": _vae,
        "text_encoder": _text_encoder,
    }[part]
    return build(json.loads(config_json))


def _transformer(config: dict[str, Any]) -> Shapes:
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    layers = _layers(config, 30)
    return _repeat_block(
        _shapes_of(MVideoTransformer3DModel, config | {"num_layers": 1}), "transformer_blocks", 0, layers
    )


def _vae(config: dict[str, Any]) -> Shapes:
    from diffusers import AutoencoderKLCogVideoX

    return _shapes_of(AutoencoderKLCogVideoX, config)


def _text_encoder(config: dict[str, Any]) -> Shapes:
    """The embedding is one tensor under two names; only the first block has the position biases."""
    import torch
    from transformers import T5Config, T5EncoderModel

    layers = _layers(config, 6)
    with torch.device("meta"):
        model = T5EncoderModel(T5Config(**(config | {"num_layers": min(layers, 2)})))
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    shapes.pop("encoder.embed_tokens.weight")
    return _repeat_block(shapes, "encoder.block", 1, layers)


def _shapes_of(kind: Any, config: dict[str, Any]) -> Shapes:
    import torch

    known = set(inspect.signature(kind.__init__).parameters)
    with torch.device("meta"):
        model = kind(**{name: value for name, value in config.items() if name in known})
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def _repeat_block(shapes: Shapes, blocks: str, number: int, layers: int) -> Shapes:
    """The tensors of block `number` also for those after it."""
    start = f"{blocks}.{number}."
    more = {
        f"{blocks}.{n}.{name.removeprefix(start)}": shape
        for name, shape in shapes.items()
        if name.startswith(start)
        for n in range(number + 1, layers)
    }
    return shapes | more


def _layers(config: Mapping[str, Any], default: int) -> int:
    layers = config.get("num_layers", default)
    if not isinstance(layers, int) or not 1 <= layers <= MOST_LAYERS:
        raise ConfigError(f"num_layers is {layers!r}; expected 1 to {MOST_LAYERS}")
    return layers


def n_layers(names: Iterable[str]) -> int:
    """Number of blocks according to the tensor names."""
    found = (re.search(r"(?:^|\.)(?:transformer_blocks|block)\.(\d+)\.", name) for name in names)
    return max((int(one[1]) for one in found if one), default=-1) + 1
