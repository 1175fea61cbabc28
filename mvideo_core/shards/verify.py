"""Checks that a written dataset is complete and consistent. One line per problem; empty if it is valid."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from mvideo_core.base.errors import MediaError, StoreError
from mvideo_core.base.parquet import open_parquet
from mvideo_core.shards.card import INFO_NAME, DatasetInfo, ShardEntry, dataset_digest
from mvideo_core.shards.dataset import read_info
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.index import INDEX_NAME
from mvideo_core.shards.members import EXTENSIONS, header_bytes, pad_size
from mvideo_core.shards.read_tar import tar_entries
from mvideo_core.shards.stream import stream_samples

CHUNK_BYTES = 1 << 20


class Problem(NamedTuple):
    """What is wrong with which file (and which sample, if it is about one)."""

    path: str
    key: str
    what: str


def verify_dataset(root: str, deep: bool = False) -> list[Problem]:
    """Problems of a dataset; [] if there are none. The index is read shard by shard: memory holds keys, not rows.

    Args:
        root: folder or fsspec URL.
        deep: also read every byte, with `webdataset`: digests of shards and members, json and caption against the
            index, mask files decoded. Without it sizes, tar structure, index, counts and the split are checked.
    """
    files = DatasetFiles(root)
    try:
        info = read_info(files)
        index = files.read(info.index.path)
        return [*_description(info, index), *_contents(files, info, index, deep)]
    except StoreError as error:
        return [Problem(root, "", str(error))]


def _description(info: DatasetInfo, index: bytes) -> Iterator[Problem]:
    if hashlib.sha256(index).hexdigest() != info.index.sha256:
        yield Problem(info.index.path, "", "its SHA-256 is not the one in dataset.json")
    if dataset_digest(info.shards) != info.digest:
        yield Problem(INFO_NAME, "", "its digest does not follow from its list of shards")


def _contents(files: DatasetFiles, info: DatasetInfo, index: bytes, deep: bool) -> Iterator[Problem]:
    totals = _Totals()
    waiting = {shard.path: shard for shard in info.shards}
    for path, rows in _by_shard(index):
        totals.add(rows)
        shard = waiting.pop(path, None)
        if shard is None:
            yield Problem(path, "", "the index names this shard twice, or dataset.json does not")
        else:
            yield from _verify_guarded(files, shard, rows, deep)
    for shard in waiting.values():
        yield from _verify_guarded(files, shard, [], deep)
    yield from totals.problems(info)


def _by_shard(index: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(shard, its rows) in the index's order.

    Raises:
        StoreError: not a Parquet file.
    """
    import pyarrow as pa

    try:
        file = open_parquet(index)
        groups = (file.read_row_group(n, use_threads=False).to_pylist() for n in range(file.num_row_groups))
        yield from (
            (path, list(rows))
            for path, rows in itertools.groupby(itertools.chain.from_iterable(groups), lambda row: row["shard"])
        )
    except pa.ArrowException as error:
        raise StoreError(f"{INDEX_NAME}: not a readable index: {error}") from None


class _Totals:
    """Keys that occur once, counts that add up, source videos in one split only."""

    def __init__(self) -> None:
        self._keys: Counter[str] = Counter()
        self._samples: Counter[str] = Counter()
        self._sides: dict[str, set[str]] = {}

    def add(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._keys[row["key"]] += 1
            self._samples[row["split"]] += 1
            self._sides.setdefault(row["video_id"], set()).add(row["split"])

    def problems(self, info: DatasetInfo) -> Iterator[Problem]:
        for key, n in self._keys.items():
            if n > 1:
                yield Problem(INDEX_NAME, key, f"the key occurs {n} times")
        for split in sorted(set(self._samples) | set(info.splits)):
            counted = info.splits[split].samples if split in info.splits else 0
            if counted != self._samples[split]:
                seen = self._samples[split]
                yield Problem(INDEX_NAME, "", f"{seen} samples of split {split}, dataset.json says {counted}")
        for video_id, splits in sorted(self._sides.items()):
            if len(splits) > 1:
                sides = " and ".join(sorted(splits))
                yield Problem(INDEX_NAME, "", f"clips of source video {video_id} are in {sides}")


def _verify_guarded(
    files: DatasetFiles, shard: ShardEntry, rows: list[dict[str, Any]], deep: bool
) -> Iterator[Problem]:
    """Problems of one shard; an unreadable shard is reported, and the others are still checked."""
    try:
        yield from _shard(files, shard, rows, deep)
    except StoreError as error:
        yield Problem(shard.path, "", str(error))


def _shard(files: DatasetFiles, shard: ShardEntry, rows: list[dict[str, Any]], deep: bool) -> Iterator[Problem]:
    size_bytes = files.size(shard.path)
    if size_bytes != shard.size_bytes:
        seen = "missing" if size_bytes is None else f"{size_bytes} bytes"
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
                yield Problem(shard.path, entry.name, "a member that is not in the index")
            elif place[:2] != (entry.offset_bytes, entry.size_bytes):
                yield Problem(shard.path, place[2], f"{entry.name} is not where the index says")
    for name, (_, _, key) in sorted(expected.items()):
        yield Problem(shard.path, key, f"{name} is missing")
    if deep and not expected:
        yield from _read_deeply(files, shard, rows)


def _read_deeply(files: DatasetFiles, shard: ShardEntry, rows: list[dict[str, Any]]) -> Iterator[Problem]:
    """The whole shard, read once with `webdataset`, as a trainer would read it."""
    waiting = {row["key"]: row for row in rows}
    found: list[Problem] = []
    with files.open(shard.path) as stream:
        whole = _DigestedStream(stream)
        try:
            for sample in stream_samples(whole, shard.path):  # type: ignore[arg-type]  # `tarfile` calls `read` only
                if (row := waiting.pop(sample.key, None)) is not None:
                    found += [Problem(shard.path, sample.key, what) for what in _sample(row, sample.content)]
            found += [Problem(shard.path, key, "webdataset does not find it") for key in waiting]
        except StoreError as error:
            found.append(Problem(shard.path, "", str(error)))
        while whole.read(CHUNK_BYTES):
            pass
    if whole.sha256() != shard.sha256:
        yield Problem(shard.path, "", "its SHA-256 is not the one in dataset.json")
    yield from found


class _DigestedStream:
    """A file for reading, digested as it is read."""

    def __init__(self, stream: IO[bytes]):
        self._stream, self._state = stream, hashlib.sha256()

    def read(self, size_bytes: int) -> bytes:
        """The next bytes; b"" at the end."""
        content = self._stream.read(size_bytes)
        self._state.update(content)
        return content

    def sha256(self) -> str:
        """Digest of what was read so far."""
        return self._state.hexdigest()


def _sample(row: dict[str, Any], held: dict[str, bytes]) -> Iterator[str]:
    for extension, content in held.items():
        if hashlib.sha256(content).hexdigest() != row[f"{extension}_sha256"]:
            yield f".{extension}: its SHA-256 is not the one in the index"
    yield from _content(row, held)


def _content(row: dict[str, Any], held: dict[str, bytes]) -> Iterator[str]:
    from mvideo_core.masks.codec import from_bytes

    try:
        meta = json.loads(held["json"])
        if meta.get("key") != row["key"]:
            yield f".json names {meta.get('key')!r}"
        if held["txt"].decode() != row["caption"]:
            yield ".txt is not the caption of the index"
        masks = from_bytes(held["masks"])
        if (masks.n_frames, masks.n_objects) != (row["n_frames"], len(meta.get("objects", []))):
            yield f".masks holds {masks.n_frames} frames x {masks.n_objects} objects, unlike .json and index"
    except (ValueError, TypeError, AttributeError, MediaError) as error:
        yield f"cannot be decoded: {error}"
    if row["size_bytes"] != sum(
        header_bytes(f"{row['key']}.{extension}") + pad_size(len(content)) for extension, content in held.items()
    ):
        yield "the size of the whole sample is not the sum of its members"
