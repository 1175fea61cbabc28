"""temporal_flickering: numbers by hand, and VBench's."""

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.temporal_flickering import measure_flickering
from mvideo_core.evaluation.video import EvalVideo
from tests.goldens.vbench_inputs import VIDEOS, goldens, video_path


def test_by_hand() -> None:
    """Four values of 4 x 4 x 3 = 48 change by 51, then nothing: means 4.25 and 0, score 1 - 2.125 / 255."""
    frames = np.full((3, 4, 4, 3), 100, np.uint8)
    frames[1:, 0, :, 1] = 151
    score = measure_flickering(frames)
    assert score.value == pytest.approx(1 - 2.125 / 255, abs=1e-12)
    assert score.per_frame == (pytest.approx(1 - 4.25 / 255), 1.0)


def test_no_wrap_around_of_bytes() -> None:
    """0 and 255 differ by 255, not by 1."""
    frames = np.stack([np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)])
    assert measure_flickering(frames).value == 0


def test_static_video_is_1_and_one_frame_an_error() -> None:
    frames = np.full((5, 8, 8, 3), 7, np.uint8)
    assert measure_flickering(frames).value == 1
    with pytest.raises(MediaError, match="at least 2"):
        measure_flickering(frames[:1])


def test_long_is_the_mean_of_clips() -> None:
    """At 2 fps, clips of 1 s: frames 0-1, 2-3 and, borrowed, 3-4; only 3 -> 4 changes, from black to white."""
    frames = np.zeros((5, 2, 2, 3), np.uint8)
    frames[4] = 255
    metric_class = METRICS.get("temporal_flickering")
    metric = metric_class.load(metric_class.Options(protocol="long", clip_s=1))
    score = metric.score(EvalVideo.of_arrays(frames, fps=2.0))
    assert score.value == pytest.approx(2 / 3)
    assert score.details == {"n_frames": 5, "n_clips": 3, "clip_0": 1, "clip_1": 1, "clip_2": 0}


@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench(name: str) -> None:
    metric_class = METRICS.get("temporal_flickering")
    video = EvalVideo(EvalItem(id=name, video=str(video_path(name))))
    score = metric_class.load(metric_class.Options()).score(video)
    assert score.value == pytest.approx(goldens()["temporal_flickering"][name], abs=1e-6)
