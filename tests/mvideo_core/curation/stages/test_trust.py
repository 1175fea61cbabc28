"""Trust from the run to a fit of one's own, and back into rows, gate, report and shards; tiny random models."""

import io
import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import MaskRow, ShardRow
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, preflight, stages_to_run
from mvideo_core.curation.stages.samples import plan_dataset
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import run_stage
from mvideo_core.masks import encode, from_bytes
from mvideo_core.miniworld.training import trust
from mvideo_core.pages.data_report.build import build_report
from mvideo_core.pages.data_report.collect import ReportCounter
from mvideo_core.pages.data_report.data import ReportOptions
from mvideo_core.perception.segmentation.trust import read_model
from mvideo_core.perception.segmentation.trust_features import FEATURES
from mvideo_core.store.workspace import Workspace
from tests.e2e.tiny import draw_videos, write_models, write_profile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trust")
    draw_videos(folder / "videos", 2)
    write_profile(folder / "tiny.yaml", write_models(folder / "models"), part_size=2)
    return folder


def run(folder: Path, workspace: Workspace, **segment) -> list[MaskRow]:
    """All stages with these options of segment; returns its rows."""
    options = load_profile(str(folder / "tiny.yaml"), {"segment": segment})
    preflight(options, stages=["segment"])
    plan_sources(workspace, SourceOptions(folder=str(folder / "videos")), options.plan)
    for name in stages_to_run(workspace, options):
        run_stage(workspace, STAGES.get(name), options.of(name), options.run)
    return sorted(workspace.rows(workspace.current("segment", 0), MaskRow), key=lambda row: row.key)


@pytest.fixture(scope="module")
def fitted(folder):
    """A workspace with features, and a fit to made-up truth: the first object is right, the others are wrong."""
    workspace = Workspace(str(folder / "ws"))
    rows = run(folder, workspace, trust={"features": True})
    (folder / "truth").mkdir()
    for row in rows:
        masks = from_bytes(workspace.folder.read(row.masks.path)).pixels()
        masks[:, 1:] = ~masks[:, 1:]
        (folder / "truth" / f"{row.key}.masks").write_bytes(encode(masks).to_bytes())
    trust.main([str(folder / "fit"), "--workspace", str(folder / "ws"), "--truth", str(folder / "truth")])
    return workspace, rows, folder / "fit" / "trust.json"


def test_features_are_stored_for_a_fit(fitted):
    workspace, rows, _ = fitted
    assert len(rows) == 4
    for row in rows:
        held = np.load(io.BytesIO(workspace.folder.read(row.features.path)))
        assert held.shape == (row.n_frames, len(row.objects), len(FEATURES))
        masks = from_bytes(workspace.folder.read(row.masks.path)).pixels()
        assert (np.isnan(held[..., 0]) == ~masks.any(axis=(2, 3))).all()
        assert row.trust == []


def test_a_fit_knows_its_segmenter(fitted, folder):
    model = read_model(str(fitted[2]))
    assert model.segmenter == "sam2"
    assert list(model.weights) == ["model.safetensors"]
    assert model.data == f"{folder / 'ws'}: 4 clips of 2 videos"
    assert (model.bounds.clips, model.bounds.frames) == (4, 1.01)  # 4 clips prove nothing


def test_rows_gate_report_and_shards_carry_trust(fitted, folder):
    workspace, before, fit = fitted
    rows = run(folder, workspace, trust={"model": str(fit), "features": True}, gate={"min_trust": 0.0001})
    model = read_model(str(fit))
    for row, old in zip(rows, before, strict=True):
        expected = model.predict(np.load(io.BytesIO(workspace.folder.read(old.features.path))))
        percent = np.array([one.percent for one in row.trust]).T
        assert (percent == np.where(np.isnan(expected), -1, np.floor(100 * np.nan_to_num(expected)))).all()
        assert [one.mean for one in row.trust] == pytest.approx(np.nanmean(expected, axis=0).tolist(), abs=1e-4)
        assert all(one.kept for one in row.objects)
    options = load_profile(str(folder / "tiny.yaml")).shard
    run_stage(workspace, STAGES.get("shard"), options, parts=range(plan_dataset(workspace, options)))
    shard = next(row for row in workspace.rows(workspace.current("shard", 0), ShardRow) if row.tar)
    with tarfile.open(fileobj=io.BytesIO(workspace.folder.read(shard.tar.path))) as tar:
        metas = {name[:-5]: json.load(tar.extractfile(name)) for name in tar.getnames() if name.endswith(".json")}
    by_key = {row.key: row for row in rows}
    assert metas
    for key, meta in metas.items():
        assert meta["trust"] == [one.model_dump() for one in by_key[key].trust]
        assert len(meta["trust"][0]["percent"]) == meta["n_frames"]
    page = workspace.folder.read(build_report(workspace).path).decode()
    assert "Mean trust of an object" in page
    assert page.count('aria-label="Trust of ') == sum(len(row.objects) for row in rows)


def test_the_gate_drops_and_the_report_says_so(fitted, folder):
    workspace, _, fit = fitted
    rows = run(folder, workspace, trust={"model": str(fit), "features": True}, gate={"min_trust": 1.0})
    assert {(row.status, row.reason) for row in rows} == {("filtered", "no_object_passed")}
    for row in rows:
        for one, known in zip(row.objects, row.trust, strict=True):
            assert (one.drop_reason, one.drop_value, one.drop_threshold) == ("low_trust", known.mean, 1.0)
    counter = ReportCounter(ReportOptions())
    counter.add_part("segment", rows)
    [chart] = [one for one in counter.histograms() if one.name.startswith("Mean trust")]
    assert (chart.total, chart.limits) == (sum(len(row.objects) for row in rows), [1.0])


def test_a_fit_for_other_weights_is_refused_before_the_run(fitted, folder, tmp_path):
    own = json.loads(fitted[2].read_text())
    own["weights"] = {"model.safetensors": "ab" * 32}
    (tmp_path / "other.json").write_text(json.dumps(own))
    with pytest.raises(ConfigError, match=r"other\.json: fitted for sam2 \(model\.safetensors abababab\)"):
        run(folder, Workspace(str(tmp_path / "ws")), trust={"model": str(tmp_path / "other.json")})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--truth", "{folder}/videos"], "no masks named after a clip"),
        (["--truth", "{folder}/short"], "3 frames of 96 x 64 px, but clip .* has 17 of 96 x 64 px"),
        ([], "--workspace needs --truth"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(fitted, folder, capsys, words, message):
    (folder / "short").mkdir(exist_ok=True)
    key = fitted[1][0].key
    (folder / "short" / f"{key}.masks").write_bytes(encode(np.ones((3, 1, 64, 96), bool)).to_bytes())
    given = [str(folder / "no"), "--workspace", str(folder / "ws"), *(word.format(folder=folder) for word in words)]
    with pytest.raises(SystemExit):
        trust.main(given)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(message, said)
