"""diffusers' caches between denoising steps on this model: with mask and history, in a whole pipeline.

What is skipped is counted by the calls of the blocks and attentions themselves, apart from the hooks.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.hooks import (
    FasterCacheConfig,
    FirstBlockCacheConfig,
    LayerSkipConfig,
    MagCacheConfig,
    PyramidAttentionBroadcastConfig,
    SeaCacheConfig,
    TaylorSeerCacheConfig,
    TextKVCacheConfig,
    apply_layer_skip,
)

from mvideo_core import MVideoPipeline
from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.attention import MVideoAttnProcessor
from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.block import MVideoBlock
from mvideo_core.cogvideox.cache_options import CacheOptions
from mvideo_core.cogvideox.caching import noise_share
from tests.mvideo_core.cogvideox.conftest import SIZES, Inputs
from tests.mvideo_core.cogvideox.test_pipeline import quiet, seeded

STEPS = 6
T, H, W = 9, 32, 64
ALWAYS = (-1, 1001)


@pytest.fixture
def pipeline(size: str) -> MVideoPipeline:
    """Mask and segment weights are not zero, so that conditions count."""
    base = random_base(size)
    made = quiet(MVideoPipeline.from_base(base))
    torch.manual_seed(0)
    torch.nn.init.normal_(made.transformer.mask_proj.weight, std=0.05)
    torch.nn.init.normal_(made.transformer.segment_embed, std=0.05)
    return made


@pytest.fixture
def plain(pipeline: MVideoPipeline, conditions: dict[str, Any]) -> list[torch.Tensor]:
    """Two clips without a cache, with history and without."""
    return [latents_of(pipeline, clip, seed=n) for n, clip in enumerate(two_clips(conditions))]


def two_clips(conditions: dict[str, Any]) -> list[dict[str, Any]]:
    return [conditions, {"mask": conditions["mask"]}]


@pytest.fixture(scope="module")
def conditions() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (T, H, W, 3), dtype=np.uint8)
    mask = np.zeros((T, H, W), np.bool_)
    for t in range(T):
        mask[t, 8:24, 4 * t : 4 * t + 16] = True
    return {"mask": mask, "appearance_frame": frames[-1], "motion_frames": frames}


def latents_of(pipeline: MVideoPipeline, conditions: dict[str, Any], seed: int = 1, **more: Any) -> torch.Tensor:
    """x_0 in the latents' own precision, where frames would round to 255 levels."""
    seen: list[torch.Tensor] = []
    pipeline(
        None, prompt_embeds=torch.ones(1, 16, 32), negative_prompt_embeds=torch.zeros(1, 16, 32),
        num_inference_steps=STEPS, generator=seeded(seed), callback_on_step_end=lambda *a: seen.append(a[3]),
        **(conditions | more),
    )  # fmt: skip
    return seen[-1]


class Counted:
    """Calls of the original forward of every block and attention inside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.blocks = self.attentions = 0
        block, attention = MVideoBlock.forward, MVideoAttnProcessor.__call__

        @wraps(block)  # diffusers reads the signature of both
        def one_block(module: Any, *args: Any, **kwargs: Any) -> Any:
            self.blocks += 1
            return block(module, *args, **kwargs)

        @wraps(attention)
        def one_attention(processor: Any, *args: Any, **kwargs: Any) -> Any:
            self.attentions += 1
            return attention(processor, *args, **kwargs)

        monkeypatch.setattr(MVideoBlock, "forward", one_block)
        monkeypatch.setattr(MVideoAttnProcessor, "__call__", one_attention)


Make = Callable[[MVideoPipeline], Any]


def timestep(pipeline: MVideoPipeline) -> Callable[[], Any]:
    return lambda: pipeline.current_timestep


def pyramid(pipeline: MVideoPipeline, every: int) -> Any:
    return PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=every, spatial_attention_timestep_skip_range=ALWAYS,
        current_timestep_callback=timestep(pipeline),
    )  # fmt: skip


def faster(pipeline: MVideoPipeline, every: int) -> Any:
    return FasterCacheConfig(
        spatial_attention_block_skip_range=every, spatial_attention_timestep_skip_range=ALWAYS,
        unconditional_batch_skip_range=every, unconditional_batch_timestep_skip_range=ALWAYS,
        attention_weight_callback=lambda _: 0.3, current_timestep_callback=timestep(pipeline),
    )  # fmt: skip


def taylor(interval: int, **more: Any) -> Any:
    return TaylorSeerCacheConfig(
        cache_interval=interval, disable_cache_before_step=2, taylor_factors_dtype=torch.float32, **more
    )


def mag(threshold: float) -> Any:
    return MagCacheConfig(
        threshold=threshold, num_inference_steps=STEPS, mag_ratios=torch.full((STEPS,), 0.99), retention_ratio=0.2
    )


# name -> (never skips, skips)
CACHES: dict[str, tuple[Make, Make]] = {
    "FirstBlockCache": (lambda p: FirstBlockCacheConfig(threshold=0), lambda p: FirstBlockCacheConfig(threshold=10)),
    "PyramidAttentionBroadcast": (lambda p: pyramid(p, 1), lambda p: pyramid(p, 2)),
    "FasterCache": (lambda p: faster(p, 1), lambda p: faster(p, 3)),
    "TaylorSeer": (lambda p: taylor(1), lambda p: taylor(3)),
    "TaylorSeer lite": (lambda p: taylor(1, use_lite_mode=True), lambda p: taylor(3, use_lite_mode=True)),
    "MagCache": (lambda p: mag(0), lambda p: mag(10)),
    "SeaCache": (lambda p: SeaCacheConfig(threshold=0), lambda p: SeaCacheConfig(threshold=10)),
}


BOTH_SIZES = ("FirstBlockCache",)
CASES = [
    pytest.param(name, size, marks=() if size == "tiny-rope" or name in BOTH_SIZES else pytest.mark.slow)
    for name in CACHES
    for size in SIZES
]


@pytest.mark.parametrize(("name", "size"), CASES)
def test_each_cache_is_exact_when_it_never_skips_and_saves_work_when_it_does(
    name: str,
    pipeline: MVideoPipeline,
    conditions: dict[str, Any],
    plain: list[torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two clips in a row: each as if it were the only one."""
    clips = two_clips(conditions)
    never, skips = (make(pipeline) for make in CACHES[name])
    counted = Counted(monkeypatch)

    pipeline.transformer.enable_cache(never)
    same = [latents_of(pipeline, clip, seed=n) for n, clip in enumerate(clips)]
    assert all(torch.equal(one, other) for one, other in zip(same, plain, strict=True))
    layers = len(pipeline.transformer.transformer_blocks)
    full = 2 * STEPS * layers
    assert (counted.blocks, counted.attentions) == (full, full)
    pipeline.transformer.disable_cache()

    counted.blocks = counted.attentions = 0
    pipeline.transformer.enable_cache(skips)
    others = [latents_of(pipeline, clip, seed=n) for n, clip in enumerate(clips)]
    assert counted.attentions < full
    if name in ("FirstBlockCache", "TaylorSeer lite", "MagCache", "SeaCache"):
        assert counted.blocks < full
    for one, other in zip(others, plain, strict=True):
        assert one.isfinite().all()
        assert not torch.equal(one, other)
    # The first again, after another than before: nothing is left of a clip.
    assert torch.equal(latents_of(pipeline, clips[0], seed=0), others[0])
    pipeline.transformer.disable_cache()


@pytest.mark.parametrize("size", ["tiny-rope"])
def test_a_clip_that_broke_off_leaves_nothing_behind(pipeline: MVideoPipeline, conditions: dict[str, Any]) -> None:
    pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=10))
    expected = latents_of(pipeline, conditions)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline("", num_inference_steps=STEPS, callback_on_step_end=stop, generator=seeded(5), **conditions)
    assert torch.equal(latents_of(pipeline, conditions), expected)


def test_conditional_and_unconditional_calls_keep_apart(transformer: Any, inputs: Inputs) -> None:
    """Separate calls under names of their own: what one leaves does not reach the other."""

    def outputs(names: list[str], cached: bool) -> dict[str, list[torch.Tensor]]:
        if cached:
            transformer.enable_cache(FirstBlockCacheConfig(threshold=10))
        found: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        for step in range(3):
            for name in names:
                text = inputs.text * (name == "cond")
                with torch.no_grad(), transformer.cache_context(name) if cached else nullcontext():
                    x_t = inputs.latents * (1 - 0.1 * step)
                    found[name].append(transformer(x_t, text, inputs.timestep - step, inputs.conditions).sample)
        if cached:
            transformer.disable_cache()
        return found

    both, one, other = outputs(["cond", "uncond"], True), outputs(["cond"], True), outputs(["uncond"], True)
    plain = outputs(["cond", "uncond"], False)
    for name, alone in (("cond", one["cond"]), ("uncond", other["uncond"])):
        assert all(torch.equal(a, b) for a, b in zip(both[name], alone, strict=True))
        assert torch.equal(both[name][0], plain[name][0])
        assert not torch.equal(both[name][1], plain[name][1])
    assert not torch.equal(both["cond"][1], both["uncond"][1])


@pytest.mark.parametrize("size", ["tiny-rope"])
def test_layer_skip_takes_blocks_or_attention_out(transformer: Any, inputs: Inputs) -> None:
    """Against the model without that block, and with an attention that returns its input."""

    def output(model: Any) -> torch.Tensor:
        with torch.no_grad():
            return model(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample

    whole = output(transformer)
    for options in ({}, {"skip_ff": False}):
        apply_layer_skip(transformer, LayerSkipConfig(indices=[1], fqn="transformer_blocks", **options))
        skipped = output(transformer)
        assert skipped.isfinite().all()
        assert not torch.equal(skipped, whole)
        if not options:
            last = transformer.transformer_blocks[1]
            del transformer.transformer_blocks[1]
            assert torch.equal(output(transformer), skipped)
            transformer.transformer_blocks.append(last)
        from diffusers.hooks import HookRegistry

        HookRegistry.check_if_exists_or_initialize(transformer).remove_hook("layer_skip_hook", recurse=True)
        assert torch.equal(output(transformer), whole)


@pytest.mark.parametrize("size", ["tiny-sincos"])
def test_the_option_of_generation_turns_a_cache_on_for_one_clip(
    pipeline: MVideoPipeline, conditions: dict[str, Any], plain: list[torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    layers = len(pipeline.transformer.transformer_blocks)
    for kind in ("first_block", "sea"):
        counted.blocks = 0
        cached = latents_of(pipeline, conditions, seed=0, cache=CacheOptions(kind=kind, threshold=10))
        assert STEPS <= counted.blocks < STEPS * layers
        assert not torch.equal(cached, plain[0])
        assert not pipeline.transformer.is_cache_enabled
    assert torch.equal(latents_of(pipeline, conditions, seed=0), plain[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TextKVCacheConfig(), "only NucleusMoE blocks have"),
        (PyramidAttentionBroadcastConfig(), "pass current_timestep_callback=lambda: pipeline.current_timestep"),
        (FasterCacheConfig(), "pass current_timestep_callback=lambda: pipeline.current_timestep"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(config: Any, message: str) -> None:
    transformer = random_base("tiny-rope", parts=("transformer",)).transformer
    with pytest.raises(ConfigError, match=message) as caught:
        transformer.enable_cache(config)
    assert "\n" not in str(caught.value)
    assert not transformer.is_cache_enabled


def test_a_second_cache_and_compiled_blocks_are_refused(inputs: Inputs) -> None:
    transformer = random_base("tiny-rope", parts=("transformer",)).transformer
    transformer.enable_cache(FirstBlockCacheConfig())
    with pytest.raises(ConfigError, match="FirstBlockCacheConfig is already on"):
        transformer.enable_cache(SeaCacheConfig())
    transformer.disable_cache()
    transformer.compile_blocks(backend="eager")
    with pytest.raises(ConfigError, match="the blocks are compiled"):
        transformer.enable_cache(FirstBlockCacheConfig())


def test_calls_that_do_not_fit_the_cache_are_refused(conditions: dict[str, Any]) -> None:
    pipeline = quiet(MVideoPipeline.from_base(random_base("tiny-rope")))
    pipeline.transformer.enable_cache(faster(pipeline, 3))
    for more, branches in (({"guidance_scale": 1.0}, 1), ({"mask_guidance_scale": 2.0}, 3)):
        with pytest.raises(ConfigError, match=f"exactly two branches; this call has {branches}"):
            latents_of(pipeline, conditions, **more)
    pipeline.transformer.disable_cache()
    pipeline.transformer.enable_cache(MagCacheConfig(num_inference_steps=28, mag_ratios=[1.0] * 28))
    with pytest.raises(ConfigError, match="num_inference_steps=28; this call has 6"):
        latents_of(pipeline, conditions)


def test_noise_share_by_hand() -> None:
    """All signal, all noise, and a = 0.8: sqrt(0.2) / (sqrt(0.8) + sqrt(0.2)) = 1 / 3."""
    assert [noise_share(a) for a in (1.0, 0.0)] == [0, 1]
    assert noise_share(0.8) == pytest.approx(1 / 3)
