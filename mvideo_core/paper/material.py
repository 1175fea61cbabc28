"""The three video collections: training, Mask-to-Video (unseen classes), ComplexMotion. Rendered videos are kept.

root/<set>/videos/       rendered videos with their ground truth; a folder of real videos stays where it is
root/<set>/workspace/    the pipeline's workspace
"""

import csv
from pathlib import Path
from typing import Any, Literal

from mvideo_core.base.disk import new_file
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import merge
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.evaluation.testsets.complex_motion import ComplexMotionOptions, list_complex_motion, write_manifest
from mvideo_core.evaluation.testsets.mask_to_video import UNSEEN
from mvideo_core.miniworld.world import SourceTruth, make_world, read_truth
from mvideo_core.paper.options import MaterialOptions, PaperOptions

SetName = Literal["train", "unseen", "complex"]
SETS: tuple[SetName, ...] = ("train", "unseen", "complex")


def workspace_of(options: PaperOptions, root: str | Path, name: SetName) -> str:
    """Path of a set's workspace."""
    one: MaterialOptions = getattr(options, name)
    return one.workspace or str(Path(root) / name / "workspace")


def list_sets(options: PaperOptions) -> list[SetName]:
    """Sets that this run uses, in order."""
    wanted = {"unseen": "mask-to-video", "complex": "complexmotion"}
    return [name for name in SETS if name == "train" or ("3" in options.tables and wanted[name] in options.test_sets)]


def sets_to_build(options: PaperOptions) -> list[SetName]:
    """Sets whose workspace this run builds."""
    return [name for name in list_sets(options) if not getattr(options, name).workspace]


def draw_videos(options: PaperOptions, root: str | Path, name: SetName) -> Path:
    """The folder of a set's videos, rendered if missing."""
    one: MaterialOptions = getattr(options, name)
    if one.folder:
        return Path(one.folder)
    folder = Path(root) / name / "videos"
    make_world(folder, one.videos, one.seed, one.split, one.unseen_frac, one.shots, options.processes)
    return folder


def source_of(options: PaperOptions, root: str | Path, name: SetName) -> SourceOptions:
    """The source for `build-mask-dataset`: the folder, or for ComplexMotion the manifest that names its objects."""
    folder = draw_videos(options, root, name)
    if name != "complex":
        return SourceOptions(folder=str(folder))
    place = Path(root) / name
    table = options.complex.objects_csv or _name_objects(folder, options.complex_actions, place / "objects.csv")
    every = list_complex_motion(ComplexMotionOptions(folder=str(folder), objects_csv=str(table), default_objects=[]))
    write_manifest([video for video in every if video.objects], place / "manifest.jsonl")
    return SourceOptions(manifest=str(place / "manifest.jsonl"))


def pipeline_overrides(options: PaperOptions, name: SetName) -> dict[str, Any]:
    """Overrides of the pipeline profile: test sets detect their own classes and have no test split."""
    own: dict[str, Any] = {}
    if name == "unseen":
        own = {"detect": {"classes": list(UNSEEN)}, "shard": {"test_frac": 0.0}}
    elif name == "complex":
        own = {"detect": {"classes": ["person"]}, "shard": {"test_frac": 0.0}}
    return merge(own, getattr(options, name).pipeline)


def _name_objects(folder: Path, actions: tuple[str, ...], path: Path) -> Path:
    """The table a human curator would write: the file, and the object to follow."""
    truths = [read_truth(file) for file in visible_files(folder / "truth", ".json")]
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["file", "objects"])
        lines.writerows([truth.video, "person"] for truth in truths if acts(truth, actions))
    return path


def acts(truth: SourceTruth, actions: tuple[str, ...]) -> bool:
    """Whether a person in the video performs one of the actions."""
    people = (one for shot in truth.shots for one in shot.objects if one.label == "person")
    return any(one.action in actions for one in people)
