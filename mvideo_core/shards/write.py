"""One tar from its plan: streamed, never whole in memory, checked and digested while it passes, the same bytes every
time."""

import hashlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import IO, Any, NamedTuple

from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import Blob, Record, SampleRow, ShardPlanRow
from mvideo_core.base.stopping import heeding
from mvideo_core.shards.members import Member, end_bytes, pad_size, sample_members, sample_row, tar_header

CHUNK_BYTES = 1 << 20
_N_BUFFERS = 8

OpenBlob = Callable[[Blob], IO[bytes]]


class WrittenShard(Record):
    """A finished tar: its path within the dataset, its size and digest, and where each sample stands."""

    path: str
    split: str
    size_bytes: int
    sha256: str
    samples: list[SampleRow]


def shard_path(name: str, split: str) -> str:
    """Where a shard stands in the dataset: "train/train-000000.tar"."""
    return f"{split}/{name}.tar"


def write_shard(plan: ShardPlanRow, open_blob: OpenBlob, out: IO[bytes]) -> WrittenShard:
    """Write the tar of `plan` (its key is the shard's name) into `out`.

    Args:
        plan: an `ok` row with its samples in order.
        open_blob: opens the content of a clip or mask file for reading.
        out: binary file, written from its present position on; the caller commits or discards it.

    Returns:
        Path, size, SHA-256 and rows; the same plan and blobs give the same bytes.

    Raises:
        StoreError: a blob has not the size or digest that its row says; nothing of `out` may be used then.
    """
    path = shard_path(plan.key, plan.split)
    rows: list[SampleRow] = []
    with _Sink(out) as sink:
        for sample in heeding(plan.samples):
            members = sample_members(sample, sink.written_bytes)
            rows.append(sample_row(sample, path, plan.split, sink.written_bytes, members))
            for member in members:
                sink.put(tar_header(f"{sample.key}.{member.extension}", member.size_bytes))
                _copy(member, sample.key, open_blob, sink)
                sink.put(bytes(pad_size(member.size_bytes) - member.size_bytes))
        sink.put(bytes(end_bytes(sink.written_bytes)))
        sink.flush()
    return WrittenShard(
        path=path, split=plan.split, size_bytes=sink.written_bytes, sha256=sink.finished_sha256(), samples=rows
    )


def _copy(member: Member, key: str, open_blob: OpenBlob, sink: "_Sink") -> None:
    if member.blob is None:
        sink.put(member.content)
        return
    what = f"{member.blob.path} (.{member.extension} of {key})"
    with open_blob(member.blob) as source:
        passed = sink.copy(source, member.size_bytes, _Promise(what, member.sha256))
        too_long = bool(source.read(1))
    if passed != member.size_bytes or too_long:
        seen = f"{'more than ' if too_long else ''}{passed} bytes"
        raise StoreError(_damage_message(what, seen, f"{member.size_bytes} bytes"))


def _damage_message(what: str, seen: str, wanted: str) -> str:
    return (
        f"{what}: {seen} seen, {wanted} recorded; "
        "the file was damaged after its stage finished: run `mvideo verify`, then that stage again"
    )


class _Promise(NamedTuple):
    """What the bytes copied last must have been."""

    what: str
    sha256: str


class _Chunk(NamedTuple):
    """Bytes on their way; `member`: they belong to a file whose digest is checked."""

    content: memoryview
    n_bytes: int
    member: bool


class _Sink:
    """Writes, checks and digests at once: hashing frees the interpreter lock, so two threads do it.

    Chunks pass from the writer through the thread that checks members to the one that digests the tar, then their
    buffers are used again; new memory for every chunk would cost as much time as the copy. A digest that differs is
    told at the next member or at the end: waiting for it after each member would stop the line.
    """

    def __init__(self, out: IO[bytes]):
        self.written_bytes = 0
        self._out = out
        self._small = bytearray()
        self._damage: str | None = None
        self._tar = hashlib.sha256()
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_N_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK_BYTES)))
        self._written: SimpleQueue[_Chunk | _Promise | None] = SimpleQueue()
        self._checked: SimpleQueue[_Chunk | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=work, name=f"shard-{work.__name__.strip('_')}", daemon=True)
            for work in (self._check_members, self._digest_tar)
        ]

    def __enter__(self) -> "_Sink":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._written.put(None)
        for thread in self._threads:
            thread.join()

    def put(self, content: bytes) -> None:
        """Write a few bytes, together with their neighbors."""
        self._small += content
        self.written_bytes += len(content)

    def flush(self) -> None:
        """Let go of the few bytes collected so far."""
        if self._small:
            content, self._small = self._small, bytearray()
            self._out.write(content)
            self._written.put(_Chunk(memoryview(content), len(content), member=False))

    def copy(self, source: Any, size_bytes: int, promise: _Promise) -> int:
        """Write at most `size_bytes` of a file; returns how many there were.

        Raises:
            StoreError: a file copied earlier broke its promise.
        """
        self._raise_damage()
        self.flush()
        passed = 0
        while passed < size_bytes:
            buffer = self._free.get()
            n = source.readinto(buffer[: min(CHUNK_BYTES, size_bytes - passed)]) or 0
            if not n:
                self._free.put(buffer)
                break
            self._out.write(buffer[:n])
            self._written.put(_Chunk(buffer, n, member=True))
            passed += n
        self._written.put(promise)
        self.written_bytes += passed
        return passed

    def finished_sha256(self) -> str:
        """Digest of all that was written; to be asked after the `with` block.

        Raises:
            StoreError: a copied file broke its promise.
        """
        self._raise_damage()
        return self._tar.hexdigest()

    def _raise_damage(self) -> None:
        if self._damage:
            raise StoreError(self._damage)

    def _check_members(self) -> None:
        state = hashlib.sha256()
        while (entry := self._written.get()) is not None:
            if isinstance(entry, _Promise):
                if state.hexdigest() != entry.sha256 and not self._damage:
                    self._damage = _damage_message(
                        entry.what, f"SHA-256 {state.hexdigest()}", f"SHA-256 {entry.sha256}"
                    )
                state = hashlib.sha256()
                continue
            if entry.member:
                state.update(entry.content[: entry.n_bytes])
            self._checked.put(entry)
        self._checked.put(None)

    def _digest_tar(self) -> None:
        while (chunk := self._checked.get()) is not None:
            self._tar.update(chunk.content[: chunk.n_bytes])
            if chunk.member:
                self._free.put(chunk.content)
