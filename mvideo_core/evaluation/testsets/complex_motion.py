"""ComplexMotion: a folder of videos with complex motion, and which object of each is to be followed.

Paper, section 4.1: 200 videos "specifically curated from the Pexels website". The list is not published; this builder
takes any folder and a table of object names, so that a set of the same kind can be made, named and repeated.
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
COLUMNS = ("file", "objects", "prompt", "source_url", "licence")


class ComplexMotionOptions(Options):
    """Which files, and what is followed in those that the table does not name."""

    folder: str = Field(default="", description="folder with the videos, searched with its subfolders")
    objects_csv: str = Field(
        default="",
        description="table with the columns file, objects (several joined by '|'), prompt, source_url, licence",
    )
    default_objects: list[str] = Field(default=["person"], description="objects of files that the table does not name")
    extensions: list[str] = Field(
        default=["mp4", "mov", "mkv", "webm"], min_length=1, description="endings of video files"
    )
    n_samples: int = Field(default=200, ge=1, description="size of the set; the paper has 200")
    min_frames: int = Field(default=33, ge=1, description="frames at 8 fps; shorter clips are left out. 33 are 4 s")


class ComplexVideo(Record):
    """One line of the manifest: what `ingest` reads (path to licence), and what is to be followed."""

    path: str
    video_id: str
    title: str
    source_url: str
    licence: str
    objects: list[str]


def list_complex_motion(options: ComplexMotionOptions) -> list[ComplexVideo]:
    """The videos of the folder with their objects, sorted by path.

    Raises:
        ConfigError: no folder, an unreadable table, or a line that names no video of the folder.
    """
    root = Path(options.folder)
    if not options.folder or not root.is_dir():
        raise ConfigError(
            f"complexmotion.folder={options.folder!r}: no such folder; put videos with complex motion there "
            "(the paper's come from pexels.com, whose list is not published)"
        )
    endings = {f".{ending.lower().lstrip('.')}" for ending in options.extensions}
    files = visible_files(root, *endings, recursive=True)
    table = dict(_table(options.objects_csv)) if options.objects_csv else {}
    names = {path.relative_to(root).as_posix() for path in files}
    unknown = sorted(set(table) - names)
    if unknown:
        raise ConfigError(f"{options.objects_csv}: no video {unknown[0]!r} in {root} ({len(unknown)} such lines)")
    return [_video(path, root, table.get(path.relative_to(root).as_posix(), {}), options) for path in files]


def write_manifest(videos: Iterable[ComplexVideo], path: str | Path) -> None:
    """JSON lines that `ingest` takes as a manifest."""
    lines = (json.dumps(one.model_dump(mode="json"), sort_keys=True, ensure_ascii=False) for one in videos)
    write_whole(Path(path), "".join(f"{line}\n" for line in lines))


def pick_named(
    candidates: Iterable[TestCandidate], objects_of: Mapping[str, list[str]], options: ComplexMotionOptions
) -> TestSet:
    """The longest clip of each video in which a named object was found.

    Args:
        candidates: triplets of a run over the manifest, whose detector was asked for all its objects.
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
                raise ConfigError(f"{path}: needs the columns file and objects; seen: {', '.join(sorted(columns))}")
            for row in reader:
                if not (row["objects"] or "").strip(" |"):
                    raise ConfigError(f"{path}:{reader.line_num}: no object is named for {row['file']!r}")
                yield row["file"], {name: (row.get(name) or "").strip() for name in COLUMNS}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: this table cannot be read: {error}") from None


def _video(path: Path, root: Path, row: Mapping[str, str], options: ComplexMotionOptions) -> ComplexVideo:
    named = [name.strip().lower() for name in row.get("objects", "").split("|") if name.strip()]
    name = path.relative_to(root).with_suffix("").as_posix()
    return ComplexVideo(
        path=path.resolve().as_posix(),
        video_id=_id_of(name),
        title=row.get("prompt", ""),
        source_url=row.get("source_url", ""),
        licence=row.get("licence", ""),
        objects=named or list(options.default_objects),
    )


def _id_of(name: str) -> str:
    """A video id of letters, digits, "_" and "-"; a digest keeps apart names that differ only in other characters."""
    import hashlib

    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in name)
    if plain == name and len(name) <= 48:
        return name
    return f"{plain[:48].strip('_-') or 'video'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
