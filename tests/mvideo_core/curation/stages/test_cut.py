"""The cut stage's rows: what was done to the source and what was found is stored; older clips are not taken over."""

import dataclasses

import numpy as np
import pytest

from mvideo_core.base.records import ClipRow, VideoRow
from mvideo_core.curation.ingest.options import IngestOptions
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.stages.cut import STAGE as CUT
from mvideo_core.curation.stages.ingest import STAGE as INGEST
from mvideo_core.curation.stages.sources import plan_sources
from mvideo_core.engine.run import run_stage
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.media import footage

OPTIONS = CutOptions.parse(
    {
        "width": 192, "height": 128, "min_shot_s": 1, "min_frames": 9, "max_frames": 17, "preset": "ultrafast",
        "gradual": {"enabled": False}, "detector": "content", "detector_options": {"threshold": 255},
    }
)  # fmt: skip
FIELDS = (
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "12",
    "-g",
    "10",
    "-pix_fmt",
    "yuv420p",
    "-x264-params",
    "tff=1",
)


@pytest.fixture
def workspace(tmp_path):
    """One video of 6 s, interlaced, ingested."""
    videos = tmp_path / "videos"
    videos.mkdir()
    rng = np.random.default_rng(1)
    texture = rng.integers(0, 60, (112, 192, 3), dtype=np.uint8)
    frames = [footage.frame(number) for number in range(60)]
    for number, rgb in enumerate(frames):
        rgb[:112] += np.roll(texture, number, 1) // 2
    footage.film(videos / "a.mp4", *FIELDS, frames=frames, filters="setfield=tff")
    made = Workspace(str(tmp_path / "ws"))
    plan_sources(made, SourceOptions(folder=str(videos)))
    run_stage(made, INGEST, IngestOptions())
    return made


def test_rows_say_what_was_done_and_found(workspace):
    [video] = workspace.current_rows("ingest", VideoRow)
    assert (video.picture.interlaced, video.picture.matrix, video.picture.tagged) == (True, "bt709", True)
    run_stage(workspace, CUT, OPTIONS)
    rows = list(workspace.current_rows("cut", ClipRow))
    assert [row.status for row in rows] == ["ok"] * 3
    for row in rows:
        assert (row.deinterlaced, row.tone_mapped) == (True, False)
        assert (row.decode_errors, row.source_errors) == (0, 0)
        assert 0 < row.color_shift < 3


def test_clips_of_an_older_revision_are_cut_again(workspace):
    older = dataclasses.replace(CUT, revision=1)
    run_stage(workspace, older, OPTIONS)
    before = {row.clip.path for row in workspace.current_rows("cut", ClipRow)}
    assert run_stage(workspace, CUT, OPTIONS).parts_reused == 0
    after = {row.clip.path for row in workspace.current_rows("cut", ClipRow)}
    assert len(before) == len(after) == 3
    assert not before & after
    assert run_stage(workspace, CUT, OPTIONS).parts_reused == 1
