import json

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import TrustStats
from mvideo_core.perception.segmentation.options import GateOptions, SegmentOptions
from mvideo_core.perception.segmentation.trust import Bounds, TrustModel, find_model, trust_stats
from mvideo_core.perception.segmentation.trust_features import FEATURES
from tests.mvideo_core.perception.segmentation.test_gate import clip, stats_of

BOUNDS = Bounds(iou=0.7, share=0.95, frames=0.8, masklets=0.75, clips=40)
SCORE, SIZE = FEATURES.index("score"), FEATURES.index("size")


def model(**changed) -> TrustModel:
    """Two trees of depth 1: +2 if the score is above 0.5, else -2; +1 if the size is above -3, else 0."""
    values = {
        "segmenter": "sam2", "weights": {"model.safetensors": "12" * 32}, "data": "by hand", "features": list(FEATURES),
        "columns": [[SCORE], [SIZE]], "limits": [[0.5], [-3.0]], "values": [[-2.0, 2.0], [0.0, 1.0]], "bounds": BOUNDS,
    }  # fmt: skip
    return TrustModel(**(values | changed))


def rows(*pairs: tuple[float, float]) -> np.ndarray:
    """Features (1, N, F) of masks with this score and size."""
    found = np.zeros((1, len(pairs), len(FEATURES)), np.float32)
    for n, (score, size) in enumerate(pairs):
        found[0, n, SCORE], found[0, n, SIZE] = score, size
    return found


def logistic(value: float) -> float:
    return 1 / (1 + np.exp(-value))


def test_trees_by_hand():
    found = model().predict(rows((0.9, -2), (0.5, -2), (0.9, np.nan), (np.nan, -2)))
    assert found[0, :3] == pytest.approx([logistic(3), logistic(-1), logistic(2)])
    assert np.isnan(found[0, 3])  # no score: no mask
    scaled = model(slope=0.5, offset=0.25).predict(rows((0.9, -2)))
    assert scaled[0, 0] == pytest.approx(logistic(1.75))


def test_a_deeper_tree_by_hand():
    # Root: score above 0.5; left: size above -5, right: size above -1; leaves in order.
    deep = model(columns=[[SCORE, SIZE, SIZE]], limits=[[0.5, -5.0, -1.0]], values=[[1.0, 2.0, 3.0, 4.0]])
    found = deep.predict(rows((0.1, -6), (0.1, -4), (0.9, -2), (0.9, 0)))
    assert found[0] == pytest.approx([logistic(n) for n in (1, 2, 3, 4)])


def test_records_by_hand():
    trust = np.array([[0.9, np.nan], [0.799, np.nan], [np.nan, np.nan], [0.505, np.nan]])
    assert trust_stats(trust, BOUNDS) == [
        TrustStats(object_id=0, mean=0.7347, least=0.505, sure_frac=0.3333, percent=[90, 79, -1, 50]),
        TrustStats(object_id=1, mean=0.0, least=0.0, sure_frac=0.0, percent=[-1, -1, -1, -1]),
    ]


def test_a_file_is_read_back(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(model().model_dump(mode="json")))
    assert find_model(str(path), "sam2", {"model.safetensors": "12" * 32}) == model()


@pytest.mark.parametrize(("segmenter", "sha"), [("edgetam", "12" * 32), ("sam2", "34" * 32)])
def test_another_segmenter_is_refused(tmp_path, segmenter, sha):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(model().model_dump(mode="json")))
    with pytest.raises(ConfigError) as refused:
        find_model(str(path), segmenter, {"model.safetensors": sha})
    said = str(refused.value)
    assert "fitted for sam2 (model.safetensors 12121212)" in said
    assert f"the run uses {segmenter} (model.safetensors {sha[:8]})" in said
    assert "python -m mvideo_core.miniworld.training.trust" in said
    assert "\n" not in said


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2}', "\x00", "[" * 100_000])
def test_other_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "own.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"own\.json: not a fit of trust") as refused:
        find_model(str(path), "sam2", {})
    assert "\n" not in str(refused.value)


DAMAGED = {
    "a feature that is not there": ({"columns": [[99], [SIZE]]}, "tree 0 has the feature 99; expected 0 to"),
    "a feature below 0": ({"columns": [[SCORE], [-1]]}, "tree 1 has the feature -1"),
    "no trees": (
        {"columns": [], "limits": [], "values": []},
        "not a fit of trust (no trees)",
    ),
    "a tree without leaves": ({"values": [[-2.0, 2.0]]}, "2 columns, 2 limits and 1 values"),
    "a leaf gone": ({"values": [[-2.0], [0.0, 1.0]]}, "tree 0 has 1 columns, 1 limits and 1 values"),
    "a leaf of NaN": ({"values": [[-2.0, float("nan")], [0.0, 1.0]]}, "tree 0 has values that are not finite"),
    "a slope of NaN": ({"slope": float("nan")}, "slope nan, offset 0; expected finite"),
    "a bound beyond 1": ({"bounds": BOUNDS.model_dump() | {"frames": 7.0}}, "bounds: frames is 7"),
    "another version": ({"version": 2}, "version: Input should be 1"),
    "features of another version": ({"features": ["score"]}, "fitted to 1 features of another version; fit it again"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_fits_are_refused_in_one_line(tmp_path, name):
    change, words = DAMAGED[name]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(model().model_dump(mode="json") | change))
    with pytest.raises(ConfigError) as refused:
        find_model(str(path), "sam2", {"model.safetensors": "12" * 32})
    said = str(refused.value)
    assert str(path) in said
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("name", ["other", "no/such.json", "~/no-such-folder", "."])
def test_a_fit_that_is_not_there_is_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='no such file; use "mini" or the file of your own fit') as refused:
        find_model(name, "sam2", {})
    assert "\n" not in str(refused.value)


def test_the_shipped_fit_is_for_the_shipped_segmenter():
    from mvideo_core.engine.loaded_models import weights_digests
    from mvideo_core.perception.segmentation import SEGMENTERS

    weights = weights_digests(SEGMENTERS, "sam2", {"weights": "mini"}, "segmenter")
    shipped = find_model("mini", "sam2", weights)
    good, bad = rows((0.9, -3)), rows((0.2, -3))
    assert shipped.predict(good)[0, 0] > shipped.predict(bad)[0, 0]


def test_features_of_another_version_are_refused():
    with pytest.raises(ConfigError, match="fit it again"):
        model(features=["score"]).predict(rows((0.9, -2)))


def test_the_gate_drops_what_is_not_trusted():
    masks, scores = clip((0, 0, 4, 5), (0, 0, 4, 5)), [0.9, 0.9]
    assert stats_of(masks, scores, min_trust=0.6).kept  # nothing predicted
    from mvideo_core.masks import encode
    from mvideo_core.perception.segmentation.gate import object_stats

    trust = [TrustStats(object_id=0, mean=0.59, least=0.2, sure_frac=0.5)]
    for limit, kept in ((0.6, False), (0.59, True)):
        [one] = object_stats(
            encode(masks), np.array([scores]).T, ["dog"], [0.7], GateOptions(min_trust=limit), trust
        )  # fmt: skip
        assert one.kept == kept
    [one] = object_stats(encode(masks), np.array([scores]).T, ["dog"], [0.7], GateOptions(min_trust=0.6), trust)
    assert (one.drop_reason, one.drop_value, one.drop_threshold) == ("low_trust", 0.59, 0.6)


def test_a_limit_without_a_predictor_is_refused():
    with pytest.raises(ConfigError, match=r"min_trust is 0\.5 but trust"):
        SegmentOptions.parse({"gate": {"min_trust": 0.5}}, "segment")


def test_keys_know_trust_only_if_it_is_on():
    plain = SegmentOptions().content()
    assert "trust" not in plain
    assert "min_trust" not in plain["gate"]
    on = SegmentOptions.parse({"trust": {"model": "mini"}, "gate": {"min_trust": 0.5}}, "segment").content()
    assert on["trust"] == {"model": "mini", "features": False}
    assert on["gate"]["min_trust"] == 0.5
