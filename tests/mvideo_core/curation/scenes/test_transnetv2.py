"""TransNetV2 without its public weights: a torch network of its kind at random weights stands behind the ONNX session.

What is tested: windows, their seams, both ends of the video, colors, clocks and promises. The network is TransNetV2's
trunk (dilated 3D convolutions in parallel, paired, pooled; Soucek & Lokoc 2020) without its two side branches for
similarity and histograms. The reference runs it over the whole padded video at once, as the authors' own script does:
windows of 100 frames every 50, of which the middle 50 count; the last frame repeated beyond the end.
"""

import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from mvideo_core.base.errors import ModelError
from mvideo_core.curation.scenes import SCENE_DETECTORS

WINDOW, STEP, EDGE = 100, 50, 25


class Dilated(nn.Module):
    """Four dilations in time, side by side."""

    def __init__(self, n_in, n_out):
        super().__init__()
        pairs = [
            nn.Sequential(
                nn.Conv3d(n_in, 2 * n_out, (1, 3, 3), padding=(0, 1, 1), bias=False),
                nn.Conv3d(2 * n_out, n_out, (3, 1, 1), dilation=(d, 1, 1), padding=(d, 0, 0), bias=False),
            )
            for d in (1, 2, 4, 8)
        ]
        self.branches = nn.ModuleList(pairs)
        self.norm = nn.BatchNorm3d(4 * n_out, eps=1e-3)

    def forward(self, x_BCTHW):
        return self.norm(torch.cat([branch(x_BCTHW) for branch in self.branches], 1))


class Trunk(nn.Module):
    """(B, 100, 27, 48, 3) uint8 -> (B, 100, 1) probabilities."""

    def __init__(self, filters=4, layers=2):
        super().__init__()
        sizes = [3] + [4 * filters * 2**n for n in range(layers)]
        self.stacks = nn.ModuleList(
            nn.ModuleList([Dilated(sizes[n], filters * 2**n), Dilated(sizes[n + 1], filters * 2**n)])
            for n in range(layers)
        )
        self.head = nn.Sequential(nn.Linear(sizes[-1] * 6 * 12, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, frames):
        x = frames.permute(0, 4, 1, 2, 3).float() / 255
        for first, second in self.stacks:
            x = torch.relu(first(x))
            x = nn.functional.avg_pool3d(torch.relu(second(x)) + x, (1, 2, 2))
        x = x.permute(0, 2, 3, 4, 1).flatten(2)
        return torch.sigmoid(self.head(x))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(4)
    torch.set_num_threads(1)
    return Trunk().eval()


@pytest.fixture
def detect(network, monkeypatch, tmp_path):
    """Runs the registered detector over frames; `threshold` is the probability that counts."""

    class Session:
        def __init__(self, path, providers):
            assert (Path(path).name, providers) == ("net.onnx", ["CPU"])

        def get_inputs(self):
            return [types.SimpleNamespace(name="frames", type="tensor(uint8)")]

        def run(self, names, feeds):
            with torch.inference_mode():
                return [network(torch.from_numpy(feeds["frames"])).numpy()]

    runtime = types.SimpleNamespace(InferenceSession=Session, get_available_providers=lambda: ["CPU"])
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"stands for the network above")

    def run(times, frames, threshold, min_scene_s=0.0):
        kind = SCENE_DETECTORS.get("transnetv2")
        detector = kind(kind.options_type(model_path=str(path), threshold=threshold, min_scene_s=min_scene_s))
        cuts, promised = [], float("-inf")
        for time_s, frame in zip(times, frames, strict=True):
            new = detector.feed(float(time_s), frame)
            assert all(cut >= promised for cut in new), "a cut before the time that was called settled"
            cuts, promised = cuts + new, detector.settled_s
        return cuts + detector.finish()

    return run


def footage(n, seed):
    """Scenes of 12 to 40 frames with a little motion, 128 x 72 BGR."""
    rng, frames = np.random.default_rng(seed), []
    while len(frames) < n:
        base = np.kron(rng.integers(0, 256, (9, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        frames += [np.roll(base, k, 1) for k in range(int(rng.integers(12, 40)))]
    return frames[:n]


def probabilities(network, frames):
    """One probability a frame, by the authors' windows over the whole video."""
    small = [cv2.resize(frame, (48, 27), interpolation=cv2.INTER_AREA)[..., ::-1] for frame in frames]
    left_over = len(small) % STEP or STEP
    padded = [small[0]] * EDGE + small + [small[-1]] * (EDGE + STEP - left_over)
    found = []
    with torch.inference_mode():
        for start in range(0, len(padded) - STEP, STEP):
            window = torch.from_numpy(np.stack(padded[start : start + WINDOW])[None])
            found += network(window)[0, EDGE:-EDGE, 0].tolist()
    return np.array(found[: len(small)])


def drawn(network, n):
    """Times at a variable rate, frames, a threshold a quarter of the frames pass, and when new shots then begin."""
    times = np.cumsum(np.where(np.arange(n) % 7 < 3, 0.021, 0.087))
    frames = footage(n, seed=n)
    scores = probabilities(network, frames)
    ordered = np.sort(scores)
    threshold = float(ordered[3 * n // 4 - 1] + ordered[3 * n // 4]) / 2
    marked = scores > threshold
    begins = np.flatnonzero(marked[:-1] & ~marked[1:]) + 1
    assert len(begins) >= 3, "the drawn video must make the random network change its mind"
    return times, frames, threshold, times[begins].tolist()


@pytest.mark.parametrize("n", [60, 100, 130, 275])
def test_cuts_are_those_of_the_network_over_the_whole_video(detect, network, n):
    times, frames, threshold, wanted = drawn(network, n)
    assert detect(times, frames, threshold) == wanted


def test_cuts_too_near_the_last_one_are_dropped(detect, network):
    times, frames, threshold, wanted = drawn(network, 130)
    kept = []
    for time_s in wanted:
        if not kept or time_s - kept[-1] >= 0.6:
            kept.append(time_s)
    assert len(kept) < len(wanted)
    assert detect(times, frames, threshold, min_scene_s=0.6) == kept


def test_no_frames_no_cuts(detect):
    assert detect([], [], 0.5) == []


def test_a_network_that_answers_otherwise_is_refused(detect, network, monkeypatch):
    monkeypatch.setattr(network.head[2], "bias", nn.Parameter(torch.tensor([float("nan")])))
    with pytest.raises(ModelError, match="expected 100 probabilities"):
        detect(np.arange(30) / 8, footage(30, 1), 0.5)
