"""Tasks of the paper's experiments: render videos, choose test sets, generate videos, make figures, tables and page."""

import logging
from pathlib import Path

from mvideo.tasks._bar import CountBar
from mvideo.tasks._decorators import gpu_task, io_task
from mvideo_core.base.local_paths import local_path
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.paper.all_videos import make_all_videos
from mvideo_core.paper.data import build_test_sets
from mvideo_core.paper.figures import make_figures
from mvideo_core.paper.material import SetName, source_of
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.reproduce import finish, keep_options
from mvideo_core.paper.videos import VideoJob, jobs, make_videos, write_job_manifest

log = logging.getLogger(__name__)


@io_task
def material(options: PaperOptions, out: str, name: SetName) -> SourceOptions:
    """The videos of a set, rendered if they do not exist; returns the input of build-mask-dataset.

    Raises:
        ConfigError: a folder or table that does not exist.
    """
    keep_options(options, local_path(out, "out"))
    return source_of(options, out, name)


@io_task
def test_sets(options: PaperOptions, out: str) -> list[str]:
    """Write lists of prompts and masked cases; returns their paths.

    Raises:
        StoreError: a dataset is missing, or a test set is too small.
    """
    return [str(path) for path in build_test_sets(options, Path(out))]


@gpu_task
def job_videos(options: PaperOptions, out: str, job: VideoJob) -> str:
    """Generate the videos of one system at one length; returns their manifest.

    Raises:
        ModelError, StoreError: from loading and generating.
    """
    job = VideoJob(*job)
    bars = _Bars()
    make_videos(job, options, Path(out), progress=lambda done, total: bars(job.name, done, total))
    return str(write_job_manifest(job, options, Path(out)))


@gpu_task
def all_videos(options: PaperOptions, out: str) -> list[str]:
    """Generate the videos of all jobs and figures, on a CPU several at a time; returns the jobs' manifests.

    Raises:
        ModelError, StoreError, ConfigError: from loading and generating.
    """
    make_all_videos(options, Path(out), _Bars())
    return [str(write_job_manifest(job, options, Path(out))) for job in jobs(options)]


@gpu_task
def figures(options: PaperOptions, out: str) -> None:
    """Build the galleries of figures 4 to 9.

    Raises:
        ModelError, StoreError, ConfigError: from loading and generating.
    """
    make_figures(options, Path(out))


@io_task
def tables(options: PaperOptions, out: str) -> str:
    """Write tables 2 to 5, comparisons and the page; returns the page.

    Raises:
        ConfigError: nothing is scored yet.
    """
    return str(finish(options, Path(out)))


class _Bars:
    """A log line and a progress bar for each job, and one for the figures."""

    def __init__(self) -> None:
        self.bars: dict[str, CountBar] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        log.info("%s: %d of %d videos", name, done, total)
        bar = self.bars.setdefault(name, CountBar("videos-" + name.replace("/", "-").replace(".", "-"), "videos"))
        bar(done, total)
