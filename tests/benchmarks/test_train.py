"""The training benchmark at a tiny size, and its FLOP count against one by hand."""

import pytest
import torch

from benchmarks import train
from mvideo_core.training.options import TrainOptions


def test_flops_of_the_teacher_are_those_of_the_layers_by_hand():
    """tiny-sincos, batch 1: 3 frames of 2 x 4 tokens and 16 of text are S = 40 tokens of dim 32, 2 blocks.

    Per block: q, k, v, out 4 S 32^2, feed-forward 2 S 32 128, attention 2 S^2 32 multiply-adds, and two modulations
    (16 -> 6 * 32). Around them: patches 24 of 64 -> 32, text 16 of 32 -> 32, time 32 -> 16 -> 16, the last modulation
    16 -> 64, output 24 of 32 -> 64.
    """
    s = 40
    block = 4 * s * 32**2 + 2 * s * 32 * 128 + 2 * s * s * 32 + 2 * 16 * 192
    around = 24 * 64 * 32 + 16 * 32 * 32 + 32 * 16 + 16 * 16 + 16 * 64 + 24 * 32 * 64
    chosen = TrainOptions.parse({"base": {"weights": "random:tiny-sincos"}})
    assert train.count_flops(chosen)["teacher"] == 2 * (2 * block + around)


def test_the_step_is_measured_in_parts_and_against_diffusers():
    torch.set_num_threads(1)
    measured = train.measure("tiny-sincos", batch=2, rounds=1, device="cpu", rank=4)
    assert set(measured["split_s"]) == {"data", "teacher", "forward", "backward", "optimizer"}
    assert all(part["median"] > 0 for part in measured["split_s"].values())
    assert measured["gflop"]["step"] == pytest.approx(
        sum(measured["gflop"][k] for k in ("teacher", "forward", "backward")), rel=1e-3
    )
    assert 0 < measured["mfu"] < 1
    assert measured["plain"]["cpu_s"]["diffusers"]["median"] > 0
