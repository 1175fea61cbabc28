"""The teacher is the base model at every moment of training."""

import pytest
import torch

from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable
from mvideo_core.cogvideox.fun_control import plain
from mvideo_core.cogvideox.schedule import Schedule
from mvideo_core.cogvideox.teacher import teacher_view
from tests.mvideo_core.cogvideox.conftest import Inputs


def test_student_equals_teacher_before_training(transformer, inputs: Inputs):
    add_lora(transformer, LoraOptions(rank=4, alpha=2))
    with torch.no_grad():
        student = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        masked = inputs.conditions.__class__(mask_BFCHW=inputs.conditions.mask_BFCHW)
        with_mask = transformer(inputs.latents, inputs.text, inputs.timestep, masked).sample
    with teacher_view(transformer):
        teacher = transformer(inputs.latents, inputs.text, inputs.timestep).sample
    assert torch.equal(student, teacher)
    assert torch.equal(with_mask, teacher)


def test_teacher_stays_the_base_while_the_student_learns(transformer, inputs: Inputs):
    with torch.no_grad():
        original = plain(transformer).eval()
        from tests.mvideo_core.cogvideox.test_transformer import diffusers_rope

        rope = diffusers_rope(original, inputs.latents)
        expected = original(inputs.latents, inputs.text, inputs.timestep, image_rotary_emb=rope).sample
    add_lora(transformer, LoraOptions(rank=4, alpha=2))
    parameters = list_trainable(transformer)
    optimizer = torch.optim.Adam(parameters.values(), lr=0.01)
    target = torch.randn(inputs.latents.shape, generator=torch.Generator().manual_seed(5))
    losses = []
    for _ in range(8):
        with teacher_view(transformer):
            taught = transformer(inputs.latents, inputs.text, inputs.timestep).sample
        assert torch.equal(taught, expected)
        assert not taught.requires_grad
        output = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
        loss = (output - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert transformer.mask_proj.weight.any()
    with torch.no_grad():
        moved = transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample
    assert not torch.equal(moved, expected)


def test_leaves_flags_and_modes_as_they_were(transformer, inputs: Inputs):
    add_lora(transformer, LoraOptions(rank=2, alpha=2))
    before = set(list_trainable(transformer))
    with teacher_view(transformer):
        assert set(list_trainable(transformer)) == before
        with teacher_view(transformer):
            assert not torch.is_grad_enabled()
        assert transformer.transformer_blocks[0].attn1.to_q.disable_adapters
    with pytest.raises(RuntimeError, match="stopped"), teacher_view(transformer):
        raise RuntimeError("stopped")
    assert torch.is_grad_enabled()
    assert set(list_trainable(transformer)) == before
    layer = transformer.transformer_blocks[0].attn1.to_q
    assert not layer.disable_adapters


def test_velocity_loss_of_a_perfect_student_is_zero(base, inputs: Inputs):
    schedule = Schedule.of(base.scheduler)
    noise = torch.randn(inputs.latents.shape, generator=torch.Generator().manual_seed(1))
    v = schedule.velocity(inputs.latents, noise, inputs.timestep)
    x_t = schedule.noisy(inputs.latents, noise, inputs.timestep)
    assert (schedule.predict_clean(x_t, v, inputs.timestep) - inputs.latents).abs().max() < 1e-5
