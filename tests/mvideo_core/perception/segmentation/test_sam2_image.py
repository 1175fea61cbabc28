import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.perception.segmentation.sam2_image import Sam2ImageMode
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter

HEIGHT, WIDTH = 48, 80
BOXES = [np.array([[10, 8, 29, 29], [40, 20, 69, 43]], np.float32), np.zeros((0, 4), np.float32),
         np.array([[12, 8, 31, 29]], np.float32)]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def mode() -> Sam2ImageMode:
    return Sam2ImageMode(Sam2Segmenter.tiny(seed=3))


def frames() -> np.ndarray:
    drawn = np.full((3, HEIGHT, WIDTH, 3), 90, np.uint8)
    for t in range(3):
        drawn[t, 8:30, 10 + t : 30 + t] = (200, 40, 40)
        drawn[t, 20:44, 40 - t : 70 - t] = (30, 60, 220)
    return drawn


def stock_logits(network, frame: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(network)
    predictor._bb_feat_sizes = [(16, 16), (8, 8), (4, 4)]  # the package writes those of 1024 px input into the class
    predictor.set_image(frame)
    logits, _, _ = predictor.predict(box=boxes, multimask_output=False, return_logits=True)
    return logits.reshape(len(boxes), HEIGHT, WIDTH)


def test_logits_and_masks_equal_the_stock_image_predictor(mode):
    import torch.nn.functional as F

    drawn = frames()
    found = list(mode.segment(drawn, BOXES))
    assert [one.shape for one in found] == [(2, HEIGHT, WIDTH), (0, HEIGHT, WIDTH), (1, HEIGHT, WIDTH)]
    with torch.inference_mode():
        features = mode._features(drawn[[0, 2]])
        points = mode.segmenter._prompts(np.concatenate([BOXES[0], BOXES[2]]), HEIGHT, WIDTH)
        logits = mode._logits(features, torch.tensor([0, 0, 1]), points)
        got = F.interpolate(logits, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[:, 0].numpy()
    want = np.concatenate([stock_logits(mode.network, drawn[t], BOXES[t]) for t in (0, 2)])
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert np.array_equal(np.concatenate([found[0], found[2]]), got > 0)


def test_pass_sizes_change_no_mask(mode):
    boxes = [BOXES[0]] * 3
    whole = list(mode.segment(frames(), boxes))
    single = list(Sam2ImageMode(mode.segmenter, frames_per_pass=1).segment(frames(), boxes))
    assert all(np.mean(a != b) < 1e-3 for a, b in zip(whole, single, strict=True))


def test_what_does_not_fit_is_refused(mode):
    with pytest.raises(MediaError, match="boxes of 2 frames"):
        list(mode.segment(frames(), BOXES[:2]))

    class Other:
        model_name = "other"

    with pytest.raises(ConfigError, match="only with the segmenter 'sam2'"):
        Sam2ImageMode(Other())
