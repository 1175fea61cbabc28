"""A dataset in another format: sample by sample, resumable, with what is lost counted."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import Note, disk_errors
from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.base.locks import sole_owner
from mvideo_core.base.options import digest
from mvideo_core.base.parquet import read_table
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.shards.dataset import MaskVideoDataset, Sample, read_info
from mvideo_core.shards.export_journal import ExportJournal, describe
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, ExportFormat
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.index import INDEX_NAME
from mvideo_core.shards.members import EXTENSIONS

NOTE_NAME = "export.json"
ALL = "all"
SOURCE_FIELDS = ("video_id", "url", "licence", "start_s", "end_s")
REVISION = 2
"""Part of every request; increase it when a format's files change."""

Progress = Callable[[int, int], None]


def export_dataset(
    root: str | os.PathLike[str], out: Path, format_name: str, split: str = "train", progress: Progress | None = None
) -> dict[str, Any]:
    """Export a dataset into a folder of its own; a killed export continues after its last finished sample.

    Args:
        root: dataset folder or fsspec URL.
        out: local folder, empty or with the same export unfinished or finished.
        format_name: one of `EXPORTS`.
        split: a split, or "all".
        progress: called with (samples done, total) after every sample.

    Returns:
        The content of `export.json`: format, split, counts, what was lost, files, bytes; and `reused` if it was there.

    Raises:
        ConfigError: no such format or split, or no sample. StoreError: the dataset is damaged, or `out` holds something
            else or cannot be written.
    """
    chosen = EXPORTS.get(format_name)()
    info = read_info(DatasetFiles(root))
    splits = tuple(one for one, of in info.splits.items() if of.samples) if split == ALL else (split,)
    datasets = [MaskVideoDataset(root, one) for one in splits]
    if not any(map(len, datasets)):
        raise ConfigError(f"{root}: no sample in split {split}; `mvideo dataset info` counts them")
    request = {
        "format": format_name, "split": split, "dataset": info.digest, "index": info.index.sha256, "revision": REVISION,
    }  # fmt: skip
    note = Note(out / NOTE_NAME)
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out}: is a file; give a folder for the export")
    with disk_errors(f"export to {out}", str(out)), sole_owner(out, "export", "folder"):
        if note.path.exists():
            return _read_finished(note, request, out) | {"reused": True}
        journal = ExportJournal(out, request)
        try:
            _write_samples(datasets, out, chosen, journal, progress)
            chosen.finish(out, Entries(splits, journal.entries))
            facts = _facts(chosen, splits, journal)
        finally:
            journal.close()
        files, n_bytes = _measure(out, clean=True)
        written = note.write(digest(request), **request, **facts, files=files, bytes=n_bytes)
        journal.discard()
    return written


def _write_samples(
    datasets: list[MaskVideoDataset], out: Path, chosen: ExportFormat, journal: ExportJournal, progress: Progress | None
) -> None:
    """All samples that the journal does not have; it has the first ones, because the order is that of the index."""
    total, n_known = sum(map(len, datasets)), journal.n_done
    seen = 0
    for dataset in datasets:
        first = max(0, n_known - seen)
        seen += len(dataset)
        if seen < n_known:
            continue
        for index, sha256 in _digests(dataset, first):
            raise_if_stopped()
            sample = dataset.sample(index)
            try:
                clip = _clip(sample, sha256, dataset.split)
                entry = chosen.write_sample(out, clip)
            except MediaError as error:
                raise StoreError(
                    f"{dataset.files.root}: sample {sample.key} cannot be exported: {error}; "
                    f"`mvideo dataset verify {dataset.files.root} --deep` lists damaged samples"
                ) from error
            counts = {"n_frames": clip.masks.n_frames, "n_objects": clip.masks.n_objects}
            journal.append({"key": clip.key, "split": clip.split, **counts, **entry})
            if progress:
                progress(journal.n_done, total)


def _digests(dataset: MaskVideoDataset, first: int) -> Iterator[tuple[int, str]]:
    """Number and digest of the samples of a split, from `first` on."""
    import pyarrow.compute as pc

    table = read_table(dataset.files.read(INDEX_NAME), ["split", "sha256"])
    column = table.filter(pc.field("split") == dataset.split).column("sha256")
    return ((index, column[index].as_py()) for index in range(first, len(column)))


def _clip(sample: Sample, sha256: str, split: str) -> Clip:
    """A sample as formats take it.

    Raises:
        MediaError: its bytes are not those that the index lists, or its masks do not match its objects.
    """
    if digest([[one, hashlib.sha256(sample.content[one]).hexdigest()] for one in EXTENSIONS]) != sha256:
        raise MediaError("its bytes do not have the digest in the index")
    meta, masks = sample.meta(), sample.masks()
    objects = meta["objects"]
    if len(objects) != masks.n_objects:
        raise MediaError(f"{len(objects)} objects in its .json, {masks.n_objects} in its .masks")
    kept = sorted((int(one["object_id"]), n) for n, one in enumerate(objects) if one["kept"])
    return Clip(
        key=sample.key, split=split, text=sample.text, fps=float(meta["fps"]), mp4=sample.content["mp4"],
        masks=masks.select(n for _, n in kept), object_ids=tuple(number for number, _ in kept),
        labels=tuple(str(objects[n]["label"]) for _, n in kept),
        source={name: meta["source"][name] for name in SOURCE_FIELDS},
    )  # fmt: skip


def _facts(chosen: ExportFormat, splits: tuple[str, ...], journal: ExportJournal) -> dict[str, Any]:
    """Counts over all samples."""
    counts = {"samples": 0, "n_frames": 0, "n_objects": 0, "hidden_px": 0}
    for split in splits:
        for entry in journal.entries(split):
            counts["samples"] += 1
            for name in ("n_frames", "n_objects", "hidden_px"):
                counts[name] += entry.get(name, 0)
    return {**counts, "losses": list(chosen.losses)}


def _read_finished(note: Note, request: dict[str, Any], out: Path) -> dict[str, Any]:
    """The note of an export that is there already.

    Raises:
        StoreError: it is a different export, or files are missing. Trainers may have added files of their own.
    """
    try:
        facts = note.read()
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{note.path}: not the note of an export ({error}); use an empty folder") from None
    if facts.get(note.key) != digest(request):
        raise StoreError(f"{out}: holds another export ({describe(facts)}); use another folder, or delete this one")
    files, n_bytes = _measure(out)
    if files < facts["files"] or n_bytes < facts["bytes"]:
        raise StoreError(
            f"{out}: {files} files of {n_bytes} bytes, but {facts['files']} of {facts['bytes']} were exported; "
            "delete the folder and export again"
        )
    return facts


def _measure(out: Path, clean: bool = False) -> tuple[int, int]:
    """Number and bytes of the visible files, the note excepted; `clean` removes what a killed writer left."""
    files = n_bytes = 0
    for folder, _, names in os.walk(out):
        for name in names:
            path = Path(folder, name)
            if name.startswith("."):
                if clean and ".part" in name:
                    path.unlink()
            elif path != out / NOTE_NAME:
                files, n_bytes = files + 1, n_bytes + path.stat().st_size
    return files, n_bytes
