"""Generate the tables' videos: one job per system, length and test set; tables share jobs where possible.

root/videos/<test set>/<system>/<n>-clips/<case>/video.mp4     next to its conditions and provenance
root/videos/<test set>/<system>/<n>-clips/manifest.jsonl       input of the evaluation
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.cogvideox.base import load_base
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.generation.video import make_video
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.sets import PROMPTS, read_cases

if TYPE_CHECKING:
    from mvideo_core.generation.loading import Loaded

BASE = "base"
Progress = Callable[[int, int], None]
"""Called with the number of finished videos and the total."""


class VideoJob(NamedTuple):
    """One system's videos of one length.

    Attributes:
        test_set: "prompts", "mask-to-video" or "complexmotion".
        system: "base", or the name of a training run (`system_of`).
        alpha: weight of the consistency loss in training; None for the base.
        n_clips: length in clips.
    """

    test_set: str
    system: str
    alpha: float | None
    n_clips: int

    @property
    def name(self) -> str:
        """Path of its folder in root/videos."""
        return f"{self.test_set}/{self.system}/{self.n_clips}-clips"

    @property
    def key(self) -> GroupKey:
        """Key of its scores."""
        return GroupKey(self.test_set, self.system, f"{self.n_clips} clips")


def system_of(alpha: float) -> str:
    """Name of the model trained with a weight of the consistency loss."""
    return f"mvideo-alpha-{alpha:g}"


def table_jobs(number: str, options: PaperOptions) -> list[VideoJob]:
    """The jobs of one table of the paper, in order."""
    main = system_of(options.alpha)
    if number == "2":
        return [VideoJob(PROMPTS, BASE, None, 1), VideoJob(PROMPTS, main, options.alpha, options.table2_clips)]
    if number == "3":
        n = options.tests.sample_clips
        order = sorted(options.alphas, key=lambda alpha: alpha != options.alpha)
        systems: list[tuple[str, float | None]] = [*((system_of(alpha), alpha) for alpha in order), (BASE, None)]
        return [VideoJob(test_set, name, alpha, n) for test_set in options.test_sets for name, alpha in systems]
    if number == "4":
        return [VideoJob(PROMPTS, system_of(a), a, options.table4_clips) for a in sorted(options.alphas)]
    return [VideoJob(PROMPTS, main, options.alpha, n) for n in options.lengths_clips]


def jobs(options: PaperOptions) -> list[VideoJob]:
    """All jobs of the requested tables, without duplicates."""
    return list(dict.fromkeys(job for number in options.tables for job in table_jobs(number, options)))


def job_named(name: str, options: PaperOptions) -> VideoJob:
    """Look up a job by name.

    Raises:
        ConfigError: the requested tables have no such job.
    """
    known = {job.name: job for job in jobs(options)}
    if name not in known:
        raise ConfigError(f"unknown job {name!r}; jobs of tables {', '.join(options.tables)}: {', '.join(known)}")
    return known[name]


def run_of(root: Path, alpha: float) -> Path:
    """Run folder of the training with this weight of the consistency loss."""
    return root / "runs" / f"alpha-{alpha:g}"


def adapter_of(root: Path, alpha: float | None) -> str:
    """Folder of the newest adapter of a training run; "" for the base.

    Raises:
        StoreError: the training run has no checkpoint.
    """
    if alpha is None:
        return ""
    found = sorted((run_of(root, alpha) / "checkpoints").glob("step-*/adapter"))
    if not found:
        raise StoreError(f"{run_of(root, alpha)}: no checkpoint with an adapter; run the training step first")
    return str(found[-1])


def make_videos(job: VideoJob, options: PaperOptions, root: Path, progress: Progress | None = None) -> int:
    """Generate a job's videos; finished ones are kept, and an interrupted video resumes at its missing clip.

    A video is regenerated if weights, masks or options have changed.

    Returns:
        Number of videos of the job.

    Raises:
        ModelError, StoreError, ConfigError: from loading and generation.
    """
    from mvideo_core.generation.loading import load_pipeline

    cases = read_cases(root, job.test_set)
    loaded = load_pipeline(options.base, adapter_of(root, job.alpha), options.sampling)
    for index, case in enumerate(cases):
        if progress:
            progress(index, len(cases))
        make_case(case, job, options, root, loaded)
    if progress:
        progress(len(cases), len(cases))
    return len(cases)


def make_case(case: EvalItem, job: VideoJob, options: PaperOptions, root: Path, loaded: "Loaded") -> None:
    """Generate one video of a job.

    Raises:
        StoreError, ConfigError: as in `make_video`.
    """
    grid = loaded.pipeline.format
    recursive = job.alpha is not None  # the base model does not condition on earlier clips: its clips are independent
    sampling = options.sampling.model_copy(
        update={
            "seed": case.seed or 0,
            "seconds": seconds_of(grid, job.n_clips),
            "appearance": recursive,
            "motion": recursive,
        }
    )
    masks = load_masks(root / "sets" / case.masks) if case.masks and recursive else None
    make_video(loaded, case.prompt, masks, sampling, root / "videos" / job.name / case.id, origin={"item": case.id})


def write_job_manifest(job: VideoJob, options: PaperOptions, root: Path) -> Path:
    """Write a job's manifest; a video that was not generated is listed too and counts as missing."""
    grid = load_base(options.base, parts=()).format
    items = list(_items(job, seconds_of(grid, job.n_clips), root))
    return write_manifest(items, manifest_of(job, root))


def manifest_of(job: VideoJob, root: Path) -> Path:
    """Path of a job's manifest."""
    return root / "videos" / job.name / "manifest.jsonl"


def seconds_of(grid: VideoFormat, n_clips: int) -> float:
    """Length of `n_clips` clips, s, as the paper counts it: 33 frames at 8 fps are 4 s."""
    return (grid.n_frames(n_clips) - 1) / grid.fps


def _items(job: VideoJob, seconds: float, root: Path) -> Iterator[EvalItem]:
    sets = Path("../" * (len(Path(job.name).parts) + 1)) / "sets"
    for case in read_cases(root, job.test_set):
        yield case.model_copy(
            update={
                **job.key._asdict(),
                "video": f"{case.id}/video.mp4",
                "seconds": seconds,
                "masks": str(sets / case.masks) if case.masks else "",
                "source_video": str(sets / case.source_video) if case.source_video else "",
            }
        )
