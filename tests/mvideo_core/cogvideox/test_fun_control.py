"""Exchange with 32-channel checkpoints and with plain CogVideoX."""

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel

from mvideo_core import MVideoPipeline
from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import add_lora, without_adapters
from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.fun_control import from_fun_control, plain, to_fun_control
from tests.mvideo_core.cogvideox.conftest import Inputs
from tests.mvideo_core.cogvideox.test_adapter import LORA, trained
from tests.mvideo_core.cogvideox.test_transformer import diffusers_rope


def test_export_computes_the_same_in_diffusers(transformer, inputs: Inputs, tmp_path):
    trained(transformer)
    to_fun_control(transformer).save_pretrained(tmp_path)
    control = CogVideoXTransformer3DModel.from_pretrained(tmp_path).eval()
    assert control.config.in_channels == 32
    mask = inputs.conditions.mask_BFCHW
    with torch.no_grad():
        expected = transformer(inputs.latents, inputs.text, inputs.timestep, Conditions(mask)).sample
        rope = diffusers_rope(control, inputs.latents)
        joined = torch.cat([inputs.latents, mask], dim=2)
        seen = control(joined, inputs.text, inputs.timestep, image_rotary_emb=rope).sample
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        free = transformer(inputs.latents, inputs.text, inputs.timestep).sample
    assert (expected - free).abs().max() > 1e-2
    assert getattr(transformer, "peft_config", None)


def test_round_trip_without_adapters_is_exact(transformer, inputs: Inputs):
    torch.nn.init.normal_(transformer.mask_proj.weight, std=0.1)
    again = from_fun_control(to_fun_control(transformer))
    for name, value in transformer.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    with torch.no_grad():
        mask = Conditions(inputs.conditions.mask_BFCHW)
        expected = transformer(inputs.latents, inputs.text, inputs.timestep, mask).sample
        assert torch.equal(again(inputs.latents, inputs.text, inputs.timestep, mask).sample, expected)


def test_patch_convolution_is_the_two_side_by_side(transformer):
    torch.nn.init.normal_(transformer.mask_proj.weight)
    weight = to_fun_control(transformer).patch_embed.proj.weight
    assert weight.shape == (32, 32, 2, 2)
    assert torch.equal(weight[:, :16], transformer.patch_embed.proj.weight)
    assert torch.equal(weight[:, 16:], transformer.mask_proj.weight)


def test_import_needs_control_channels(transformer):
    with pytest.raises(ConfigError, match="16 input channels; expected 32"):
        from_fun_control(plain(transformer))


def test_plain_refuses_what_it_would_lose(transformer):
    with torch.no_grad():
        transformer.segment_embed[1, 0] = 1
    with pytest.raises(ConfigError, match="segment_embed is trained"):
        plain(transformer)
    add_lora(transformer, LORA)
    with pytest.raises(ConfigError, match="adapters are attached"):
        plain(transformer)


def test_fused_adapters_would_count_twice(base):
    pipeline = MVideoPipeline.from_base(base)
    trained(base.transformer)
    pipeline.fuse_lora()
    with pytest.raises(ConfigError, match="fused into the base weights"):
        to_fun_control(base.transformer)
    with pytest.raises(ConfigError, match="fused into the base weights"):
        without_adapters(base.transformer)
    pipeline.unfuse_lora()
    assert to_fun_control(base.transformer).config.in_channels == 32
