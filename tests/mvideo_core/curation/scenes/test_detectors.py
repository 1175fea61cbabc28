"""Every registered detector finds plain cuts at the right PTS, also at a variable rate."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes.adaptive import content_change, edge_correlation, to_hsv

WEIGHTLESS = ["adaptive", "content", "hash", "histogram"]


def scene(seed, n):
    """A still texture with a little noise."""
    rng = np.random.default_rng(seed)
    base = np.kron(rng.integers(0, 256, (9, 16, 3)), np.ones((10, 10, 1)))
    return [np.uint8((base + rng.normal(0, 2, base.shape)).clip(0, 255)) for _ in range(n)]


def cuts_of(name, times, frames):
    detector_type = SCENE_DETECTORS.get(name)
    detector = detector_type(detector_type.options_type())
    cuts, promised = [], float("-inf")
    for time_s, frame in zip(times, frames, strict=True):
        new = detector.feed(time_s, frame)
        assert all(cut >= promised for cut in new)
        cuts, promised = cuts + new, detector.settled_s
    return cuts + detector.finish()


def test_all_are_registered():
    assert set(WEIGHTLESS) | {"transnetv2"} == set(SCENE_DETECTORS.names())


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_two_cuts_at_a_constant_rate(name):
    frames = scene(1, 40) + scene(2, 50) + scene(3, 40)
    assert cuts_of(name, np.arange(130) / 25, frames) == pytest.approx([1.6, 3.6], abs=1e-5)


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_two_cuts_at_a_variable_rate(name):
    times = np.cumsum(np.where(np.arange(130) % 7 < 3, 0.02, 0.09))
    frames = scene(4, 40) + scene(5, 50) + scene(6, 40)
    assert cuts_of(name, times, frames) == pytest.approx([times[40], times[90]], abs=1e-5)


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_no_cut_in_one_scene(name):
    assert cuts_of(name, np.arange(90) / 25, scene(7, 90)) == []


def test_transnet_without_weights_says_where_to_get_them():
    network = SCENE_DETECTORS.get("transnetv2")
    with pytest.raises(ModelError, match="model_path"):
        network(network.options_type())


def test_unknown_detector_lists_the_known():
    with pytest.raises(ConfigError, match=r"adaptive, content, hash, histogram, transnetv2"):
        SCENE_DETECTORS.get("magic")


def test_faint_cut_between_scenes_of_like_colors_and_flicker_in_one():
    rng = np.random.default_rng(8)
    one, two = (np.kron(rng.integers(80, 140, (18, 32, 1)), np.ones((5, 5, 3))) for _ in range(2))
    assert content_change(to_hsv(np.uint8(one)), to_hsv(np.uint8(two))) < 15
    frames = [np.uint8(one)] * 40 + [np.uint8(two)] * 40
    assert cuts_of("adaptive", np.arange(80) / 25, frames) == pytest.approx([1.6], abs=1e-5)
    flicker = [np.uint8(one)] * 40 + [np.uint8(one * 1.2)] * 40
    assert content_change(to_hsv(flicker[39]), to_hsv(flicker[40])) > 5
    assert edge_correlation(flicker[39], flicker[40]) > 0.95
    assert cuts_of("adaptive", np.arange(80) / 25, flicker) == []
