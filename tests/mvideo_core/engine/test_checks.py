"""Checks of whole stages: each on rows, then all through a run, `mvideo status` and the report."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mvideo_core.base.records import ClipRow, MaskRow, ObjectStats, ShardRow
from mvideo_core.cli.main import app
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PipelineOptions, load_profile
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.stages.cut import CutsInside
from mvideo_core.curation.stages.segment import STAGE as SEGMENT
from mvideo_core.curation.stages.segment import ObjectsPerClip
from mvideo_core.curation.stages.shard import EmptySplit
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.checks import check_stage, warnings_of
from mvideo_core.engine.part import run_part
from mvideo_core.engine.run import run_stage
from mvideo_core.engine.stage import Check
from mvideo_core.media.encode import write_mp4
from mvideo_core.pages.data_report.build import build_report
from mvideo_core.perception.segmentation.options import SegmentOptions
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.e2e.tiny import write_profile


def problems(check: Check, *rows: object) -> list[str]:
    for row in rows:
        check.add(row)
    return check.problems()


def objects(n_kept: int, n_dropped: int = 0) -> list[ObjectStats]:
    facts = {
        "label": "dog",
        "detection_score": 1,
        "mask_score": 1,
        "visible_frac": 1,
        "mean_area_frac": 0.1,
        "drift": 0,
    }
    return [ObjectStats(object_id=n, kept=n < n_kept, **facts) for n in range(n_kept + n_dropped)]


def test_a_cut_inside_a_clip_is_a_problem_from_the_given_fraction_on() -> None:
    rows = [ClipRow(key=f"c{n}", jumps=int(n in (3, 7))) for n in range(20)]
    gone = ClipRow.filter_row("d", "v", "shot_too_short", 1.0, 8.0)
    (found,) = problems(CutsInside(CutOptions(warn_jump_frac=0.09)), *rows, gone)
    assert found.startswith("2 of 20 clips seem to contain a cut (c3, ...; warn_jump_frac 0.09)")
    assert problems(CutsInside(CutOptions(warn_jump_frac=0.1)), *rows, gone) == []
    assert problems(CutsInside(CutOptions()), *rows[:3]) == []


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ([1, 1, 1, 1], ""),
        ([1, 0, 0, 0], "0.25 objects per clip on average over 4 clips (warn_few_objects 0.5)"),
        ([10, 9, 10, 9], "9.50 objects per clip on average over 4 clips (warn_many_objects 9)"),
        ([], ""),
    ],
)
def test_objects_per_clip_are_those_that_the_gate_kept(kept: list[int], words: str) -> None:
    rows = [MaskRow(key=f"c{n}", objects=objects(count, n_dropped=3)) for n, count in enumerate(kept)]
    failed = MaskRow.failure_row("f", "f", "MediaError", "", 1)
    found = problems(ObjectsPerClip(SegmentOptions()), *rows, failed)
    assert [words] == [line.partition(":")[0] for line in found] or (not words and not found)


def test_an_empty_split_is_a_problem_if_one_was_requested() -> None:
    rows = [ShardRow(key="train-000000", split="train"), ShardRow(key="train-000001", split="train")]
    (found,) = problems(EmptySplit(ShardOptions(test_frac=0.2)), *rows)
    assert "all videos are in train, so there is no test split" in found
    assert problems(EmptySplit(ShardOptions()), *rows) == []
    assert problems(EmptySplit(ShardOptions(test_frac=0.2)), *rows, ShardRow(key="test-000000", split="test")) == []


def test_limits_of_checks_do_not_change_the_keys_of_a_stage() -> None:
    for stage, name in ((SEGMENT, "warn_few_objects"), (STAGES.get("cut"), "warn_jump_frac")):
        assert stage.content(stage.options()) == stage.content(stage.options.parse({name: 0.3}))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A video with a hard cut in its middle, and a profile whose detector cannot find it."""
    rng = np.random.default_rng(0)
    shots = [np.kron(rng.integers(0, 256, (8, 12, 3)), np.ones((8, 8, 1))).astype(np.uint8) for _ in range(2)]
    (tmp_path / "videos").mkdir()
    write_mp4([shots[t >= 12] for t in range(24)], tmp_path / "videos/cut.mp4", 8)
    write_profile(tmp_path / "tiny.yaml", {"detector": "", "segmenter": ""})
    return tmp_path


def options(place: Path, threshold: float) -> PipelineOptions:
    blind = {"detector": "content", "detector_options": {"threshold": threshold}, "gradual": {"enabled": False}}
    return load_profile(str(place / "tiny.yaml"), {"cut": {**blind, "wipes": {"enabled": False}}})


def test_a_missed_cut_shows_in_the_run_in_status_and_in_the_report(place: Path) -> None:
    workspace, blind = Workspace(str(place / "ws")), options(place, 255)
    plan_sources(workspace, SourceOptions(folder=str(place / "videos")), blind.plan)
    run_stage(workspace, STAGES.get("ingest"), blind.of("ingest"))
    summary = run_stage(workspace, STAGES.get("cut"), blind.of("cut"))
    (warning,) = summary.warnings
    assert warning.startswith("1 of 1 clips seem to contain a cut (cut_000000000, ...; warn_jump_frac 0.02)")
    shown = CliRunner().invoke(app, ["status", "-w", str(place / "ws")])
    assert f"needs attention: cut: {warning}" in shown.output.splitlines()
    as_json = json.loads(CliRunner().invoke(app, ["status", "-w", str(place / "ws"), "--json"]).output)
    assert {line["stage"]: line["warnings"] for line in as_json if line["warnings"]} == {"cut": [warning]}
    report = build_report(workspace)
    assert report.warnings == [f"cut: {warning}"]
    assert 'id="h-warnings"' in (place / "ws" / report.path).read_text()
    # the cut is found: nothing to warn about, and the old warning is gone
    seeing = options(place, 27)
    assert run_stage(workspace, STAGES.get("cut"), seeing.of("cut")).warnings == []
    assert warnings_of(workspace, "cut") == []
    assert 'id="h-warnings"' not in (place / "ws" / build_report(workspace).path).read_text()


def test_a_result_is_stored_until_rows_or_options_change(place: Path) -> None:
    workspace, blind = Workspace(str(place / "ws")), options(place, 255)
    plan_sources(workspace, SourceOptions(folder=str(place / "videos")), blind.plan)
    for name in ("ingest", "cut"):
        run_stage(workspace, STAGES.get(name), blind.of(name))
    stored = place / "ws/heads/cut/checks.json"
    content = json.loads(stored.read_text()) | {"warnings": ["as stored"]}
    stored.write_text(json.dumps(content))
    assert check_stage(workspace, STAGES.get("cut"), blind.of("cut")) == ["as stored"]
    lenient = CutOptions.parse(blind.of("cut").model_dump() | {"warn_jump_frac": 1.0})
    assert check_stage(workspace, STAGES.get("cut"), lenient) == []
    assert check_stage(workspace, STAGES.get("cut"), blind.of("cut"))[0].startswith("1 of 1 clips")
    assert len(warnings_of(workspace, "cut")) == 1
    for damaged in ("", "[1]", '{"rows"', "[]"):
        stored.write_text(damaged)
        assert warnings_of(workspace, "cut") == []
        assert CliRunner().invoke(app, ["status", "-w", str(place / "ws")]).exit_code == 0
        assert len(check_stage(workspace, STAGES.get("cut"), blind.of("cut"))) == 1
    run_part(workspace, STAGES.get("cut"), 0, CutOptions.parse(blind.of("cut").model_dump() | {"crf": 20}))
    assert warnings_of(workspace, "cut") == []  # other clips, not checked yet


def test_a_limit_that_changed_after_the_rows_holds_in_the_report_too(place: Path) -> None:
    workspace, blind = Workspace(str(place / "ws")), options(place, 255)
    lenient = CutOptions.parse(blind.of("cut").model_dump() | {"warn_jump_frac": 1.0})
    plan_sources(workspace, SourceOptions(folder=str(place / "videos")), blind.plan)
    run_stage(workspace, STAGES.get("ingest"), blind.of("ingest"))
    assert run_stage(workspace, STAGES.get("cut"), lenient).warnings == []
    assert build_report(workspace).warnings == []
    (warning,) = run_stage(workspace, STAGES.get("cut"), blind.of("cut")).warnings  # the same rows
    assert build_report(workspace).warnings == [f"cut: {warning}"]
    assert warnings_of(workspace, "cut") == [warning]
    stored = place / "ws/heads/cut/checks.json"
    content = json.loads(stored.read_text())
    stored.write_text(json.dumps({name: content[name] for name in ("state", "rows", "warnings")}))  # as written before
    assert run_stage(workspace, STAGES.get("cut"), blind.of("cut")).warnings == [warning]
    assert build_report(workspace).warnings == [f"cut: {warning}"]
    for damaged in ("{}", "null", '"x"', '{"warn_jump_frac": 2}'):  # options that no version wrote
        stored.write_text(json.dumps(json.loads(stored.read_text()) | {"options": json.loads(damaged)}))
        assert len(build_report(workspace).warnings) <= 1
