"""Links that change between two stages: what ingest checked is checked again when the file is opened anew."""

import pytest

from mvideo_core.curation.ingest.options import IngestOptions
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.stages.cut import STAGE as CUT
from mvideo_core.curation.stages.ingest import STAGE as INGEST
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.media import samples

OPTIONS = CutOptions(width=96, height=64, min_shot_s=1, min_frames=9, max_frames=17, preset="ultrafast")


@pytest.fixture
def linked(tmp_path):
    """A workspace whose only video is a link within its folder, ingested."""
    videos = tmp_path / "videos"
    videos.mkdir()
    samples.write(videos / "real.mov", n=40)
    (videos / "link.mp4").symlink_to("real.mov")
    workspace = Workspace(str(tmp_path / "ws"))
    plan_sources(workspace, SourceOptions(folder=str(videos), patterns=["*.mp4"]))
    run_stage(workspace, INGEST, IngestOptions())
    return workspace, videos / "link.mp4"


def test_a_link_that_stays_inside_is_cut(linked):
    workspace, _ = linked
    assert run_stage(workspace, CUT, OPTIONS).counts["ok"] == 2  # 32 frames at 8 fps: 17, and 9 of the 15 left


def test_a_link_swapped_after_ingest_does_not_escape(linked, tmp_path):
    workspace, link = linked
    samples.write(tmp_path / "secret.mp4", n=40)
    link.unlink()
    link.symlink_to(tmp_path / "secret.mp4")
    summary = run_stage(workspace, CUT, OPTIONS, RunOptions(max_failed_frac=1))
    assert (summary.counts["ok"], summary.counts["failed"]) == (0, 1)
    row = next(iter(workspace.current_rows("cut", CUT.row)))
    assert row.error == "MediaError"
    assert "leads out of" in row.message
    assert "videos'" in row.message
