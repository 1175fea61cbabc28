import json

import numpy as np
import pytest

from benchmarks.trust import SETS, Masks, figures, main, reliability
from mvideo_core.miniworld.training.trust_data import Labeled
from mvideo_core.perception.segmentation.trust_features import FEATURES
from tests.mvideo_core.perception.segmentation.test_trust import model


def masks(*rows: tuple[float, float, float, float, float, bool]) -> Masks:
    """Rows of trust, mean trust, J, score, mean score, kept."""
    return Masks(*(np.array(column) for column in zip(*rows, strict=True)))


def test_figures_by_hand():
    clips = [
        masks((0.9, 0.8, 0.9, 0.9, 0.9, True), (0.7, 0.8, 0.6, 0.9, 0.9, True)),
        masks((0.85, 0.6, 0.2, 0.9, 0.9, True), (0.35, 0.6, 0.8, 0.1, 0.9, False)),
    ]
    found = figures(clips, model())  # limits: 0.8 for masks, 0.75 for masklets
    assert found["masks"] == 4
    assert found["masks with J < 0.5"] == 0.25
    assert found["AUROC, J < 0.5: trust"] == pytest.approx(1 / 3)
    assert found["AUROC, J < 0.5: score of the mask"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert found["every mask: share with J >= 0.7"] == 0.5
    assert found["gate without trust: kept"] == 0.75
    assert found["gate without trust: share with J >= 0.7"] == pytest.approx(1 / 3)
    assert found["trust of the mask >= 0.8: kept"] == 0.5
    assert found["trust of the mask >= 0.8: share with J >= 0.7"] == 0.5
    assert found["mean trust of the masklet >= 0.75: share with J >= 0.7"] == 0.5
    assert found["mean error of trust"] == pytest.approx((0 + 0.1 + 0.65 + 0.45) / 4)
    assert reliability(clips, 2) == [(0.35, 0.8, 1), pytest.approx((2.45 / 3, 1.7 / 3, 3))]


def test_table_chart_and_json_of_measured_clips(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for first in SETS.values():
        for number in range(2):
            features = rng.uniform(0, 1, (5, 2, len(FEATURES))).astype(np.float32)
            one = Labeled(features, features[..., 0], np.ones((2, 4), np.float32))
            name = first._replace(seed=first.seed + number).name
            np.savez(tmp_path / f"{name}.npz", **one._asdict())
    fit = tmp_path / "trust.json"
    fit.write_text(json.dumps(model().model_dump(mode="json")))
    main(
        [
            "table",
            str(tmp_path),
            "--model",
            str(fit),
            "--chart",
            str(tmp_path / "c.svg"),
            "--out",
            str(tmp_path / "o.json"),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| | held-out: 2 clips | held-out, keyframes: 2 clips | shifted look: 2 clips |"
    assert any(line.startswith("| AUROC, J < 0.5: trust |") for line in lines)
    held = json.loads((tmp_path / "o.json").read_text())
    assert held["figures"]["shifted look"]["masks"][0] == 20
    assert sum(n for _, _, n in held["calibration"]["held-out"]) == 20
    assert (tmp_path / "c.svg").read_text().startswith("<svg")
