"""Stages detect and segment: first frames as ever, keyframes with objects that come later, ids over clips of a shot."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from mvideo_core.base.records import Blob, ClipRow, DetectionRow, MaskRow, ObjectStats, TrackStats
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, stages_to_run
from mvideo_core.curation.stages.samples import current_samples
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine import STAGES
from mvideo_core.engine.part import stage_settings
from mvideo_core.engine.run import run_stage
from mvideo_core.miniworld.world import sample_source, write_source
from mvideo_core.store.keys import row_digest, settings_digest
from mvideo_core.store.tables import from_parquet, to_parquet
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.perception.segmentation.walkers import ENTERS_LATE, LEAVES_AND_RETURNS, walkers

BOXES = DetectionRow(key="a_0", parent="a_0", boxes_xyxy=[[1.0, 2.0, 3.0, 4.5]], labels=["dog"], scores=[0.5],
                     model="m", weights_sha256="0")  # fmt: skip
MASKS = MaskRow(
    key="a_0", parent="a_0", masks=Blob(path="x", sha256="1", size_bytes=2), n_frames=9, width=4, height=4,
    objects=[ObjectStats(object_id=0, label="dog", detection_score=0.5, mask_score=0.5, visible_frac=1,
                         mean_area_frac=0.1, drift=0.1)],
)  # fmt: skip


def test_rows_and_keys_of_first_frames_are_those_of_before_there_was_a_choice():
    # Digests made by the version that knew first frames only; both stages were at revision 1.
    assert row_digest(BOXES).startswith("a65a7222da9b35dd")
    assert row_digest(MASKS).startswith("c5363a297ed16275")
    old = {"mini": ("a4b1d9379dc4b728", "19e0b744578198f7"), "mvideo-5b": ("cb01e5809eba2d88", "ad46a54989d0d74f")}
    for profile, keys in old.items():
        for name, key in zip(("detect", "segment"), keys, strict=True):
            stage, options = STAGES.get(name), load_profile(profile).of(name)
            assert settings_digest(name, 1, stage.content(options), {}).startswith(key)


@pytest.mark.parametrize(
    ("row", "change"),
    [
        (BOXES, {"frames": [0], "searched": [0, 8]}),
        (MASKS, {"tracks": [TrackStats(object_id=0, first_seen=8, seen_on=2, gone=[[0, 5]])]}),
    ],
)
def test_new_fields_enter_tables_and_digests_only_where_they_are_set(row, change):
    import pyarrow.parquet as pq
    from pyarrow import BufferReader

    set_too = row.model_copy(update={"key": "b_0", **change})
    plain, both = to_parquet([row], type(row)), to_parquet([row, set_too], type(row))
    assert not change.keys() & set(pq.read_schema(BufferReader(plain)).names)
    assert change.keys() <= set(pq.read_schema(BufferReader(both)).names)
    assert from_parquet(plain, type(row)) == [row]
    assert from_parquet(both, type(row)) == [row, set_too]
    assert row_digest(set_too) != row_digest(row.model_copy(update={"key": "b_0"}))


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """6.1 s at 8 frames/s: someone leaves and returns, someone else enters late."""
    folder = tmp_path_factory.mktemp("footage")
    shot = walkers([LEAVES_AND_RETURNS, ENTERS_LATE], 49 / 8)
    source = replace(sample_source(0, n_shots=1), name="x", width=288, height=192, fps=Fraction(8), shots=(shot,),
                     lengths=(49,))  # fmt: skip
    write_source(source, folder)
    return folder


def ran(footage, workspace, when):
    """A workspace with rows of all stages; the shot is cut into clips of 25 and 17 frames."""
    cut = {"min_shot_s": 1, "trim_s": 0, "min_frames": 17, "max_frames": 25}
    options = load_profile("mini", {"cut": cut, "detect": {"when": when}})
    plan_sources(workspace, SourceOptions(folder=str(footage)), options.plan)
    for name in stages_to_run(workspace, options):
        run_stage(workspace, STAGES.get(name), options.of(name), options.run)
    return options


def rows(workspace, name, row_class):
    marker = workspace.current(name, 0)
    return sorted(workspace.rows(marker, row_class), key=lambda row: row.key)


@pytest.mark.slow
def test_keyframes_find_who_comes_later_and_ids_hold_over_the_clips(footage, tmp_path):
    workspace = Workspace(str(tmp_path / "ws"))
    first = ran(footage, workspace, "first")
    plain = rows(workspace, "detect", DetectionRow)
    assert all(not row.searched and not row.frames for row in plain)
    options = ran(footage, workspace, "keyframes")
    assert stage_settings(STAGES.get("detect"), first.detect) != stage_settings(STAGES.get("detect"), options.detect)
    clips = rows(workspace, "cut", ClipRow)
    assert [clip.n_frames for clip in clips if clip.status == "ok"] == [25, 17]
    boxes, masks = rows(workspace, "detect", DetectionRow), rows(workspace, "segment", MaskRow)
    assert [row.searched for row in boxes] == [[0, 8, 16, 24], [0, 8, 16]]
    assert [boxes[0].boxes_xyxy[n] for n in boxes[0].on(0)] == plain[0].boxes_xyxy
    # Clip 1: one person at the start, the other from frame 24 on. Clip 2 starts at frame 25 with the other alone; the
    # first is back from frame 30 on, and completely in the picture at frame 34 = 9 of the clip.
    assert [[track.first_seen for track in row.tracks] for row in masks] == [[0, 24], [0, 16]]
    assert masks[0].tracks[0].hidden == []
    assert masks[0].tracks[0].gone[-1][1] == 25
    metas = [json.loads(sample.meta_json) for sample, *_ in current_samples(workspace)]
    assert [[track["shot_object"] for track in meta["tracks"]] for meta in metas] == [[0, 1], [1, 2]]
    assert metas[0]["detection"]["searched"] == [0, 8, 16, 24]
