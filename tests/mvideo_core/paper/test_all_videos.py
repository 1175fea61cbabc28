"""All videos of a run in this process: order, progress, what is kept. Several processes: tests/flows."""

import os
from pathlib import Path

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.generation.loading import Loaded
from mvideo_core.paper import all_videos
from mvideo_core.paper.all_videos import count_processes, make_all_videos
from mvideo_core.paper.options import FigureOptions, PaperOptions
from mvideo_core.paper.page import write_page
from mvideo_core.paper.scoring import Findings
from mvideo_core.paper.videos import jobs
from tests.mvideo_core.paper.test_chain import made

__all__ = ["made"]

ZOOM = FigureOptions(inputs={"main": "mask-to-video:0"}, prompts={"pan": ["a dog", "a cat"]})


def test_figures_follow_the_jobs_and_finished_videos_are_kept(
    made: tuple[Path, PaperOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, options = made
    options = options.model_copy(update={"figures": {"camera_zoom": ZOOM}})
    loaded: list[str] = []
    load = all_videos.load_pipeline

    def noted(base: object, adapter: str, sampling: object) -> Loaded:
        loaded.append(adapter and "adapter")
        return load(base, adapter, sampling)  # type: ignore[arg-type]

    monkeypatch.setattr(all_videos, "load_pipeline", noted)
    lines: list[tuple[str, int, int]] = []
    make_all_videos(options, root, lambda *line: lines.append(line))
    names = [job.name for job in jobs(options)]
    assert len(names) == 4
    assert lines == [(name, done, 2) for name in names for done in range(3)] + [
        ("figures", done, 4) for done in range(5)
    ]
    assert loaded == ["", "adapter", "", "adapter"]  # two jobs of the adapter follow each other
    assert not all_videos._kept

    folder = root / "figures" / "camera_zoom"
    videos = [*sorted(root.glob("videos/*/*/*/*/video.mp4")), *sorted(folder.glob("*/video.mp4"))]
    assert [path.parent.name for path in videos[8:]] == ["pan-0", "pan-1", "zoom_in-0", "zoom_out-0"]
    assert all((folder / f"{path.parent.name}.png").is_file() for path in videos[8:])
    before = {path: path.stat().st_mtime_ns for path in videos}
    lost = videos[-1]
    (lost.parent / "provenance.json").unlink()
    lost.unlink()
    make_all_videos(options, root)
    assert [path for path in videos if path.stat().st_mtime_ns != before[path]] == [lost]

    page = write_page(options, root, Findings([], [])).read_text(encoding="utf-8")
    assert "figures/camera_zoom/pan-1/video.mp4" in page
    assert "pan: a cat" in page


def test_an_error_leaves_no_model_behind(made: tuple[Path, PaperOptions], tmp_path: Path) -> None:
    _, options = made
    with pytest.raises(StoreError, match="rerun the step that chooses the test sets"):
        make_all_videos(options, tmp_path)
    assert not all_videos._kept


def test_processes_are_for_cpus(made: tuple[Path, PaperOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    options = made[1].model_copy(update={"processes": 3})
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert count_processes(options) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert count_processes(options) == 2
    monkeypatch.setattr(all_videos, "default_device", lambda: "cuda")
    assert count_processes(options) == 1
