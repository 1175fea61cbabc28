"""Loads the pipeline for generation: base model, adapter, sampler, on the available device."""

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.cogvideox.adapter_files import AdapterFiles, check_adapter, find_adapter
from mvideo_core.cogvideox.base import BaseOptions, has_mask_weights, load_base, transformer_config
from mvideo_core.cogvideox.kernels import use_kernels
from mvideo_core.generation.options import GenerateOptions

if TYPE_CHECKING:
    from mvideo_core.cogvideox.pipeline import MVideoPipeline


class Loaded(NamedTuple):
    """A pipeline ready to call, and what its weights are."""

    pipeline: "MVideoPipeline"
    base_sha256: str
    adapter_sha256: str
    dtype: str


def load_pipeline(
    base: BaseOptions,
    adapter: str = "",
    options: GenerateOptions = GenerateOptions(),
    allow_other_base: bool = False,
    masks: bool = False,
) -> Loaded:
    """Load base and adapter, on a GPU if there is one.

    Args:
        adapter: trained adapter, see `find_adapter`; empty = the base model alone.
        options: sampler and kernels are applied.
        allow_other_base: only warn if the adapter was trained with different base weights.
        masks: masks will be passed, so the model must be able to use them.

    Raises:
        ModelError: weights are missing or damaged, or adapter and base do not match.
        ConfigError: no such size or path, or masks that the model cannot use.
    """
    files = check_pipeline(base, adapter, masks)
    loaded = load_base(base)

    from mvideo_core.cogvideox.pipeline import MVideoPipeline  # seconds of imports, so errors above come first

    pipeline = MVideoPipeline.from_base(loaded)
    if files:
        pipeline.load_lora_weights(files.lora, allow_other_base=allow_other_base)
    pipeline.use_scheduler(options.scheduler, options.spacing)
    use_kernels(pipeline.transformer, options.execution)
    pipeline.set_progress_bar_config(disable=None)  # a bar on a terminal only
    pipeline.to(default_device())
    return Loaded(pipeline, loaded.weights_sha256, adapter_digest(files), base.dtype)


def check_pipeline(base: BaseOptions, adapter: str = "", masks: bool = False) -> AdapterFiles | None:
    """What `load_pipeline` refuses about base and adapter before it loads them; the adapter's files.

    Raises:
        ModelError, ConfigError: as there.
    """
    config = transformer_config(base)
    files = find_adapter(adapter) if adapter else None
    if files:
        check_adapter(files, config)
    if masks and not (files and files.ours) and not has_mask_weights(base):
        raise ConfigError(_blind(base, adapter))
    return files


def adapter_digest(files: AdapterFiles | None) -> str:
    """Digest of the adapter's files, by name and content; "" without one."""
    if files is None:
        return ""
    whole = hashlib.sha256()
    for path in visible_files(files.folder, ".safetensors", ".json") if files.ours else [files.lora]:
        whole.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _blind(base: BaseOptions, adapter: str) -> str:
    given = f"{adapter} is a plain LoRA" if adapter else "there is no adapter"
    return (
        f"generate: there are masks, but {given}: {base.weights} alone ignores masks; "
        "pass an adapter from `mvideo train` with --adapter (RUN/checkpoints/step-.../adapter), or drop the masks"
    )
