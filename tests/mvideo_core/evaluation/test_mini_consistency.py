"""mini_consistency: whole frames, the right caption above wrong ones, on the shipped weights."""

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS, Metric
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.overall_consistency import load_viclip
from mvideo_core.evaluation.networks.mini_viclip import square_frames, whole_frames
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.miniworld.training.viclip_data import PairTexts, draw_shot
from mvideo_core.weights import find

N_SHOTS = 16


@pytest.fixture(scope="module")
def metric() -> Metric:
    torch.set_num_threads(1)
    metric_class = METRICS.get("mini_consistency")
    return metric_class.load(metric_class.Options())


@pytest.fixture(scope="module")
def clips() -> list[tuple[np.ndarray, PairTexts]]:
    """Two-second clips of shots that neither training nor the card's figures saw."""
    drawn = [draw_shot(seed, "heldout")[0] for seed in range(N_SHOTS)]
    return [(frames, texts) for frames, _, texts in drawn]


def score(metric: Metric, frames: np.ndarray, prompt: str) -> float:
    return metric.score(EvalVideo.of_arrays(frames, item=EvalItem(id="a", prompt=prompt))).value


def test_whole_frames_are_squeezed_not_cropped() -> None:
    """64 x 96 to 80 x 80: a white left quarter, 24 of 96 columns, stays a quarter, 20 of 80."""
    frames = np.zeros((1, 64, 96, 3), np.uint8)
    frames[:, :, :24] = 255
    square = square_frames(frames, 80)
    assert square.shape == (1, 3, 80, 80)
    assert square.dtype == torch.uint8
    assert (square[..., :19] == 255).all()
    assert (square[..., 21:] == 0).all()
    # white in CLIP's norm, red: (1 - 0.48145466) / 0.26862954
    assert float(whole_frames(frames, 80)[0, 0, 5, 5]) == pytest.approx(1.930336, abs=1e-5)


@pytest.mark.slow
def test_own_caption_above_other_captions(metric: Metric, clips: list[tuple[np.ndarray, PairTexts]]) -> None:
    table = np.array([[score(metric, frames, texts.plain) for _, texts in clips[:8]] for frames, _ in clips[:8]])
    own, others = table.diagonal().mean(), table[~np.eye(8, dtype=bool)].mean()
    assert own > others + 0.2
    assert (table.argmax(axis=1) == np.arange(8)).mean() >= 0.6  # by chance 1 in 8


@pytest.mark.parametrize("kind", ["class", "scene"])
def test_own_caption_above_wrong_ones(kind: str, metric: Metric, clips: list[tuple[np.ndarray, PairTexts]]) -> None:
    gaps = [
        score(metric, frames, texts.plain) - score(metric, frames, wrong)
        for frames, texts in clips
        for wrong in texts.wrong[kind][:1]
    ]
    assert len(gaps) >= 12
    assert np.mean(gaps) > 0
    assert np.mean(np.array(gaps) > 0) > 0.6


def test_unknown_animals_are_animals(metric: Metric, clips: list[tuple[np.ndarray, PairTexts]]) -> None:
    """No unseen class was trained on; its word is worth as much as "animal"."""
    frames = clips[0][0]
    told = [score(metric, frames, f"The {name} is walking on a green meadow.") for name in ("tiger", "deer", "animal")]
    assert told[0] == told[1] == told[2]
    assert told[0] != score(metric, frames, "The dog is walking on a green meadow.")


def test_same_code_as_the_public_network(metric: Metric) -> None:
    network, tokenizer, sha256 = load_viclip(find("mini", kind="metric"))
    assert metric.weights_sha256 == sha256
    assert tokenizer.size == network.sizes.vocabulary
    assert sum(path.stat().st_size for path in find("viclip-mini").iterdir()) < 1_500_000
    # the public layout, layer for layer: 12 tensors a block, 9 more of the video side, 5 of the text side, temp
    blocks = network.sizes.vision_layers + network.sizes.text_layers
    assert len(network.state_dict()) == 12 * blocks + 9 + 5 + 1


def test_item_without_prompt(metric: Metric) -> None:
    with pytest.raises(MediaError, match="no prompt"):
        score(metric, np.zeros((8, 64, 96, 3), np.uint8), " ")
