import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.transition_videos import Video, draw_video, replace_part
from benchmarks.transition_windows import (
    blend_spans,
    fit_logistic,
    label_windows,
    label_wipes,
    space_frames,
)
from benchmarks.transitions import TASKS, fit, main, score
from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.scenes import gradual, wipes
from mvideo_core.miniworld.world.source import sample_source


def checks(squares, colors):
    """A still picture of colored squares."""
    y, x = np.mgrid[:72, :128]
    odd = ((x // squares + y // squares) % 2)[..., None]
    return odd * np.float32(colors[0]) + (1 - odd) * np.float32(colors[1])


def film(mixed=24):
    """Two still pictures; frames 60 to 60 + mixed - 1 hold the dissolve."""
    a, b = checks(30, [(200, 60, 30), (30, 90, 220)]), checks(17, [(20, 160, 90), (240, 230, 200)])
    shares = np.clip((np.arange(150) - 59) / (mixed + 1), 0, 1)
    frames = np.stack([np.uint8((1 - share) * a + share * b) for share in shares])
    return Video(Fraction(25), frames, [("dissolve", 60, 60 + mixed)])


def pan():
    """One picture under a moving camera."""
    picture = checks(17, [(20, 160, 90), (240, 230, 200)]).astype(np.uint8)
    return Video(Fraction(25), np.stack([np.roll(picture, k, axis=1) for k in range(150)]), [])


def test_spans_of_blends_by_hand():
    joins = [("hard", 10, 10), ("dissolve", 50, 70), ("fade", 100, 120)]
    # clean pictures at 49 and 70; light falls from frame 99 to black at 109, rises from black at 110 to 120
    assert blend_spans(joins) == [(49, 70), (99, 109), (110, 120)]


def test_labels_by_hand():
    first, last = np.array([(10, 20), (11, 19), (0, 10), (14, 30), (20, 26), (30, 40)]).T
    # of the span 10 to 20: all, 8 of 10, only the end, 6 of 20, only the end, nothing
    assert label_windows(first, last, [(10, 20)], 0.75).tolist() == [1, 1, 0, -1, 0, 0]
    assert label_windows(first, last, [(10, 20), (14, 31)], 0.75).tolist() == [1, 1, 0, 1, -1, -1]
    assert label_windows(first, last, [(10, 20)], 0.75, margin=5).tolist() == [1, 1, -1, -1, -1, 0]


def test_frames_a_finder_looks_at():
    assert space_frames(9, 25, 0.08).tolist() == [0, 2, 4, 6, 8]
    assert space_frames(9, 30, 0.08).tolist() == [0, 3, 6]


@pytest.mark.parametrize(("pattern", "inside"), [(0, (6, 1)), (1, (1, 6)), (3, (4, 4))])
def test_a_share_of_the_picture_is_replaced(pattern, inside):
    old, new = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    replaced = [(replace_part(old, new, share, pattern)[..., 0] > 0) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert (replaced[0].sum(), replaced[-1].sum()) == (0, 64)
    for less, more in itertools.pairwise(replaced):
        assert (less <= more).all()
    if pattern < 2:
        assert [one.sum() for one in replaced] == [0, 16, 32, 48, 64]
        assert not replaced[2][inside[::-1]]
    else:
        assert replaced[1][inside]


def test_the_frames_of_a_drawn_blend_are_those_that_the_truth_names():
    seed = next(seed for seed in range(50) if sample_source(seed, "train", n_shots=2).joins[0].kind == "fade")
    video = draw_video(seed, "train", "blends", 2, 2.0)
    ((first, black), (dark, last)) = blend_spans(video.joins)
    light = video.frames_THWC.mean((1, 2, 3))
    assert light[black] == light[dark] == 0
    assert (np.diff(light[first : black + 1]) < 0).all()
    assert (np.diff(light[dark : last + 1]) > 0).all()
    assert light[first - 1] == pytest.approx(light[first], rel=0.1)  # not darkened yet
    assert light[first + 1] < 0.97 * light[first]


def test_drawn_wipes_change_sides_where_the_truth_says():
    video = draw_video(1, "train", "wipes", 2, 2.0)
    ((kind, start, end),) = video.joins
    assert kind == "wipe"
    step = np.abs(np.diff(video.frames_THWC.astype(np.float32), axis=0)).mean((1, 2, 3))
    mixed = step[start - 1 : end]
    assert mixed.min() > max(step[: start - 1].max(), step[end:].max())
    measures, labels = label_wipes(video)
    assert measures.shape == (len(labels), 5)
    assert labels.sum() > 0


def test_logistic_regression_finds_the_odds_that_drew_the_labels():
    draw = np.random.default_rng(0)
    measures = draw.normal([3.0, 0.1, 0.2, 1.0], [1.0, 0.05, 0.1, 0.5], (40_000, 4)).astype(np.float32)
    wanted = gradual.BlendWeights(distance=1.0, line=-20.0, energy=5.0, sag=-1.0, constant=-1.5)
    odds = gradual.add_evidence(measures, wanted)
    labels = (draw.random(len(measures)) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    assert np.allclose(fit_logistic(measures, labels, 0.0), wanted, rtol=0.1, atol=0.1)
    assert abs(fit_logistic(measures, labels, 10.0)[1]) < 1  # pulled to zero


def test_fitted_on_one_film_the_finder_finds_the_dissolve_of_another():
    task = TASKS["blends"]
    found = fit(task, [film(24), film(12), pan()], 1e-4)
    assert min(found.n_transitions, found.n_others) > 0
    assert score(task, [film(18), pan()], found.weights).f1 == 1
    assert score(task, [film(18)], found.weights._replace(constant=-1e6)).misses == 1
    assert score(task, [film(18)._replace(joins=[])], found.weights).false_alarms == 1


def test_videos_without_a_transition_are_refused():
    with pytest.raises(ConfigError, match="no slow transition in 1 training videos; draw more"):
        fit(TASKS["blends"], [film()._replace(joins=[])], 1e-4)


@pytest.mark.parametrize(
    ("finder", "shipped"), [("blends", gradual.WEIGHTS), pytest.param("wipes", wipes.WEIGHTS, marks=pytest.mark.slow)]
)
def test_the_command_writes_both_weights_and_both_scores(finder, shipped, tmp_path, capsys):
    out = tmp_path / "report" / "weights.json"
    main([finder, "--out", str(out), "--train", "3", "--heldout", "1", "--shots", "3", "--shot-s", "2"])
    report = json.loads(out.read_text())
    assert report["shipped"]["weights"] == shipped._asdict()
    assert set(report["fitted"]) == set(report["shipped"])
    assert set(report["fitted"]["weights"]) == set(report["shipped"]["weights"])
    assert report["windows"]["transitions"] > 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{finder}: F1 ")


def test_shots_too_short_for_their_transitions_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["wipes", "--out", "x.json", "--shot-s", "1"])
    assert "--shot-s 1: 2 or more" in capsys.readouterr().err
