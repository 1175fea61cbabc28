"""The shipped mini detector on held-out shots, through the same code as the public weights."""

import numpy as np
import pytest
import torch

from mvideo_core.miniworld.training.detector import mini_arch
from mvideo_core.miniworld.training.detector_eval import Match, Tally, evaluate, frames, match
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions


@pytest.fixture(scope="module")
def mini():
    torch.set_num_threads(1)
    kind = DETECTORS.get("groundingdino")
    return kind.load(kind.Options())


@pytest.fixture(scope="module")
def held_out():
    return list(frames("heldout", 24, unseen=False, first_frame=True))


def test_it_is_the_package_class_at_the_trained_size(mini):
    assert type(mini.model).__module__ == "groundingdino.models.GroundingDINO.groundingdino"
    assert mini.arch == mini_arch()
    assert mini.model_name == "groundingdino/groundingdino"


@pytest.mark.slow
def test_first_frames_of_held_out_shots(mini, held_out):
    """A floor well under the model card's figures (400 shots), to notice a broken path, not a point of accuracy."""
    figures = evaluate(mini, DetectOptions(), iter(held_out)).figures()
    assert figures["objects"] > 40
    assert figures["recall"] > 0.7
    assert figures["precision"] > 0.7
    assert figures["class_accuracy"] > 0.85


def test_a_batch_gives_what_single_frames_give(mini, held_out):
    images = [sample.rgb for sample in held_out[:3]]
    together = mini.detect(images, DetectOptions().phrases())
    for image, found in zip(images, together, strict=True):
        (alone,) = mini.detect([image], DetectOptions().phrases())
        strong = alone.scores > 0.2
        np.testing.assert_allclose(found.scores[: strong.sum()], alone.scores[strong], atol=1e-4)
        np.testing.assert_allclose(found.boxes_xyxy[: strong.sum()], alone.boxes_xyxy[strong], atol=0.05)


def test_empty_scenery_holds_nothing(mini):
    grey = np.full((1, 480, 720, 3), 120, np.uint8)
    (found,) = mini.detect(grey, DetectOptions().phrases())
    assert (found.scores < 0.3).all()


def test_matching_by_hand():
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)
    found = Detections(
        np.array([[0, 0, 10, 9], [0, 0, 10, 8], [20, 0, 30, 4], [50, 50, 60, 60]], np.float32),
        np.array([0.9, 0.8, 0.7, 0.6], np.float32),
        ["dog", "dog", "cat", "cat"],
    )
    result = match(found, truth, np.array([[50, 50, 60, 62]], float))
    assert result == Match(pairs=[(0, 0)], missed=[1], wrong=[1, 2]), (
        "a double and a loose box are wrong, an ignored one is not"
    )
    tally = Tally()
    tally.add(found, ["dog", "cat"], truth, np.array([[50, 50, 60, 62]], float))
    figures = tally.figures()
    assert (figures["recall"], figures["precision"], figures["class_accuracy"]) == (0.5, 0.3333, 1.0)
    assert figures["mean_iou"] == 0.9
    assert figures["per_class"]["cat"] == {"objects": 1, "recall": 0.0, "class_accuracy": None, "false_positives": 1}
