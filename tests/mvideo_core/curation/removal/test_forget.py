"""`mvideo forget` on real workspaces: dry run, removal, kill and resume, what it refuses."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.records import ClipRow, SourceRow
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.removal.forget import Removal
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import switch_off
from mvideo_core.engine.run import run_stage
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.decisions import Decision, DecisionFile
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.curation.removal.material import Material, all_text, published_files


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    made = Material(tmp_path_factory.mktemp("forget"), 3, shots=1)
    made.build("all")
    made.build("without1", without=(1,))
    return made


@pytest.fixture
def workspace(material: Material, tmp_path: Path) -> Workspace:
    shutil.copytree(material.folder / "all", tmp_path / "ws")
    return Workspace(str(tmp_path / "ws"))


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return str(tmp_path / "certificate.json")


def never_saw(material: Material) -> dict[str, bytes]:
    return published_files(Workspace(str(material.folder / "without1")))


def names_of(workspace: Workspace, key: str) -> list[str]:
    """What a source and its clips are called: id, digests of files."""
    clips = [row for row in workspace.current_rows("cut", ClipRow) if row.parent == key]
    return [key, *(row.clip.sha256 for row in clips), *(row.source_sha256 for row in clips)]


def test_a_look_lists_everything_and_changes_nothing(workspace: Workspace, certificate: str) -> None:
    before = all_text(workspace)
    found = Removal(workspace, ["video1"], certificate).before
    assert all_text(workspace) == before
    assert not Path(certificate).exists()
    assert found.clips == found.samples == ["video1_000000000"]
    assert found.rows["cut"] == found.rows["segment"] == found.rows["caption"] == 1
    blobs = [path for path in before if path.startswith("blobs/") and "video1_" in path]
    assert {one.path for one in found.files} >= set(blobs)
    assert len(blobs) == 2, "a clip and its mask file"
    for one in found.files:
        assert hashlib.sha256((Path(workspace.url) / one.path).read_bytes()).hexdigest() == one.sha256
    for path in (path for path in before if path.endswith(".tar") and "video1_" in before[path]):
        assert path in {one.path for one in found.files}, "tars of the dataset and of the latents"
    pages = [path for path in before if path.startswith("reports/") and "video1" in path + before[path]]
    assert pages
    assert set(found.mentions) == set(pages)


@pytest.mark.parametrize("kind", ["id", "file", "name", "sha256"])
def test_a_source_is_named_by_id_file_or_digest(
    workspace: Workspace, material: Material, certificate: str, kind: str
) -> None:
    video = material.video(1)
    named = {
        "id": "video1", "file": str(video), "name": "video1.mp4",
        "sha256": hashlib.sha256(video.read_bytes()).hexdigest().upper(),
    }  # fmt: skip
    found = Removal(workspace, [named[kind]], certificate).before.sources
    assert [(one.key, one.why) for one in found] == [("video1", "named")]


def test_what_is_left_equals_a_build_that_never_saw_it(
    workspace: Workspace, material: Material, certificate: str
) -> None:
    called = names_of(workspace, "video1")
    clip = next(row.clip for row in workspace.current_rows("cut", ClipRow) if row.parent == "video1")
    for one in (clip.sha256, other := "ab" * 32):
        DecisionFile(workspace).put(Decision(clip=one, action="accept"))
    blob = Path(workspace.url) / clip.path
    sha256 = hashlib.sha256(blob.read_bytes()).hexdigest()
    steps: list[str] = []
    Removal(workspace, ["video1"], certificate).apply(steps.append)
    assert published_files(workspace) == never_saw(material)
    assert not blob.exists()
    for path, content in all_text(workspace).items():
        assert not [name for name in called if name in path or name in content], path
    assert [placed.decision.clip for placed in DecisionFile(workspace).read()] == [other]
    written = json.loads(Path(certificate).read_text())
    assert (written["status"], written["names"], written["steps"]) == ("finished", ["video1"], steps)
    assert {"path": clip.path, "sha256": sha256, "size_bytes": clip.size_bytes} in written["before"]["files"]
    assert written["after"]["dataset"] == workspace.pointer("dataset")
    with pytest.raises(ConfigError, match=r"the finished certificate of video1; give another --certificate"):
        Removal(workspace, ["video1"], certificate)


def test_a_forgotten_file_stays_out_of_later_plans_under_any_name(
    workspace: Workspace, material: Material, certificate: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    shutil.copytree(material.folder / "videos", tmp_path / "videos")
    shutil.copy(material.video(1), tmp_path / "videos" / "other_name.mp4")
    material.run(workspace, SourceOptions(folder=str(tmp_path / "videos")))
    assert "2 listed sources were forgotten" in caplog.text
    assert sorted(row.key for row in workspace.current_rows("source", SourceRow)) == ["video0", "video2"]
    assert published_files(workspace) == never_saw(material)


KILLED = """
import os
import torch
torch.set_num_threads(1)  # as in the other builds: latents depend on it
from mvideo_core.curation.removal import rebuild
from mvideo_core.curation.removal.forget import Removal
from mvideo_core.store.workspace import Workspace
steps = []
def say(step):
    steps.append(step)
    if len(steps) == {at}:
        os.kill(os.getpid(), 9)
Removal(Workspace({url!r}), ["video1"], {certificate!r}).apply(say)
"""


def test_a_stopped_removal_continues(workspace: Workspace, material: Material, certificate: str) -> None:
    """Stopped when the plan and two stages are without the source, and the dataset is not."""
    calls = iter(range(99))

    def stop(_step: str) -> None:
        if next(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Removal(workspace, ["video1"], certificate).apply(stop)
    resume(workspace, material, certificate)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, 11))
def test_a_killed_removal_continues(workspace: Workspace, material: Material, certificate: str, at: int) -> None:
    """The steps: plan, five stages, dataset, latents, report, deletion."""
    code = KILLED.format(at=at, url=workspace.url, certificate=certificate)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    resume(workspace, material, certificate)


def resume(workspace: Workspace, material: Material, certificate: str) -> None:
    """Finish a removal, and compare with what an undisturbed one gives."""
    removal = Removal(workspace, ["video1"], certificate)
    assert removal.before.clips == ["video1_000000000"], "as found at first"
    removal.apply(lambda _step: None)
    assert published_files(workspace) == never_saw(material)
    assert not [path for path, content in all_text(workspace).items() if "video1" in path or "video1" in content]


def test_rows_of_a_stage_that_is_switched_off_go_too(workspace: Workspace, certificate: str) -> None:
    clean = STAGES.get("clean")
    run_stage(workspace, clean, clean.options(filters={"duplicates": {}}))
    switch_off(workspace, "clean")
    assert any("video1_" in content for path, content in all_text(workspace).items() if path.startswith("rows/clean"))
    Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    assert not [path for path, content in all_text(workspace).items() if "video1" in path or "video1" in content]


def test_what_cannot_be_done_is_refused_before_anything_is_touched(
    workspace: Workspace, certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_text(workspace)
    with pytest.raises(ConfigError, match=r"no source is called 'vide1'.*of one of its 3 sources, such as video1"):
        Removal(workspace, ["vide1"], certificate)
    with pytest.raises(ConfigError, match="nothing would be left"):
        Removal(workspace, ["video0", "video1", "video2"], certificate).apply(lambda _step: None)
    with pytest.raises(ConfigError, match="inside of the workspace"):
        Removal(workspace, ["video1"], f"{workspace.url}/certificate.json")
    Path(certificate).unlink()
    with (
        stages_in_use(workspace.folder, ["detect"]),
        pytest.raises(StoreError, match="live processes use detect; stop them"),
    ):
        Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    monkeypatch.setattr("mvideo_core.curation.removal.rebuild.stage_settings", lambda *_: "0" * 32)
    with pytest.raises(ConfigError, match=r"stage ingest would now give other rows \(0{12}, its parts have \w{12}\)"):
        Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    assert {path: text for path, text in all_text(workspace).items() if "locks/" not in path} == {
        path: text for path, text in before.items() if "locks/" not in path
    }


def test_a_list_that_names_the_source_is_refused_with_the_remedy(
    workspace: Workspace, material: Material, certificate: str, tmp_path: Path
) -> None:
    (tmp_path / "removed.txt").write_text("video1.mp4\n")
    options = ShardOptions(samples_per_shard=4, removal_list=str(tmp_path / "removed.txt"))
    shard_dataset(workspace, options)
    with pytest.raises(ConfigError, match=r"removed\.txt: 'video1\.mp4' would match nothing .*allow_unmatched=true"):
        Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    assert not Path(certificate).exists(), "nothing was touched"


def test_a_file_of_unknown_origin_that_mentions_it_keeps_the_certificate_open(
    workspace: Workspace, certificate: str
) -> None:
    workspace.folder.write("notes/mine.txt", b"see video1 at 0:03")
    with pytest.raises(StoreError, match=r"1 files still mention a source: notes/mine\.txt \(video1\)"):
        Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    assert json.loads(Path(certificate).read_text())["status"] == "unfinished"
    workspace.folder.remove("notes")
    Removal(workspace, ["video1"], certificate).apply(lambda _step: None)
    assert json.loads(Path(certificate).read_text())["status"] == "finished"
