"""Mistakes of devices in the detectors, found without a GPU; and how often they wait for it."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core.perception.detection import DETECTORS, groundingdino, transformers_groundingdino
from mvideo_core.perception.detection.transformers_groundingdino import TransformersDetector
from tests.fake_gpu import GPU, FakeGpu

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3)).astype(np.uint8)
PHRASES = ["person", "dog"]
OWN_WAITS = {"phrase_scores _to_copy.default": 1, "_ask _to_copy.default": 1}
"""Scores and boxes leave the GPU once for each batch and prompt."""


def moved(detector: Any) -> Any:
    """The same detector, loaded onto the GPU."""
    parts = [detector.model, detector.tokenizer]
    parts += [] if isinstance(detector, TransformersDetector) else [detector.arch]
    return type(detector)(*parts, detector.options, GPU, detector.model_name, "")


@pytest.mark.parametrize(
    ("name", "inside"),
    [("groundingdino", 173), ("transformers-groundingdino", 4), ("transformers-mm-groundingdino", 4)],
)
def test_a_detector_finds_on_the_gpu_what_it_finds_on_the_cpu(name: str, inside: int) -> None:
    """`inside`: waits of the library's own code for one batch of three frames and one prompt.

    groundingdino-py reads its text masks and feature sizes number by number; most of that before its image network.
    """
    detector: Any = DETECTORS.get(name).tiny()
    wanted = detector.detect(FRAMES, PHRASES)
    with FakeGpu() as gpu:
        found = moved(detector).detect(FRAMES, PHRASES)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    waits = {key.split(":")[1]: n for key, n in gpu.waits.items()}
    own = {key: waits.pop(key, 0) for key in OWN_WAITS}
    assert own == OWN_WAITS
    assert sum(waits.values()) <= inside


@pytest.mark.parametrize("module", [groundingdino, transformers_groundingdino])
def test_16_bit_products_move_scores_little(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU what `precision: bf16` does on a GPU."""
    detector: Any = DETECTORS.get(module.__name__.rpartition(".")[2].replace("_", "-")).tiny()
    wanted = detector.detect(FRAMES, PHRASES)
    monkeypatch.setattr(module, "autocast", lambda *_: torch.autocast("cpu", torch.bfloat16))
    found = detector.detect(FRAMES, PHRASES)
    for one, other in zip(found, wanted, strict=True):
        assert not np.array_equal(one.scores, other.scores)
        assert np.abs(one.scores - other.scores).mean() < 0.05
