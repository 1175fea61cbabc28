"""Coordinates and embeddings against diffusers' own builders, and against numbers worked out by hand."""

import pytest
import torch
from diffusers.models.embeddings import get_3d_rotary_pos_embed, get_3d_sincos_pos_embed
from diffusers.pipelines.cogvideo.pipeline_cogvideox import get_resize_crop_region_for_grid

from mvideo_core.cogvideox.positions import (
    PositionRules,
    TokenGrid,
    rope_axes,
    rope_tables,
    sincos_axes,
    sincos_embedding,
)

CPU = torch.device("cpu")
CLIP = TokenGrid(9, 30, 45)
MOTION = TokenGrid(9, 16, 24)
FRAME = TokenGrid(1, 30, 45)
RULES = PositionRules(base_height=30, base_width=45, spatial_scale=1.875, temporal_scale=1.0)


@pytest.mark.parametrize("frames", [9, 13])
def test_sincos_of_the_clip_equals_diffusers(frames: int):
    clip = CLIP._replace(frames=frames)
    mine = sincos_embedding(sincos_axes(clip, clip, RULES, False, CPU), 1920)
    theirs = get_3d_sincos_pos_embed(1920, (45, 30), frames, 1.875, 1.0, device=CPU).flatten(0, 1)
    assert mine.shape == (frames * 1350, 1920)
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize(("height", "width"), [(30, 45), (16, 24), (20, 45)])
def test_rope_of_the_clip_equals_diffusers(height: int, width: int):
    clip = TokenGrid(9, height, width)
    region = get_resize_crop_region_for_grid((height, width), 45, 30)
    theirs = get_3d_rotary_pos_embed(64, region, (height, width), 9, device=CPU)
    mine = rope_tables(rope_axes(clip, clip, RULES, False, CPU), 64)
    assert torch.equal(mine[0], theirs[0])
    assert torch.equal(mine[1], theirs[1])


def test_low_resolution_sincos_is_cogvideox_own_low_stage():
    # 480 / 256 = 1.875: the plain integer grid of the 256x384 stage.
    axes = sincos_axes(MOTION, CLIP, RULES, True, CPU)
    assert axes.h.tolist() == list(range(16))
    assert axes.w.tolist() == list(range(24))
    mine = sincos_embedding(axes._replace(t=torch.arange(9.0)), 1920)
    assert torch.equal(mine, get_3d_sincos_pos_embed(1920, (24, 16), 9, 1.0, 1.0, device=CPU).flatten(0, 1))


def test_low_resolution_rope_lies_over_the_clip():
    axes = rope_axes(MOTION, CLIP, RULES, True, CPU)
    assert axes.h[1].item() == 1.875
    torch.testing.assert_close(axes.h.diff(), torch.full((15,), 1.875))
    torch.testing.assert_close(axes.w.diff(), torch.full((23,), 1.875))
    region = get_resize_crop_region_for_grid((16, 24), 45, 30)
    theirs = get_3d_rotary_pos_embed(64, region, (16, 24), 9, device=CPU)
    mine = rope_tables(axes._replace(t=rope_axes(CLIP, CLIP, RULES, False, CPU).t), 64)
    assert torch.equal(mine[0], theirs[0])
    assert torch.equal(mine[1], theirs[1])


@pytest.mark.parametrize("build", [sincos_axes, rope_axes])
def test_time_is_physical(build):
    assert build(CLIP, CLIP, RULES, False, CPU).t.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert build(MOTION, CLIP, RULES, True, CPU).t.tolist() == [-8, -7, -6, -5, -4, -3, -2, -1, 0]
    assert build(FRAME, CLIP, RULES, True, CPU).t.tolist() == [0]


@pytest.mark.parametrize("build", [sincos_axes, rope_axes])
def test_appearance_lies_on_the_first_frame(build):
    first, frame = build(CLIP, CLIP, RULES, False, CPU), build(FRAME, CLIP, RULES, True, CPU)
    assert torch.equal(frame.h, first.h)
    assert torch.equal(frame.w, first.w)
    assert frame.t[0] == first.t[0]


@pytest.mark.parametrize("build", [sincos_axes, rope_axes])
def test_without_overlap_history_ends_a_quarter_step_earlier(build):
    rules = PositionRules(30, 45, 1.875, 1.0, history_offset_frames=-1)
    assert build(MOTION, CLIP, rules, True, CPU).t[-1].item() == -0.25
    assert build(CLIP, CLIP, rules, False, CPU).t[0].item() == 0


def test_centered_tokens_share_their_centers():
    rules = PositionRules(base_height=4, base_width=6, spatial_scale=2.0, temporal_scale=1.0, align="center")
    clip, motion = TokenGrid(1, 4, 6), TokenGrid(1, 2, 3)
    # A motion token covers two clip tokens: centers at 0.5 and 2.5 of the clip's 0..3, half of that in sincos units.
    torch.testing.assert_close(rope_axes(motion, clip, rules, True, CPU).h, torch.tensor([0.5, 2.5]))
    torch.testing.assert_close(sincos_axes(motion, clip, rules, True, CPU).h, torch.tensor([0.25, 1.25]))
    assert torch.equal(rope_axes(clip, clip, rules, False, CPU).h, torch.arange(4.0))


def test_mini_motion_tokens_are_one_unit_apart():
    rules = PositionRules(base_height=4, base_width=6, spatial_scale=2.0, temporal_scale=1.0)
    clip, motion = TokenGrid(5, 4, 6), TokenGrid(5, 2, 3)
    assert sincos_axes(motion, clip, rules, True, CPU).w.tolist() == [0, 1, 2]
    assert rope_axes(motion, clip, rules, True, CPU).w.tolist() == [0, 2, 4]


def test_rope_table_by_hand():
    # Head of 16: dims 0-3 time, 4-9 height, 10-15 width; the first pair of each turns by the coordinate itself.
    axes = rope_axes(TokenGrid(2, 2, 2), TokenGrid(2, 2, 2), PositionRules(2, 2, 1.0, 1.0), False, CPU)
    cos, sin = rope_tables(axes, 16)
    assert cos.shape == (8, 16)
    last = torch.tensor(1.0)
    torch.testing.assert_close(cos[7, [0, 4, 10]], last.cos().expand(3))
    torch.testing.assert_close(sin[7, [0, 4, 10]], last.sin().expand(3))
    assert cos[0].tolist() == [1.0] * 16
    assert sin[4, 4:].tolist() == [0.0] * 12
