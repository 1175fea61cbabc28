"""Is a written dataset whole and consistent? Every doubt is a line; an empty list means none."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from mvideo_core.errors import MediaError, StoreError
from mvideo_core.shards.card import DatasetInfo, ShardEntry, dataset_digest
from mvideo_core.shards.dataset import read_info
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.index import INDEX_NAME
from mvideo_core.shards.members import EXTENSIONS, header_bytes, padded
from mvideo_core.shards.tars import tar_entries

CHUNK_BYTES = 1 << 20


class Problem(NamedTuple):
    """What is wrong with which file (and which sample, if one)."""

    path: str
    key: str
    what: str


def verify_dataset(root: str, deep: bool = False) -> list[Problem]:
    """Problems of a dataset; [] when there are none.

    Args:
        root: folder or fsspec URL.
        deep: also read every byte: digests of shards and members, json and caption against the index, mask files
            decoded. Without it sizes, tar structure, index, counts and the split are checked.
    """
    files = DatasetFiles(root)
    try:
        info = read_info(files)
        rows = _index(files, info)
    except StoreError as error:
        return [Problem(root, "", str(error))]
    problems = [*_totals(info, rows), *_index_file(files, info)]
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_shard.setdefault(row["shard"], []).append(row)
    for path in sorted(set(by_shard) - {shard.path for shard in info.shards}):
        problems.append(Problem(path, "", "the index names this shard, dataset.json does not"))
    for shard in info.shards:
        try:
            problems.extend(_shard(files, shard, by_shard.get(shard.path, []), deep))
        except StoreError as error:
            problems.append(Problem(shard.path, "", str(error)))
    return problems


def _index(files: DatasetFiles, info: DatasetInfo) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(files.read(info.index.path))).to_pylist()
    except pa.ArrowException as error:
        raise StoreError(f"{INDEX_NAME}: not a readable index: {error}") from None


def _index_file(files: DatasetFiles, info: DatasetInfo) -> Iterator[Problem]:
    if hashlib.sha256(files.read(info.index.path)).hexdigest() != info.index.sha256:
        yield Problem(info.index.path, "", "its SHA-256 is not the one in dataset.json")
    if dataset_digest(info.shards) != info.digest:
        yield Problem("dataset.json", "", "its digest does not follow from its list of shards")


def _totals(info: DatasetInfo, rows: list[dict[str, Any]]) -> Iterator[Problem]:
    """Counts that add up, keys that occur once, source videos on one side only."""
    for key, n in Counter(row["key"] for row in rows).items():
        if n > 1:
            yield Problem(INDEX_NAME, key, f"the key occurs {n} times")
    samples = Counter(row["split"] for row in rows)
    for split in sorted(set(samples) | set(info.splits)):
        counted = info.splits[split].samples if split in info.splits else 0
        if counted != samples[split]:
            yield Problem(INDEX_NAME, "", f"{samples[split]} samples of split {split}, dataset.json says {counted}")
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row["video_id"], set()).add(row["split"])
    for video_id, splits in sorted(sides.items()):
        if len(splits) > 1:
            yield Problem(INDEX_NAME, "", f"clips of source video {video_id} stand in {' and '.join(sorted(splits))}")


def _shard(files: DatasetFiles, shard: ShardEntry, rows: list[dict[str, Any]], deep: bool) -> Iterator[Problem]:
    size_bytes = files.size(shard.path)
    if size_bytes != shard.size_bytes:
        seen = "absent" if size_bytes is None else f"{size_bytes} bytes"
        yield Problem(shard.path, "", f"{seen}, {shard.size_bytes} bytes recorded")
        return
    if len(rows) != shard.samples:
        yield Problem(shard.path, "", f"{len(rows)} samples in the index, {shard.samples} in dataset.json")
    expected = {
        f"{row['key']}.{extension}": (row[f"{extension}_offset_bytes"], row[f"{extension}_size_bytes"], row["key"])
        for row in rows
        for extension in EXTENSIONS
    }
    with files.open(shard.path) as stream:
        for entry in tar_entries(stream, shard.path):
            place = expected.pop(entry.name, None)
            if place is None:
                yield Problem(shard.path, entry.name, "a member that the index does not know")
            elif place[:2] != (entry.offset_bytes, entry.size_bytes):
                yield Problem(shard.path, place[2], f"{entry.name} does not stand where the index says")
    for name, (_, _, key) in sorted(expected.items()):
        yield Problem(shard.path, key, f"{name} is missing")
    if deep and not expected:
        yield from _deep(files, shard, rows)


def _deep(files: DatasetFiles, shard: ShardEntry, rows: list[dict[str, Any]]) -> Iterator[Problem]:
    state = hashlib.sha256()
    with files.open(shard.path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            state.update(chunk)
    if state.hexdigest() != shard.sha256:
        yield Problem(shard.path, "", "its SHA-256 is not the one in dataset.json")
    for row in rows:
        held = {
            extension: files.read_range(shard.path, row[f"{extension}_offset_bytes"], row[f"{extension}_size_bytes"])
            for extension in EXTENSIONS
        }
        for extension, content in held.items():
            if hashlib.sha256(content).hexdigest() != row[f"{extension}_sha256"]:
                yield Problem(shard.path, row["key"], f".{extension}: its SHA-256 is not the one in the index")
        yield from (Problem(shard.path, row["key"], what) for what in _content(row, held))


def _content(row: dict[str, Any], held: dict[str, bytes]) -> Iterator[str]:
    from mvideo_core.masks.codec import from_bytes

    try:
        meta = json.loads(held["json"])
        if meta.get("key") != row["key"]:
            yield f".json speaks of {meta.get('key')!r}"
        if held["txt"].decode() != row["caption"]:
            yield ".txt is not the caption of the index"
        masks = from_bytes(held["masks"])
        if (masks.n_frames, masks.n_objects) != (row["n_frames"], len(meta.get("objects", []))):
            yield f".masks holds {masks.n_frames} frames x {masks.n_objects} objects, other than .json and index say"
    except (ValueError, MediaError) as error:
        yield f"cannot be decoded: {error}"
    if row["size_bytes"] != sum(
        header_bytes(f"{row['key']}.{extension}") + padded(len(content)) for extension, content in held.items()
    ):
        yield "the size of the whole sample is not the sum of its members"
