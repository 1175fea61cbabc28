"""Jobs of videos as runs of the deployment: without workers, with one, and by name. Tiny random models."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import Completed, Running

from mvideo.flows import _shared_jobs
from mvideo.flows.reproduce_paper import make_all_videos, reproduce_paper
from mvideo.tasks import paper
from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.manifest import absolute_items, read_manifest
from mvideo_core.paper import all_videos
from mvideo_core.paper.all_videos import make_all_videos as make_core_videos
from mvideo_core.paper.options import FigureOptions, PaperOptions
from mvideo_core.paper.videos import job_named, jobs, make_videos, write_job_manifest
from tests.mvideo_core.paper.test_chain import made

__all__ = ["made"]

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def deployment(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment is there, and nobody works on it."""
    monkeypatch.setattr(_shared_jobs, "POLL_S", 0.2)
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="paper", type="process"), overwrite=True)
        flow_id = client.create_flow(reproduce_paper)
        client.create_deployment(
            flow_id=flow_id, name="reproduce-paper", work_pool_name="paper", work_queue_name="train"
        )


def test_a_job_by_its_name(made: tuple[Path, PaperOptions]) -> None:
    root, options = made
    given = options.model_dump(mode="json")
    manifest = reproduce_paper(str(root), profile="", options=given, job="prompts/base/1-clips")
    items = absolute_items(read_manifest(manifest))
    assert [(item.system, Path(item.video).is_file()) for item in items] == [("base", True)] * 2
    with pytest.raises(
        ConfigError, match=r"unknown job 'prompts/best/1-clips'; jobs of tables .*: prompts/base/1-clips, "
    ):
        reproduce_paper(str(root), profile="", options=given, job="prompts/best/1-clips")


def test_jobs_are_shared_and_what_nobody_takes_is_done_here(
    made: tuple[Path, PaperOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes the run of the second job while the first is made here; the others are taken back."""
    root, options = made
    own, begun = [], threading.Event()
    make = paper.job_videos

    def noted(options: PaperOptions, out: str, job: tuple[str, ...]) -> str:
        own.append(job)
        assert begun.wait(300)
        return make(options, out, job)

    monkeypatch.setattr(paper, "job_videos", noted)
    todo = jobs(options)
    worker = threading.Thread(target=_work_on, args=(f"videos {todo[1].name}", root, options, begun), daemon=True)
    worker.start()

    @flow(name="asks")
    def asks() -> list[str]:
        return make_all_videos(options, root, gpus=2)

    manifests = asks()
    worker.join(300)
    assert own == [todo[0], *todo[2:]]
    assert manifests == [str(root / "videos" / job.name / "manifest.jsonl") for job in todo]
    assert all(Path(item.video).is_file() for path in manifests for item in absolute_items(read_manifest(path)))
    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs() if run.name.startswith("videos ")]
    assert {run.work_queue_name for run in runs} == {"gpu"}
    assert {run.name: run.state.type.value for run in runs} == {
        f"videos {job.name}": "CANCELLED" for job in todo[2:]
    } | {f"videos {todo[1].name}": "COMPLETED"}


def test_a_flow_uses_its_processes_and_keeps_what_is_finished(
    made: tuple[Path, PaperOptions], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes make the same videos as one, and only those that are missing."""
    _, options = made
    figures = {"camera_zoom": FigureOptions(inputs={"main": "mask-to-video:0"})}
    options = options.model_copy(update={"tables": ("3",), "figures": figures, "processes": 2})
    one, two = tmp_path / "one", tmp_path / "two"
    for name in ("sets", "runs"):
        shutil.copytree(made[0] / name, one / name)
    torch.set_num_threads(1)
    make_core_videos(options.model_copy(update={"processes": 1}), one)
    shutil.copytree(one, two)
    files = sorted(path.relative_to(one) for path in one.rglob("video.mp4"))
    assert len(files) == 3 + 2 * 2
    missing = [files[0], files[1], files[3], files[6]]  # of the figure, and one of each job
    before = {file: (two / file).stat().st_mtime_ns for file in files}
    for file in missing:
        shutil.rmtree((two / file).parent)

    @flow(name="makes")
    def makes() -> list[str]:
        return make_all_videos(options, two, gpus=1)

    monkeypatch.setattr(os, "cpu_count", lambda: 2)  # so that each process has one thread, too
    monkeypatch.setattr(all_videos, "make_case", _not_here)  # the other processes import their own
    monkeypatch.setattr(all_videos, "make_figure_video", _not_here)
    assert makes() == [str(two / "videos" / job.name / "manifest.jsonl") for job in jobs(options)]
    assert [file for file in files if (two / file).stat().st_mtime_ns != before[file]] == missing
    assert [(one / file).read_bytes() for file in files] == [(two / file).read_bytes() for file in files]
    with get_client(sync_client=True) as client:
        bars = {bar.key: bar.description for bar in client.read_artifacts() if bar.type == "progress"}
    assert bars["videos-figures-progress"].startswith("3 of 3 videos")
    assert bars["videos-mask-to-video-base-1-clips-progress"].startswith("2 of 2 videos")


def _not_here(*_: object) -> None:
    raise AssertionError("generated in the process of the flow")


def _work_on(name: str, root: Path, options: PaperOptions, begun: threading.Event) -> None:
    """A worker's place: takes the run of that name and works on it before anybody else does, then ends it.

    A real worker is another process; loading models in two threads of one is not what is tested here.
    """
    with get_client(sync_client=True) as client:
        while not (found := [run for run in client.read_flow_runs() if run.name == name]):
            time.sleep(0.1)
        client.set_flow_run_state(found[0].id, Running(), force=True)
        job = job_named(found[0].parameters["job"], options)
        make_videos(job, options, root)
        write_job_manifest(job, options, root)
        begun.set()
        time.sleep(0.5)
        client.set_flow_run_state(found[0].id, Completed(), force=True)
