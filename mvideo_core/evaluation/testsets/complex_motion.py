"""ComplexMotion: a folder of videos with complex motion, and a table of the object to follow in each.

Paper, section 4.1: 200 videos "specifically curated from the Pexels website". The list is not published. `mvideo
testset complexmotion-list` takes any folder and a table of object names, so that you can build, name and reproduce a
comparable set.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import Field

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record
from mvideo_core.evaluation.testsets.samples import TestCandidate, TestSample, TestSet

NAME = "complexmotion"
COLUMNS = ("file", "objects", "prompt", "source_url", "license", "licence")


class ComplexMotionOptions(Options):
    """Which files to use, and which objects to follow if the table does not list a file."""

    folder: str = Field(default="", description="folder of videos, searched recursively")
    objects_csv: str = Field(
        default="",
        description="table with the columns file, objects (several joined by '|'), prompt, source_url, license",
    )
    default_objects: list[str] = Field(default=["person"], description="objects for files not listed in the table")
    extensions: list[str] = Field(
        default=["mp4", "mov", "mkv", "webm"], min_length=1, description="video file extensions"
    )
    n_samples: int = Field(default=200, ge=1, description="size of the set; the paper has 200")
    min_frames: int = Field(default=33, ge=1, description="minimum frames at 8 fps; 33 frames are 4 s")


class ComplexVideo(Record):
    """One line of the manifest: fields for `ingest` (path to license), and the objects to follow."""

    path: str
    video_id: str
    title: str
    source_url: str
    license: str
    objects: list[str]


def list_complex_motion(options: ComplexMotionOptions) -> list[ComplexVideo]:
    """The videos in the folder with their objects, sorted by path.

    Raises:
        ConfigError: no folder, an unreadable table, or a line for a video that is not in the folder.
    """
    root = Path(options.folder)
    if not options.folder or not root.is_dir():
        raise ConfigError(
            f"complexmotion.folder={options.folder!r}: no such folder; put videos with complex motion there "
            "(the paper's are from pexels.com; its list is not published)"
        )
    endings = {f".{ending.lower().lstrip('.')}" for ending in options.extensions}
    files = visible_files(root, *endings, recursive=True)
    table = dict(_table(options.objects_csv)) if options.objects_csv else {}
    names = {path.relative_to(root).as_posix() for path in files}
    unknown = sorted(set(table) - names)
    if unknown:
        raise ConfigError(f"{options.objects_csv}: no video {unknown[0]!r} in {root} ({len(unknown)} lines in total)")
    return [_video(path, root, table.get(path.relative_to(root).as_posix(), {}), options) for path in files]


def write_manifest(videos: Iterable[ComplexVideo], path: str | Path) -> None:
    """Write JSON lines that `ingest` reads as a manifest."""
    lines = (json.dumps(one.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) for one in videos)
    write_whole(Path(path), "".join(f"{line}\n" for line in lines))


def pick_named(
    candidates: Iterable[TestCandidate], objects_of: Mapping[str, list[str]], options: ComplexMotionOptions
) -> TestSet:
    """The longest clip of each video with a detected named object.

    Args:
        candidates: triplets from a run on the manifest, with all its objects in the detector's prompt.
        objects_of: video id -> objects to follow, from the manifest.
        options: size and length.
    """
    left_out: Counter[str] = Counter()
    best: dict[str, TestSample] = {}
    for one in sorted(candidates, key=lambda one: (-one.n_frames, one.key)):
        wanted = objects_of.get(one.video_id, [])
        ids = [object_id for object_id, label in one.objects if label in wanted]
        reason = ""
        if one.generated_frames < options.min_frames:
            reason = "too_short"
        elif not ids:
            reason = "object_not_found" if wanted else "not_in_manifest"
        elif one.video_id in best:
            reason = "video_has_enough"
        elif len(best) >= options.n_samples:
            reason = "not_drawn"
        if reason:
            left_out[reason] += 1
            continue
        label = next(name for object_id, name in one.objects if object_id == ids[0])
        best[one.video_id] = TestSample(
            key=one.key, video_id=one.video_id, label=label, object_ids=ids, caption=one.texts[0], n_frames=one.n_frames
        )
    samples = sorted(best.values(), key=lambda one: one.key)
    return TestSet(
        name=NAME, options=options.model_dump(mode="json"), wanted=options.n_samples, samples=samples,
        left_out=dict(sorted(left_out.items())), per_class=dict(sorted(Counter(one.label for one in samples).items())),
        held_out=sorted(best),
    )  # fmt: skip


def _table(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            if not {"file", "objects"} <= columns:
                raise ConfigError(f"{path}: columns file and objects required; got: {', '.join(sorted(columns))}")
            for row in reader:
                if not (row["objects"] or "").strip(" |"):
                    raise ConfigError(f"{path}:{reader.line_num}: no objects given for {row['file']!r}")
                yield row["file"], {name: (row.get(name) or "").strip() for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot read this table: {error}") from None


def _video(path: Path, root: Path, row: Mapping[str, str], options: ComplexMotionOptions) -> ComplexVideo:
    named = [name.strip().lower() for name in row.get("objects", "").split("|") if name.strip()]
    name = path.relative_to(root).with_suffix("").as_posix()
    return ComplexVideo(
        path=path.resolve().as_posix(),
        video_id=_id_of(name),
        title=row.get("prompt", ""),
        source_url=row.get("source_url", ""),
        license=row.get("license", "") or row.get("licence", ""),
        objects=named or list(options.default_objects),
    )


def _id_of(name: str) -> str:
    """A video id of letters, digits, "_" and "-"; a digest distinguishes names that differ only in other characters."""
    import hashlib

    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in name)
    if plain == name and len(name) <= 48:
        return name
    return f"{plain[:48].strip('_-') or 'video'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
