"""The model of a training run, built without memory (meta device), and inputs of the right shapes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mvideo_core.cogvideox.base import RANDOM, read_format, read_json
from mvideo_core.cogvideox.sizes import SIZES, size_of
from mvideo_core.cogvideox.video_format import VideoFormat, spatial_stride
from mvideo_core.training.options import TrainOptions
from mvideo_core.weights import find

if TYPE_CHECKING:
    from torch import Tensor

    from mvideo_core.cogvideox.conditions import Conditions
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


class ModelShape(NamedTuple):
    """Arguments of transformer and VAE, and the training sizes."""

    config: dict[str, Any]
    vae: dict[str, Any]
    format: VideoFormat

    @property
    def latents(self) -> dict[str, tuple[int, int, int, int]]:
        """Shape (F, C, h, w) of every latent that a window can have, by name."""
        from mvideo_core.training.latents.encode import latent_shapes

        return latent_shapes(self.format, self.config.get("in_channels", 16), spatial_stride(self.vae))


def model_shape(options: TrainOptions) -> ModelShape:
    """Shape of the base model; the public sizes need no weights on this machine.

    Raises:
        ConfigError, ModelError: no such base, or its folder is missing.
    """
    name = options.base.weights.removeprefix(RANDOM)
    if options.base.weights.startswith(RANDOM) or name in SIZES:
        size = size_of(name)
        return ModelShape(size.transformer, size.vae, options.data.format or size.format)
    folder = find(name, kind="generator")
    transformer, vae = (_config(folder / part / "config.json") for part in ("transformer", "vae"))
    return ModelShape(transformer, vae, options.data.format or read_format(folder))


def _config(path: Path) -> dict[str, Any]:
    return {key: value for key, value in read_json(path).items() if not key.startswith("_")}


def on_meta(options: TrainOptions, config: dict[str, Any], layers: int = 0) -> "MVideoTransformer3DModel":
    """The transformer with adapters as in training, on the meta device.

    Args:
        layers: number of blocks; 0: from the configuration.
    """
    import torch
    from torch import nn

    from mvideo_core.cogvideox.adapter import add_lora
    from mvideo_core.cogvideox.base import torch_dtype
    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel

    with torch.device("meta"):
        model = MVideoTransformer3DModel(**(config | ({"num_layers": layers} if layers else {})))
        nn.Module.to(model, torch_dtype(options.base.dtype))
        add_lora(model, options.lora)
    return model.train()


class Inputs(NamedTuple):
    """Inputs of one forward pass, with both histories and a mask; without content."""

    x: "Tensor"
    text: "Tensor"
    timestep: "Tensor"
    conditions: "Conditions"


def empty_inputs(shape: ModelShape, batch: int, dtype: Any) -> Inputs:
    """Inputs of `batch` samples on the default device."""
    import torch

    from mvideo_core.cogvideox.conditions import Conditions

    shapes = shape.latents
    x, mask, appearance, motion = (
        torch.empty(batch, *shapes[name], dtype=dtype) for name in ("target", "mask", "appearance", "motion")
    )
    rows = shape.config.get("max_text_seq_length", 226), shape.config.get("text_embed_dim", 4096)
    t = torch.zeros(batch, dtype=torch.long)
    conditions = Conditions(mask_BFCHW=mask, appearance_BFCHW=appearance, motion_BFCHW=motion, timestep_B=t)
    return Inputs(x, torch.empty(batch, *rows, dtype=dtype), t, conditions)
