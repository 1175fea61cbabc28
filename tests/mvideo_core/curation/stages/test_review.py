"""Decisions of a reviewer, obeyed by the next run, and seen in the shards by tarfile."""

import json
import tarfile
from pathlib import Path

import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import ClipRow, DetectionRow, MaskRow
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, run_pipeline
from mvideo_core.engine.chain import valid_markers
from mvideo_core.masks import from_bytes
from mvideo_core.store.decisions import DECISIONS, Decision, DecisionFile, masks_id
from mvideo_core.store.keys import part_key
from mvideo_core.store.workspace import Marker, Workspace
from tests.e2e.tiny import draw_videos, write_models, write_profile

BOX = (30.0, 5.0, 60.0, 35.0)


class Project:
    """Two videos of three clips in two parts, run once without decisions."""

    def __init__(self, folder: Path):
        torch.set_num_threads(1)
        self.folder = folder
        draw_videos(folder / "videos", 2, shots=3)
        write_profile(folder / "tiny.yaml", write_models(folder / "models"))
        self.workspace = Workspace(str(folder / "ws"))
        self.file = DecisionFile(self.workspace)
        self.warnings: list[str] = []
        self.run()
        self.clips = sorted(self.workspace.current_rows("cut", ClipRow), key=lambda row: row.key)
        self.first_rows, self.first_markers, self.first = self.rows(), self.markers(), self.samples()

    def run(self, **values) -> None:
        options = load_profile(str(self.folder / "tiny.yaml"), values)
        self.warnings = run_pipeline(
            self.workspace, SourceOptions(folder=str(self.folder / "videos")), options
        ).warnings  # fmt: skip

    def rows(self) -> dict[str, MaskRow]:
        return {row.key: row for row in self.workspace.current_rows("segment", MaskRow)}

    def markers(self) -> list[Marker]:
        return [marker for _, marker in valid_markers(self.workspace, "segment") if marker is not None]

    def samples(self) -> dict[str, dict[str, bytes]]:
        """Members of every sample of the current dataset, read with tarfile alone."""
        found: dict[str, dict[str, bytes]] = {}
        folder = self.folder / "ws" / self.workspace.pointer("dataset")["path"]
        for path in (folder if folder.is_dir() else folder.parent).rglob("*.tar"):
            with tarfile.open(path) as tar:
                for member in tar:
                    key, extension = member.name.split(".", 1)
                    found.setdefault(key.rsplit("/")[-1], {})[extension] = tar.extractfile(member).read()
        return found

    def decide(self, clip: int, action: str, **values) -> None:
        row = self.clips[clip]
        if "object" in values:
            boxes = {one.key: one for one in self.workspace.current_rows("detect", DetectionRow)}[row.key]
            made = self.first_rows[row.key]
            values = {"masks": masks_id(boxes, made.model, made.weights_sha256)} | values
        self.file.put(Decision(clip=row.clip.sha256, action=action, **values))

    def start_over(self) -> None:
        self.workspace.folder.write(DECISIONS, b"# nothing yet\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("review"))


@pytest.fixture
def project(shared: Project) -> Project:
    shared.start_over()
    return shared


def test_decisions_reach_the_shards_and_touch_no_other_part(project):
    keys = [clip.key for clip in project.clips]
    assert sorted(project.first) == keys
    for marker in project.first_markers:  # what keys were before there were decisions
        assert set(marker.inputs) == {"cut", "detect"}
        assert marker.key == part_key(marker.settings, marker.inputs)
    project.decide(0, "relabel", object=0, label="zebra")
    project.decide(0, "box", object=1, frame=9, box_xyxy=BOX)
    project.decide(0, "box", object=2, frame=4, box_xyxy=BOX, label="boat")
    project.decide(1, "reject")
    assert [marker is None for _, marker in valid_markers(project.workspace, "segment")].count(True) == 1
    project.run()
    assert not project.warnings
    samples, rows = project.samples(), project.rows()
    assert sorted(samples) == [key for key in keys if key != keys[1]]
    assert (rows[keys[1]].status, rows[keys[1]].reason, rows[keys[1]].masks) == ("filtered", "rejected", None)
    objects = json.loads(samples[keys[0]]["json"])["objects"]
    before = json.loads(project.first[keys[0]]["json"])["objects"]
    assert [one["label"] for one in objects] == ["zebra", before[1]["label"], "boat"]
    old, new = (from_bytes(one[keys[0]]["masks"]).pixels() for one in (project.first, samples))
    assert (new[:, 0] == old[:, 0]).all()
    assert (new[:, 1] != old[:, 1]).any()
    assert new.shape[1] == 3
    assert "zebra" in samples[keys[0]]["txt"].decode()
    for key in keys[2:]:
        assert samples[key] == project.first[key]
    old_keys, new_keys = ({one.key for one in found} for found in (project.first_markers, project.markers()))
    assert len(old_keys & new_keys) == 1  # the other video's part was not run
    changed = next(one for one in project.markers() if one.key not in old_keys)
    assert (changed.counts["items"], changed.counts["reused"]) == (3, 1)
    project.start_over()
    project.run()
    assert (project.markers(), project.rows()) == (project.first_markers, project.first_rows)
    assert project.samples() == project.first


def test_an_accepted_clip_passes_the_gate(project):
    strict = {"segment": {"gate": {"min_area_frac": 1.0}}}
    project.decide(3, "accept")
    project.run(**strict)
    assert sorted(project.samples()) == [project.clips[3].key]
    rows = project.rows()
    assert {row.reason for row in rows.values()} == {None, "no_object_passed"}
    assert [one.kept for one in rows[project.clips[3].key].objects] == [True, True]
    project.start_over()
    project.run()
    assert project.samples() == project.first


def test_a_decision_about_something_else_is_named_and_not_obeyed(project):
    project.decide(0, "relabel", object=0, label="zebra", masks="f" * 16)
    project.file.put(Decision(clip="0" * 64, action="reject", name="gone_clip"))
    project.run()
    assert project.samples() == project.first
    assert [one.split(": ", 2)[1].rsplit("/", 1)[1] for one in project.warnings] == [
        "decisions.jsonl line 2", "decisions.jsonl line 3"
    ]  # fmt: skip
    assert "decided about masks of other boxes" in project.warnings[0]
    assert "no clip with boxes has the contents of gone_clip; ignored" in project.warnings[1]


def test_a_decision_that_does_not_fit_stops_the_run_with_its_line(project):
    project.decide(0, "box", object=0, frame=17, box_xyxy=BOX)
    with pytest.raises(ConfigError, match="line 2: frame 17, but the clip has frames 0 to 16"):
        project.run()
    project.start_over()
    project.run()
    assert project.samples() == project.first
