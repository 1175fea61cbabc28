"""Batches of frames in the image encoder, compiled graphs and 16-bit products give the masks of one frame at a time."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ModelError
from mvideo_core.perception.segmentation import sam2_video
from mvideo_core.perception.segmentation.sam2_features import FrameEncoder
from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter
from tests.mvideo_core.perception.segmentation.test_sam2_video import BOXES, HEIGHT, WIDTH, moving_squares


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def segmenter() -> Sam2Segmenter:
    return Sam2Segmenter.tiny(seed=3)


def counted(network: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images in each pass from now on."""
    sizes: list[int] = []
    forward = network.forward_image

    def count(images: torch.Tensor) -> Any:
        sizes.append(len(images))
        return forward(images)

    monkeypatch.setattr(network, "forward_image", count)
    return sizes


def logits(segmenter: Sam2Segmenter, n_frames: int = 11, boxes: np.ndarray = BOXES) -> torch.Tensor:
    steps = segmenter.steps(iter(moving_squares(n_frames)), HEIGHT, WIDTH, boxes)
    return torch.stack([step.logits for step in steps])


@pytest.mark.parametrize(("per_pass", "passes"), [(3, [3, 3, 3, 2]), (8, [8, 3])])
def test_a_batch_of_frames_gives_the_logits_of_single_frames(segmenter, monkeypatch, per_pass, passes):
    wanted = logits(segmenter)
    sizes = counted(segmenter.network, monkeypatch)
    found = logits(Sam2Segmenter(segmenter.network, Sam2Options(frames_per_pass=per_pass)))
    assert sizes == passes
    assert wanted.abs().max() > 0.01
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_frames_are_taken_less_than_two_batches_ahead(segmenter):
    taken: list[int] = []

    def frames() -> Iterator[np.ndarray]:
        for number, frame in enumerate(moving_squares(20)):
            taken.append(number)
            yield frame

    stream = FrameEncoder(segmenter.network, "cpu", frames_per_pass=3).stream(frames())
    for number in range(7):
        next(stream)
        assert number < len(taken) <= number + 2 * 3


def test_readers_of_the_same_frames_encode_each_once(segmenter, monkeypatch):
    frames = list(moving_squares(12))
    sizes = counted(segmenter.network, monkeypatch)
    encoder = FrameEncoder(segmenter.network, "cpu", frames_per_pass=4)
    first, second = encoder.stream(iter(frames)), encoder.stream(iter(frames[3:]))
    pairs = []
    for number in range(12):  # in step; the second starts on frame 3
        one = next(first)
        if number >= 3:
            pairs.append((one, next(second)))
    assert sum(sizes) == 12
    assert all(a is b for a, b in pairs)


def test_out_of_memory_halves_the_batch(segmenter, monkeypatch, caplog):
    wanted = logits(segmenter)
    forward = segmenter.network.forward_image

    def small(images: torch.Tensor, most: int = 2) -> Any:
        if len(images) > most:
            raise torch.OutOfMemoryError("made up")
        return forward(images)

    monkeypatch.setattr(segmenter.network, "forward_image", small)
    found = logits(Sam2Segmenter(segmenter.network, Sam2Options(frames_per_pass=8)))
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert "from now on 2 frames per pass" in caplog.text
    monkeypatch.setattr(segmenter.network, "forward_image", lambda images: small(images, 0))
    with pytest.raises(ModelError, match="one frame do not fit in device memory"):
        logits(segmenter)


@pytest.mark.slow
def test_compiled_graphs_are_few_and_give_the_same_logits(segmenter, monkeypatch):
    """One graph for each part of the network, also for another clip and for fewer objects."""
    boxes = np.concatenate([BOXES, BOXES + 3])
    wanted = {n: logits(segmenter, boxes=boxes[:n]) for n in (3, 5)}
    graphs: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(sam2_video, "BACKEND", backend)
    monkeypatch.setattr(sam2_video, "COUNTS", (5,))
    compiled = Sam2Segmenter(segmenter.network, Sam2Options(compile=True, frames_per_pass=4))
    for n in (5, 3):
        torch.testing.assert_close(logits(compiled, boxes=boxes[:n]), wanted[n], atol=1e-5, rtol=0)
        assert len(graphs) == len(sam2_video.compiled_parts(segmenter.network)) == 4


def test_16_bit_products_change_the_logits_little(segmenter):
    """On a CPU: `precision: bf16` asks for the same on a GPU."""
    wanted = logits(segmenter)
    with torch.autocast("cpu", torch.bfloat16):
        found = logits(segmenter)
    assert not torch.equal(found, wanted)
    torch.testing.assert_close(found.float(), wanted, atol=0.05 * float(wanted.abs().max()), rtol=0)
