"""Caches between denoising steps, made with diffusers' hooks on this model's blocks.

Neighboring steps compute nearly the same values, so a cache skips blocks or attention and reuses the results of an
earlier step. This changes the video, so no cache is on by default. Caches do not work in training or with compiled
blocks. Each clip starts with empty caches.

`mvideo generate --set options.cache.kind=...` offers two of them, `first_block` and `sea`. In Python,
`pipeline.transformer.enable_cache(config)` accepts the cache configurations of diffusers 0.42:

| diffusers | Here |
|---|---|
| `FirstBlockCacheConfig`, `SeaCacheConfig`, `TaylorSeerCacheConfig`, `LayerSkipConfig` | work |
| `PyramidAttentionBroadcastConfig` | works; pass `current_timestep_callback=lambda: pipeline.current_timestep` |
| `FasterCacheConfig` | works with exactly two branches (text guidance only), else refused; needs the same callback |
| `MagCacheConfig` | works with the `mag_ratios` of your model, which `calibrate=True` prints |
| `TextKVCacheConfig` | refused: it is specific to the blocks of NucleusMoE |
"""

# Importing this file registers the block and its attention processor with diffusers, which looks them up by class.
# `MVideoPipeline` names its calls to the hooks (`cache_context`).

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    SeaCacheConfig,
    TaylorSeerCacheConfig,
    TextKVCacheConfig,
)
from diffusers.hooks._helpers import (
    AttentionProcessorMetadata,
    AttentionProcessorRegistry,
    TransformerBlockMetadata,
    TransformerBlockRegistry,
)

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.attention import MVideoAttnProcessor
from mvideo_core.cogvideox.block import MVideoBlock
from mvideo_core.cogvideox.cache_options import CacheOptions

if TYPE_CHECKING:
    from torch import Tensor

    from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel


@contextlib.contextmanager
def cache_steps(transformer: "MVideoTransformer3DModel", options: CacheOptions) -> Iterator[None]:
    """The cache is on inside the block; the hooks' memory is cleared first, whoever turned them on.

    Raises:
        ConfigError: another cache is already on, or this model cannot have one.
    """
    transformer._reset_stateful_cache()
    if options.kind == "none":
        yield
        return
    kinds = {"first_block": FirstBlockCacheConfig, "sea": SeaCacheConfig}
    transformer.enable_cache(kinds[options.kind](threshold=options.threshold))
    try:
        yield
    finally:
        transformer.disable_cache()


def fit_config(transformer: "MVideoTransformer3DModel", config: Any) -> Any:
    """The configuration of a diffusers cache, with this model's values for the fields left out.

    Raises:
        ConfigError: a cache that cannot work here, with the remedy.
    """
    if transformer.is_cache_enabled:
        now = type(transformer._cache_config).__name__
        raise ConfigError(f"enable_cache: {now} is already on; call disable_cache() first")
    if transformer.graphs is not None:
        raise ConfigError("enable_cache: the blocks are compiled, so hooks do not work; load the model again")
    if isinstance(config, TextKVCacheConfig):
        raise ConfigError(
            "enable_cache: TextKVCacheConfig needs separate text keys, which only NucleusMoE blocks have; here text "
            "and video are projected together. Use FirstBlockCacheConfig"
        )
    timed = isinstance(config, (PyramidAttentionBroadcastConfig, FasterCacheConfig))
    if timed and config.current_timestep_callback is None:
        raise ConfigError(
            f"enable_cache: {type(config).__name__} needs the timestep; pass "
            "current_timestep_callback=lambda: pipeline.current_timestep"
        )
    if isinstance(config, FasterCacheConfig):
        # The conditions are split like the other inputs if the branch without text is skipped.
        split = (*config._unconditional_conditional_input_kwargs_identifiers, "conditions")
        return replace(
            config,
            tensor_format="BFCHW",
            _unconditional_conditional_input_kwargs_identifiers=list(dict.fromkeys(split)),
        )
    if isinstance(config, TaylorSeerCacheConfig) and not (
        config.cache_identifiers or config.skip_predict_identifiers or config.use_lite_mode
    ):
        # diffusers' own pattern ends in "attn" and matches nothing in CogVideoX.
        return replace(config, cache_identifiers=[r"transformer_blocks\.\d+\.attn1"])
    if isinstance(config, SeaCacheConfig) and config.raw_vision_callback is None:
        return replace(config, raw_vision_callback=_clips_CFHW)
    return config


def check_call(transformer: "MVideoTransformer3DModel", branches: int, steps: int) -> None:
    """Reject a cache that was set up for a different kind of call.

    Args:
        branches: passes per batch (`guidance.py`).
        steps: denoising steps.

    Raises:
        ConfigError: the cache needs different values.
    """
    config = transformer._cache_config
    if isinstance(config, FasterCacheConfig) and not config.is_guidance_distilled and branches != 2:
        raise ConfigError(
            f"FasterCache skips the branch without text and needs exactly two branches; this call has {branches}. "
            "Use guidance_scale above 1 and mask_guidance_scale 1, or is_guidance_distilled=True"
        )
    if isinstance(config, MagCacheConfig) and config.num_inference_steps != steps:
        raise ConfigError(
            f"MagCache was set up for num_inference_steps={config.num_inference_steps}; this call has {steps}. "
            "Use the same number for both"
        )


def noise_share(alpha_bar: float) -> float:
    """Fraction of noise in x_t, 0..1, as in flow-matching schedules: sqrt(1 - a) / (sqrt(a) + sqrt(1 - a))."""
    noise, signal = (1 - alpha_bar) ** 0.5, alpha_bar**0.5
    return noise / (signal + noise)


def _clips_CFHW(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "list[Tensor]":
    """The noisy clips of the batch, for SeaCache to compare."""
    latents_BFCHW = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
    return list(latents_BFCHW[:, :, : module.config.in_channels].transpose(1, 2).unbind(0))


def _skip_attention(attn: Any, hidden_states: "Tensor", encoder_hidden_states: "Tensor", *_: Any, **__: Any) -> Any:
    return hidden_states, encoder_hidden_states


TransformerBlockRegistry.register(
    MVideoBlock, TransformerBlockMetadata(return_hidden_states_index=0, return_encoder_hidden_states_index=1)
)
AttentionProcessorRegistry.register(
    MVideoAttnProcessor, AttentionProcessorMetadata(skip_processor_output_fn=_skip_attention)
)
