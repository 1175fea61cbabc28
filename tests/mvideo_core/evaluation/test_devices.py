"""Mistakes of devices in the metrics, found without a GPU; and how often they wait for it.

Metrics without a network on the device (flow of mini_smoothness, numpy of mini_imaging, flickering) have none. Where a
network is not installed here, our code around it runs with a convolution in its place.
"""

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.imaging_quality import musiq
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.networks.amt import amt_s
from mvideo_core.evaluation.networks.viclip import ViClip, ViclipSizes
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from tests.fake_gpu import GPU, FakeGpu
from tests.goldens.vbench_inputs import MUSIQ_TINY

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3)).astype(np.uint8)


def video() -> EvalVideo:
    inside = np.zeros((5, 1, 64, 96), np.bool_)
    inside[:, 0, 10:40, 20:70] = True
    return EvalVideo.of_arrays(FRAMES, 8.0, EvalItem(id="one", prompt="a red ball"), encode(inside), 8.0)


class Words:
    """A tokenizer with three ids for any text."""

    def tokens(self, text: str, context: int) -> np.ndarray:
        return np.array([1, 2, 511] + [0] * (context - 3))


def viclip(metric: str, device: str) -> Any:
    torch.manual_seed(0)
    kind: Any = METRICS.get(metric)
    return kind(kind.Options(), ViClip(ViclipSizes(**ViclipSizes.TINY, vocabulary=512)), Words(), device, "")


@pytest.mark.parametrize("metric", ["overall_consistency", "mini_consistency"])
def test_viclip_waits_once_a_video(metric: str) -> None:
    wanted = viclip(metric, "cpu").score(video()).value
    with FakeGpu() as gpu:
        found = viclip(metric, GPU).score(video()).value
    assert found == pytest.approx(wanted, abs=1e-5)
    assert sum(gpu.waits.values()) == 1


def test_imaging_quality_waits_once_a_video() -> None:
    """Not once a frame."""
    kind: Any = METRICS.get("imaging_quality")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    wanted = kind(kind.Options(), network, "cpu", "").score(video())
    with FakeGpu() as gpu:
        found = kind(kind.Options(), network.to(GPU), GPU, "").score(video())
    assert found.per_frame == pytest.approx(wanted.per_frame, abs=1e-6)
    assert sum(gpu.waits.values()) == 1


@pytest.mark.skipif(importlib.util.find_spec("pyiqa") is None, reason="extra `imaging` is not installed")
def test_musiq_runs_on_the_gpu() -> None:
    kind: Any = METRICS.get("imaging_quality")
    with FakeGpu():
        network = musiq(**MUSIQ_TINY).to(GPU).eval()
        assert kind(kind.Options(), network, GPU, "").score(video()).per_frame


class Mean(torch.nn.Module):
    """In AMT's place: the two neighbors, blended by a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.blend = torch.nn.Conv2d(6, 3, 1)

    def forward(self, one: Any, other: Any, middle: Any, **_: Any) -> dict[str, Any]:
        return {"imgt_pred": self.blend(torch.cat([one, other], dim=1)) * 2 * middle}


def test_motion_smoothness_waits_once_a_predicted_frame() -> None:
    kind: Any = METRICS.get("motion_smoothness")
    network = Mean()
    wanted = kind(kind.Options(), network, "cpu", "", 1).score(video())
    with FakeGpu() as gpu:
        found = kind(kind.Options(), network.to(GPU), GPU, "", 1).score(video())
    assert found.per_frame == pytest.approx(wanted.per_frame, abs=1e-3)
    assert sum(gpu.waits.values()) == 2


@pytest.mark.skipif(importlib.util.find_spec("vbench") is None, reason="package vbench is not installed")
def test_amt_runs_on_the_gpu() -> None:
    kind: Any = METRICS.get("motion_smoothness")
    with FakeGpu():
        assert kind(kind.Options(), amt_s().to(GPU).eval(), GPU, "", 1).score(video()).per_frame


@pytest.mark.parametrize("prompt", ["per_frame_box", "first_frame_track"])
def test_mask_miou_judges_on_the_gpu_as_on_the_cpu(prompt: str) -> None:
    options = MaskMiouOptions.parse({"prompt": prompt})
    segmenter = Sam2Segmenter.tiny()
    wanted = MaskMiou(segmenter, options).score(video())
    with FakeGpu() as gpu:
        found = MaskMiou(Sam2Segmenter(segmenter.network, segmenter.options, GPU), options).score(video())
    assert found.per_frame == pytest.approx(wanted.per_frame)
    assert sum(gpu.waits.values()) == {"per_frame_box": 1, "first_frame_track": 10}[prompt]
