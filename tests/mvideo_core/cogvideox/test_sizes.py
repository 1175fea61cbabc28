"""The public sizes, counted on the meta device; the small ones against the real ones' proportions."""

import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable
from mvideo_core.cogvideox.sizes import SIZES, size_of
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel
from mvideo_core.cogvideox.video_format import spatial_stride


def build(name: str) -> MVideoTransformer3DModel:
    with torch.device("meta"):
        return MVideoTransformer3DModel(**SIZES[name].transformer)


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


@pytest.mark.parametrize(
    ("name", "base", "mask", "segments", "lora_by_rank"),
    [
        ("cogvideox-2b", 1_693_783_872, 122_880, 3_840, {16: 7_372_800, 64: 29_491_200, 128: 58_982_400}),
        ("cogvideox-5b", 5_570_283_072, 196_608, 6_144, {16: 16_515_072, 64: 66_060_288, 128: 132_120_576}),
    ],
)
def test_public_sizes(name: str, base: int, mask: int, segments: int, lora_by_rank: dict[int, int]):
    model = build(name)
    # A 2x2 patch of 16 mask channels to each channel of a token, no bias; two offsets.
    dim = SIZES[name].transformer["num_attention_heads"] * 64
    assert (mask, segments) == (16 * 2 * 2 * dim, 2 * dim)
    assert count(model.mask_proj.parameters()) == mask
    assert model.segment_embed.numel() == segments
    assert count(model.parameters()) == base + mask + segments
    # Four square projections per block, rank * (in + out) each.
    layers = SIZES[name].transformer["num_layers"]
    for rank, expected in lora_by_rank.items():
        assert layers * 4 * rank * 2 * dim == expected
    add_lora(model, LoraOptions(rank=64, alpha=64))
    assert count(list_trainable(model).values()) == lora_by_rank[64] + mask + segments


@pytest.mark.parametrize("name", ["cogvideox-2b", "cogvideox-5b"])
def test_tokens_of_33_frames_with_both_conditions(name: str):
    form = SIZES[name].format
    model = build(name)
    clip = (form.latent_frames, form.height_px // 8, form.width_px // 8)
    motion = (form.latent_frames, form.motion_height_px // 8, form.motion_width_px // 8)
    # 226 text, 9 x 30 x 45 clip, 30 x 45 appearance, 9 x 16 x 24 motion
    assert model.token_count(clip, motion) == 226 + 12_150 + 1_350 + 3_456 == 17_182
    assert model.token_count(clip) == 12_376
    assert model.token_count((13, 60, 90)) == 17_776


def test_forward_on_meta_has_the_clip_s_shape():
    from mvideo_core.cogvideox.conditions import Conditions

    model = build("cogvideox-5b")
    with torch.device("meta"), torch.no_grad():
        latents = torch.empty(1, 9, 16, 60, 90)
        conditions = Conditions(torch.empty_like(latents), torch.empty(1, 1, 16, 60, 90), torch.empty(1, 9, 16, 32, 48))
        seen = []
        model.transformer_blocks[0].register_forward_pre_hook(lambda _block, args: seen.append(args))
        out = model(latents, torch.empty(1, 226, 4096), torch.zeros(1, dtype=torch.long), conditions).sample
    assert out.shape == latents.shape
    assert seen[0][0].shape[1] + seen[0][1].shape[1] == 17_182


@pytest.mark.parametrize("name", list(SIZES))
def test_sizes_follow_from_the_format(name: str):
    plan = SIZES[name]
    model = build(name).config
    form = plan.format
    stride = 4 if name.endswith("-fine") else 8  # three blocks in the VAE, or four
    assert (model.sample_height * stride, model.sample_width * stride) == (form.height_px, form.width_px)
    assert spatial_stride(plan.vae) == stride
    assert model.in_channels == model.out_channels == model.mask_channels == plan.vae.get("latent_channels", 16)
    assert model.spatial_interpolation_scale == form.height_px / form.motion_height_px
    assert model.spatial_interpolation_scale == form.width_px / form.motion_width_px
    assert model.text_embed_dim == plan.text_encoder["d_model"]
    assert model.max_text_seq_length == plan.text_tokens
    assert model.attention_head_dim % 8 == 0


def test_a_config_without_blocks_is_the_public_vae_s():
    assert spatial_stride({}) == 8
    assert spatial_stride({"block_out_channels": [8, 16]}) == 2


def test_mini_sizes_are_small():
    for name in ("mini-sincos", "mini-rope"):
        assert 3_000_000 < count(build(name).parameters()) < 4_000_000


def test_unknown_size():
    with pytest.raises(ConfigError, match="cogvideox-2b, cogvideox-5b, mini-sincos"):
        size_of("huge")
