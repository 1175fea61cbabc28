"""The pipeline that generates: base model, adapter, sampler, on the device that is there."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mvideo_core.listing import visible_files
from mvideo_core.model.base import BaseOptions, load_base

if TYPE_CHECKING:
    from mvideo_core.model.pipeline import MVideoPipeline


class Loaded(NamedTuple):
    """A pipeline ready to be called, and what its weights are."""

    pipeline: "MVideoPipeline"
    base_sha256: str
    adapter_sha256: str
    dtype: str


def load_pipeline(
    base: BaseOptions,
    adapter: str = "",
    scheduler: Literal["ddim", "dpm"] = "ddim",
    allow_other_base: bool = False,
) -> Loaded:
    """Base and adapter on a GPU when there is one.

    Args:
        adapter: folder that training wrote; empty = the base model alone.
        allow_other_base: only warn of an adapter that was trained over other base weights.

    Raises:
        ModelError: weights or adapter absent, or not for each other. ConfigError: no such size.
    """
    import torch

    from mvideo_core.model.pipeline import MVideoPipeline

    loaded = load_base(base)
    pipeline = MVideoPipeline.from_base(loaded)
    if adapter:
        pipeline.load_lora_weights(Path(adapter), allow_other_base=allow_other_base)
    pipeline.use_scheduler(scheduler)
    pipeline.set_progress_bar_config(disable=None)  # a bar on a terminal only
    pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
    return Loaded(pipeline, loaded.weights_sha256, _digest(adapter), base.dtype)


def _digest(adapter: str) -> str:
    """Of the adapter's files, by name and content; "" without one."""
    whole = hashlib.sha256()
    for path in visible_files(adapter, ".safetensors", ".json") if adapter else []:
        whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest() if adapter else ""
