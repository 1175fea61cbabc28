"""The fit of trust: trees on data whose answer is known, limits checked by simulation, truth by hand."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.masks import encode
from mvideo_core.miniworld.training.trust import fit, gather
from mvideo_core.miniworld.training.trust_data import Labeled, true_j
from mvideo_core.miniworld.training.trust_trees import NEVER, TreeOptions, auroc, find_limit, fit_scale, grow
from mvideo_core.perception.segmentation.trust_features import FEATURES
from tests.mvideo_core.perception.segmentation.test_trust import model


def logistic(values):
    return 1 / (1 + np.exp(-values))


def test_trees_learn_what_no_single_feature_shows():
    rng = np.random.default_rng(0)
    features = rng.uniform(-1, 1, (4000, len(FEATURES))).astype(np.float32)
    target = np.where((features[:, 3] > 0.2) ^ (features[:, 7] > -0.1), 0.9, 0.1)
    options = TreeOptions(trees=60, rate=0.3, groups=1.0, features=1.0)
    trees = grow(features[:3000], target[:3000], np.arange(3000), options)
    found = logistic(model(**trees._asdict()).sum_of_trees(features[3000:]))
    assert np.abs(found - target[3000:]).mean() < 0.05


def test_unknown_values_are_a_side_of_their_own():
    features = np.zeros((400, len(FEATURES)), np.float32)
    features[:, 5] = np.linspace(-1, 1, 400)
    features[::2, 5] = np.nan
    target = np.where(np.isnan(features[:, 5]), 0.2, 0.8)
    trees = grow(features, target, np.arange(400), TreeOptions(trees=80, rate=0.3, ridge=1, groups=1.0, features=1.0))
    found = logistic(model(**trees._asdict()).sum_of_trees(features))
    assert found == pytest.approx(target, abs=0.02)


def test_scale_is_found():
    total = np.linspace(-3, 3, 601)
    slope, offset = fit_scale(total, logistic(0.6 * total - 0.4))
    assert (slope, offset) == (pytest.approx(0.6, abs=1e-6), pytest.approx(-0.4, abs=1e-6))


def test_auroc_by_hand():
    wrong = np.array([True, True, False, False])
    assert auroc(np.array([0.1, 0.4, 0.4, 0.8]), wrong) == 0.875  # three pairs in order, one tied
    assert auroc(np.array([0.8, 0.8, 0.1, 0.1]), wrong) == 0.0
    assert np.isnan(auroc(np.ones(4), np.zeros(4, bool)))


def draw(rng, n_clips):
    """Clips of 60 masks. Trust is overconfident, and by how much differs from clip to clip."""
    trust = [rng.beta(4, 1, 60) for _ in range(n_clips)]
    right = [rng.random(60) < np.clip(1 - 1.6 * (1 - one) ** 1.2 * rng.gamma(2, 0.5), 0, 1) for one in trust]
    return trust, right


def balance(trust, right, limit, share):
    """Mean over clips of right and kept masks, minus `share` of the kept ones: at least 0 if the promise holds."""
    return np.mean([((one >= limit) * (good - share)).mean() for one, good in zip(trust, right, strict=True)])


def test_the_limit_keeps_its_promise_on_average_over_draws():
    rng = np.random.default_rng(0)
    future = draw(rng, 2000)
    limits = np.array([find_limit(*draw(rng, 200), share=0.9) for _ in range(60)])
    assert (limits < NEVER).mean() > 0.95
    at = {limit: balance(*future, limit, 0.9) for limit in np.unique(limits)}
    assert np.mean([at[limit] for limit in limits]) >= 0
    kept, right = np.zeros(2)
    for limit in limits:
        chosen = np.concatenate(future[0]) >= limit
        kept, right = kept + chosen.sum(), right + np.concatenate(future[1])[chosen].sum()
    assert 0.9 <= right / kept < 0.93  # and it is not bought with a needlessly high limit
    assert balance(*future, 0.0, 0.9) < 0  # without a limit, the promise would be broken


def test_too_few_clips_give_no_limit():
    trust, right = [np.full(10, 0.9)] * 10, [np.ones(10, bool)] * 10
    assert find_limit(trust, right, 0.95) == NEVER  # 10 clips without a fault are no proof of 5%
    assert find_limit(trust * 2, right * 2, 0.95) == 0.0  # 20 * 0.05 >= 0.95 are


def test_truth_belongs_to_the_object_under_the_box():
    found, truth = np.zeros((3, 2, 10, 20), bool), np.zeros((3, 2, 10, 20), bool)
    truth[:, 0, :, 0:4], truth[:2, 1, :, 10:14] = True, True
    found[0, 0, :, 0:4], found[1, 0, :, 0:2] = True, True  # exact, then half
    found[2, 0, :, 10:14] = True  # where the other object was
    found[1:, 1, :, 12:16] = True  # first seen on frame 1: a third of the second object, which is gone on frame 2
    j = true_j(encode(found), encode(truth), {1: 1})
    assert j[:, 0].tolist() == [1.0, 0.5, 0.0]
    assert np.isnan(j[0, 1])
    assert j[1:, 1].tolist() == [pytest.approx(1 / 3), 0.0]
    found[:, 1] = False
    found[:, 1, 0, 19] = True  # on nothing
    assert true_j(encode(found), encode(truth), {})[:, 1].tolist() == [0.0, 0.0, 0.0]


def labeled(rng, n_masklets=2, n_frames=16) -> Labeled:
    """A clip whose masks are right where their score is high."""
    features = rng.normal(size=(n_frames, n_masklets, len(FEATURES))).astype(np.float32)
    features[..., 0] = np.repeat(rng.choice([0.2, 0.3, 0.7, 0.8], (1, n_masklets)), n_frames, axis=0)
    j = np.where(features[..., 0] > 0.5, 0.9, 0.2).astype(np.float32)
    features[3, 0], j[3, 0] = np.nan, np.nan
    return Labeled(features, j, np.ones((n_masklets, 4), np.float32))


def test_a_fit_keeps_the_right_masks_and_says_what_it_is_for():
    rng = np.random.default_rng(0)
    clips = [labeled(rng) for _ in range(120)]
    found = fit(clips[:60], range(60), "sam2", {"a": "1"}, "drawn here", TreeOptions(trees=30))
    assert (found.segmenter, found.weights, found.data) == ("sam2", {"a": "1"}, "drawn here")
    assert found.bounds.clips == 60
    clips = clips[60:]
    trust = np.concatenate([found.predict(one.features).ravel() for one in clips])
    j = np.concatenate([one.j.ravel() for one in clips])
    assert np.isnan(trust).tolist() == np.isnan(j).tolist()
    known = ~np.isnan(j)
    assert np.abs(trust[known] - j[known]).mean() < 0.1
    kept = trust[known] >= found.bounds.frames
    assert (j[known][kept] >= 0.7).mean() >= 0.95
    assert kept.mean() > 0.4  # about half of the masks are right


@pytest.mark.slow
def test_limits_come_from_trees_that_have_not_seen_the_video():
    # What is right is random here, but each video has a mark of its own: trees that know it seem to be perfect.
    rng = np.random.default_rng(0)
    clips = []
    for number in range(60):
        one = labeled(rng)
        one.features[..., 0], one.features[..., 5] = rng.random(), number
        clips.append(one._replace(j=np.full_like(one.j, rng.choice([0.2, 0.9]))))
    options = TreeOptions(trees=40, rate=0.3, ridge=1.0, least=1.0, groups=1.0, features=1.0)
    found = fit(clips, range(60), "sam2", {}, "", options)
    seen = np.concatenate([found.predict(one.features).ravel() for one in clips])
    right = np.concatenate([one.j.ravel() for one in clips]) > 0.5
    assert seen[right].min() > seen[~right].max()
    assert found.bounds.frames == NEVER


def test_clips_of_one_video_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match="2 clips of one video"):
        fit([labeled(rng), labeled(rng)], [7, 7], "sam2", {}, "")


def test_clips_without_masks_are_refused():
    empty = Labeled(np.zeros((5, 0, len(FEATURES)), np.float32), np.zeros((5, 0), np.float32), np.zeros((0, 4)))
    with pytest.raises(ConfigError, match="no masks with known truth"):
        gather([empty])
