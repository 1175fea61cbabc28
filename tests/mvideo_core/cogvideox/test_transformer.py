"""MVideoTransformer3DModel against CogVideoX itself, its conditions, its errors."""

import copy
from dataclasses import replace

import pytest
import torch
from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel
from torch.nn.attention import SDPBackend, sdpa_kernel

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora
from mvideo_core.cogvideox.base import random_base
from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.fun_control import plain
from mvideo_core.cogvideox.teacher import teacher_view
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel
from tests.mvideo_core.cogvideox.conftest import Inputs


def diffusers_rope(transformer, latents):
    """What CogVideoXPipeline passes as image_rotary_emb; None for sincos models."""
    if not transformer.config.use_rotary_positional_embeddings:
        return None
    pipeline = CogVideoXPipeline.__new__(CogVideoXPipeline)
    object.__setattr__(pipeline, "transformer", transformer)
    object.__setattr__(pipeline, "vae_scale_factor_spatial", 8)
    frames, _, height, width = latents.shape[1:]
    return pipeline._prepare_rotary_positional_embeddings(height * 8, width * 8, frames, torch.device("cpu"))


@pytest.mark.parametrize("frames", [3, 5])
def test_equals_cogvideox_bit_for_bit(transformer, inputs: Inputs, frames: int):
    original = plain(transformer)
    assert type(original) is CogVideoXTransformer3DModel
    latents = torch.randn(2, frames, 16, 4, 8, generator=torch.Generator().manual_seed(frames))
    with torch.no_grad():
        expected = original(
            latents, inputs.text, inputs.timestep, image_rotary_emb=diffusers_rope(original, latents)
        ).sample
        assert expected.std() > 0.1
        assert torch.equal(transformer(latents, inputs.text, inputs.timestep).sample, expected)


def test_half_precision_equals_cogvideox_bit_for_bit(transformer, inputs: Inputs):
    transformer.to(torch.bfloat16)
    original = plain(transformer)
    latents, text = inputs.latents.bfloat16(), inputs.text.bfloat16()
    with torch.no_grad():
        rope = diffusers_rope(original, latents)
        expected = original(latents, text, inputs.timestep, image_rotary_emb=rope).sample
        assert torch.equal(transformer(latents, text, inputs.timestep).sample, expected)


def test_zero_initialized_mask_changes_nothing(transformer, inputs: Inputs):
    with torch.no_grad():
        free = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        mask = inputs.conditions.mask_BFCHW
        masked = transformer(inputs.latents, inputs.text, inputs.timestep, Conditions(mask_BFCHW=mask)).sample
        joined = transformer(torch.cat([inputs.latents, mask], dim=2), inputs.text, inputs.timestep).sample
    assert torch.equal(masked, free)
    assert torch.equal(joined, free)


def test_trained_mask_counts_and_a_mask_of_zeros_is_none(transformer, inputs: Inputs):
    torch.nn.init.normal_(transformer.mask_proj.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    mask = inputs.conditions.mask_BFCHW
    with torch.no_grad():
        free = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        zero = transformer(inputs.latents, inputs.text, inputs.timestep, Conditions(torch.zeros_like(mask))).sample
        masked = transformer(inputs.latents, inputs.text, inputs.timestep, Conditions(mask)).sample
        joined = transformer(torch.cat([inputs.latents, mask], dim=2), inputs.text, inputs.timestep).sample
    assert torch.equal(zero, free)
    assert not torch.equal(masked, free)
    assert torch.equal(joined, masked)


@pytest.mark.parametrize("missing", ["appearance_BFCHW", "motion_BFCHW", "nothing"])
def test_history_tokens_change_the_clip_and_do_not_come_out(transformer, inputs: Inputs, missing: str):
    history = inputs.conditions if missing == "nothing" else replace(inputs.conditions, **{missing: None})
    with torch.no_grad():
        free = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        led = transformer(inputs.latents, inputs.text, inputs.timestep, history).sample
    assert led.shape == free.shape == inputs.latents.shape
    assert (led - free).norm() / free.norm() > 1e-3


def test_segments_are_told_apart_by_offset(transformer, inputs: Inputs):
    history = replace(inputs.conditions, mask_BFCHW=None)
    with torch.no_grad():
        zero = transformer(inputs.latents, inputs.text, inputs.timestep, history).sample
        transformer.segment_embed[0] += 1
        first = transformer(inputs.latents, inputs.text, inputs.timestep, history).sample
        only_motion = replace(history, appearance_BFCHW=None)
        without = transformer(inputs.latents, inputs.text, inputs.timestep, only_motion).sample
        transformer.segment_embed[0] -= 1
        assert torch.equal(transformer(inputs.latents, inputs.text, inputs.timestep, only_motion).sample, without)
    assert not torch.equal(first, zero)


def test_clean_tokens_have_their_own_timestep(transformer, inputs: Inputs):
    clean, noisy = inputs.conditions, replace(inputs.conditions, timestep_B=inputs.timestep)
    zero = replace(inputs.conditions, timestep_B=torch.zeros(2, dtype=torch.long))
    shared = MVideoTransformer3DModel.from_base(plain(transformer), clean_modulation="shared").eval()
    with torch.no_grad():
        outputs = [transformer(inputs.latents, inputs.text, inputs.timestep, c).sample for c in (clean, zero, noisy)]
        as_clip = shared(inputs.latents, inputs.text, inputs.timestep, clean).sample
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2], atol=1e-5)
    torch.testing.assert_close(outputs[2], as_clip)


def test_position_cache_does_not_mix_shapes(transformer, inputs: Inputs):
    free = Conditions()
    with torch.no_grad():
        before = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        for frames in (1, 3):
            transformer(inputs.latents[:, :frames], inputs.text, inputs.timestep, free)
        transformer(inputs.latents[..., :4], inputs.text, inputs.timestep, free)
        assert torch.equal(transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample, before)


def test_autocast_keeps_activations_in_half_precision(transformer, inputs: Inputs):
    transformer.to(torch.bfloat16)
    seen = []
    block = transformer.transformer_blocks[0]
    block.ff.register_forward_pre_hook(lambda _module, args: seen.append(args[0].dtype))
    block.attn1.to_q.register_forward_pre_hook(lambda _module, args: seen.append(args[0].dtype))
    half = inputs.conditions.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for conditions in (None, half):
            out = transformer(inputs.latents.bfloat16(), inputs.text.bfloat16(), inputs.timestep, conditions).sample
            assert out.dtype == torch.bfloat16
    assert seen == [torch.bfloat16] * 4


@pytest.mark.parametrize("choice", ["full", "block_skip:2"])
def test_recomputed_blocks_give_the_same_gradients(transformer, inputs: Inputs, choice: str):
    def gradients(how: str):
        transformer.set_gradient_checkpointing(how)
        transformer.zero_grad()
        transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample.square().mean().backward()
        return [parameter.grad.clone() for parameter in transformer.parameters() if parameter.grad is not None]

    plain_run, recomputed = gradients("none"), gradients(choice)
    assert len(plain_run) == len(recomputed) > 50
    assert all(torch.equal(one, other) for one, other in zip(plain_run, recomputed, strict=True))


def test_block_skip_recomputes_every_nth_block(transformer, inputs: Inputs):
    calls = [0] * len(transformer.transformer_blocks)

    def counted(index):
        def count(*_args):
            calls[index] += 1

        return count

    for index, block in enumerate(transformer.transformer_blocks):
        block.register_forward_pre_hook(counted(index))
    transformer.set_gradient_checkpointing("block_skip:2")
    transformer(inputs.latents, inputs.text, inputs.timestep).sample.mean().backward()
    assert calls == [2, 1]


@pytest.mark.parametrize("choice", ["half", "block_skip", "block_skip:1", "full:2", "none:1"])
def test_unknown_checkpointing_is_refused(transformer, choice: str):
    with pytest.raises(ConfigError, match="none, full or block_skip:n"):
        transformer.set_gradient_checkpointing(choice)


def test_math_kernel_is_the_one_asked_for(transformer, inputs: Inputs):
    transformer.set_sdpa("math")
    with torch.no_grad():
        chosen = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        transformer.set_sdpa("auto")
        with sdpa_kernel([SDPBackend.MATH]):
            forced = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        auto = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
    assert torch.equal(chosen, forced)
    torch.testing.assert_close(chosen, auto)
    with pytest.raises(ConfigError, match="auto, cudnn, flash, efficient, math"):
        transformer.set_sdpa("fast")


def test_cudnn_falls_back_where_there_is_none(transformer, inputs: Inputs):
    with torch.no_grad():
        auto = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        transformer.set_sdpa("cudnn")
        torch.testing.assert_close(transformer(inputs.latents, inputs.text, inputs.timestep).sample, auto)


def test_blocks_compile_whole_with_adapters_history_and_teacher(inputs: Inputs):
    torch._dynamo.reset()
    transformer = random_base("tiny-rope", parts=("transformer",)).transformer
    add_lora(transformer, LoraOptions(rank=2, alpha=2))

    @torch.no_grad()
    def outputs():
        with teacher_view(transformer):
            taught = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        return taught, transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample

    eager = outputs()
    # fullgraph: any piece of Python that cannot be traced raises. "eager" runs the graphs without a compiler.
    transformer.compile_blocks(backend="eager")
    assert all(block._compiled_call_impl is not None for block in transformer.transformer_blocks)
    for one, other in zip(outputs(), eager, strict=True):
        torch.testing.assert_close(one, other)


def test_positions_made_in_inference_mode_serve_training(transformer, inputs: Inputs):
    with torch.inference_mode():
        transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions)
    transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample.mean().backward()
    assert transformer.mask_proj.weight.grad is not None


def test_widened_folder_of_a_plain_model_has_real_zeros(transformer, inputs: Inputs, tmp_path):
    plain(transformer).save_pretrained(tmp_path)
    loaded = MVideoTransformer3DModel.from_pretrained(tmp_path).eval()
    assert not loaded.mask_proj.weight.any()
    assert not loaded.segment_embed.any()
    with torch.no_grad():
        expected = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        assert torch.equal(loaded(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample, expected)
    half = MVideoTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}


def test_own_folder_keeps_conditioning_and_configuration(transformer, tmp_path):
    model = MVideoTransformer3DModel.from_base(plain(transformer), spatial_align="center", history_offset_frames=-1)
    torch.nn.init.normal_(model.mask_proj.weight)
    model.save_pretrained(tmp_path)
    loaded = MVideoTransformer3DModel.from_pretrained(tmp_path)
    assert torch.equal(loaded.mask_proj.weight, model.mask_proj.weight)
    assert (loaded.config.spatial_align, loaded.config.history_offset_frames) == ("center", -1)


def test_options_of_the_history_change_positions(transformer, inputs: Inputs):
    with torch.no_grad():
        outputs = [transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample]
        for change in ({"spatial_align": "center"}, {"history_offset_frames": -1}):
            other = MVideoTransformer3DModel.from_base(plain(transformer), **change).eval()
            outputs.append(other(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample)
    assert not torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_no_segment_embedding_when_switched_off(transformer, inputs: Inputs):
    other = MVideoTransformer3DModel.from_base(plain(transformer), segment_embedding=False).eval()
    assert "segment_embed" not in dict(other.named_parameters())
    with torch.no_grad():
        expected = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        assert torch.equal(other(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample, expected)


def _with(inputs: Inputs, **changes):
    return replace(inputs.conditions, **changes)


@pytest.mark.parametrize(
    ("latents", "changes", "message"),
    [
        ((2, 3, 12, 4, 8), {}, "12 channels; expected 16, or 32 with the mask"),
        ((2, 3, 16, 5, 8), {}, "5x8 latent cells; both sides must be multiples of 2"),
        ((3, 16, 4, 8), {}, r"\(batch, latent frames, channels, H, W\)"),
        ((2, 3, 16, 4, 8), {"mask_BFCHW": (2, 2, 16, 4, 8)}, r"mask: .*expected \(2, 3, 16, 4, 8\)"),
        ((2, 3, 16, 4, 8), {"appearance_BFCHW": (2, 3, 16, 4, 8)}, "one frame, encoded alone"),
        ((2, 3, 16, 4, 8), {"motion_BFCHW": (1, 3, 16, 2, 4)}, r"motion: .*expected \(2, F, 16, H, W\)"),
        ((2, 3, 16, 4, 8), {"timestep_B": (1,)}, r"timestep_B: shape \(1,\); expected \(2,\)"),
        ((1, 3, 16, 4, 8), {}, "encoder_hidden_states"),
    ],
)
def test_wrong_shapes_are_told(latents, changes, message, inputs: Inputs):
    transformer = random_base("tiny-sincos", parts=("transformer",)).transformer
    conditions = _with(inputs, **{name: torch.zeros(shape) for name, shape in changes.items()}) if changes else None
    with pytest.raises(ConfigError, match=message):
        transformer(torch.zeros(latents), inputs.text, inputs.timestep, conditions)


def test_short_text_is_refused_by_sincos_models(inputs: Inputs):
    transformer = random_base("tiny-sincos", parts=("transformer",)).transformer
    with pytest.raises(ConfigError, match="9 tokens; this model takes 16, padding included"):
        transformer(inputs.latents, inputs.text[:, :9], inputs.timestep)


@pytest.mark.parametrize(
    "change",
    [{"patch_size_t": 2}, {"ofs_embed_dim": 512}, {"use_learned_positional_embeddings": True}],
)
def test_other_families_are_refused(change):
    with pytest.raises(ConfigError, match=r"CogVideoX 1\.5 or an image-to-video"):
        MVideoTransformer3DModel(num_layers=1, num_attention_heads=1, attention_head_dim=16, **change)


def test_copies_are_independent(transformer, inputs: Inputs):
    twin = copy.deepcopy(transformer)
    torch.nn.init.ones_(twin.mask_proj.weight)
    assert not transformer.mask_proj.weight.any()
