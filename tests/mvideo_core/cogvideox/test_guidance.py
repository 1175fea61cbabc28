"""Branches of guidance and their sum."""

import torch

from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.guidance import Guidance, guide, stack_conditions, stack_text


def test_text_only():
    branches = Guidance(text=6.0).branches(has_mask=True)
    assert [(b.positive, b.masked) for b in branches] == [(False, True), (True, True)]
    # 1 + 6 * (2 - 1) = 7
    assert guide(branches, torch.tensor([[1.0], [2.0]])).tolist() == [[7.0]]


def test_mask_scale_of_one_is_the_same_as_none():
    three = Guidance(text=3.0, mask=2.0).branches(has_mask=True)
    assert [(b.positive, b.masked) for b in three] == [(False, False), (False, True), (True, True)]
    # 1 + 2 * (2 - 1) + 3 * (5 - 2) = 12
    assert guide(three, torch.tensor([[1.0], [2.0], [5.0]])).tolist() == [[12.0]]
    assert len(Guidance(text=3.0, mask=2.0).branches(has_mask=False)) == 2
    assert len(Guidance(text=1.0, mask=1.0).branches(has_mask=True)) == 1
    only_mask = Guidance(text=1.0, mask=2.0).branches(has_mask=True)
    assert [(b.positive, b.masked) for b in only_mask] == [(True, False), (True, True)]


def test_batch_holds_a_zero_mask_where_there_is_none_and_history_everywhere():
    branches = Guidance(text=3.0, mask=2.0).branches(has_mask=True)
    mask, motion = torch.ones(1, 3, 16, 4, 8), torch.full((1, 3, 16, 2, 4), 2.0)
    batched = stack_conditions(branches, Conditions(mask, None, motion, torch.tensor([20])))
    assert [part.mean().item() for part in batched.mask_BFCHW.chunk(3)] == [0, 1, 1]
    assert batched.motion_BFCHW.shape == (3, 3, 16, 2, 4)
    assert batched.timestep_B.tolist() == [20, 20, 20]
    assert batched.appearance_BFCHW is None
    text = stack_text(branches, torch.ones(1, 2, 4), torch.zeros(1, 2, 4))
    assert [part.mean().item() for part in text.chunk(3)] == [0, 0, 1]


def test_cast_leaves_the_timestep():
    moved = Conditions(torch.ones(1, 1, 1, 1, 1), timestep_B=torch.tensor([7])).to(torch.bfloat16)
    assert moved.mask_BFCHW.dtype == torch.bfloat16
    assert moved.timestep_B.dtype == torch.int64
    assert not moved.has_history
