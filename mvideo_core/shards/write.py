"""One tar from its plan: streamed, never whole in memory, checked while it passes, the same bytes every time."""

import hashlib
import queue
import threading
from collections.abc import Callable
from typing import IO, Any

from mvideo_core.errors import StoreError
from mvideo_core.records import Blob, Record, SampleRow, ShardPlanRow
from mvideo_core.shards.members import Member, end_bytes, padded, sample_members, sample_row, tar_header

CHUNK_BYTES = 1 << 20
_QUEUE_CHUNKS = 8

OpenBlob = Callable[[Blob], IO[bytes]]


class WrittenShard(Record):
    """A finished tar: its path within the dataset, its size, and where each sample stands."""

    path: str
    split: str
    size_bytes: int
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
        Path, size and rows; the same plan and blobs give the same bytes.

    Raises:
        StoreError: a blob has not the size or digest that its row says; nothing of `out` may be used then.
    """
    path = shard_path(plan.key, plan.split)
    rows: list[SampleRow] = []
    with _Sink(out) as sink:
        for sample in plan.samples:
            rows.append(sample_row(sample, path, plan.split, sink.written_bytes))
            for member in sample_members(sample, sink.written_bytes):
                sink.put(tar_header(f"{sample.key}.{member.extension}", member.size_bytes))
                _copy(member, sample.key, open_blob, sink)
                sink.put(bytes(padded(member.size_bytes) - member.size_bytes))
        sink.put(bytes(end_bytes(sink.written_bytes)))
    return WrittenShard(path=path, split=plan.split, size_bytes=sink.written_bytes, samples=rows)


def _copy(member: Member, key: str, open_blob: OpenBlob, sink: "_Sink") -> None:
    if member.blob is None:
        sink.put(member.content)
        return
    state, passed = hashlib.sha256(), 0
    with open_blob(member.blob) as source:
        while chunk := source.read(CHUNK_BYTES):
            passed += len(chunk)
            if passed > member.size_bytes:
                break
            sink.put(chunk, state)
    found = sink.digest_of(state)
    if passed != member.size_bytes or found != member.sha256:
        seen = f"{passed} bytes" if passed != member.size_bytes else f"SHA-256 {found}"
        wanted = f"{member.size_bytes} bytes" if passed != member.size_bytes else f"SHA-256 {member.sha256}"
        raise StoreError(
            f"{member.blob.path} (.{member.extension} of {key}): {seen} seen, {wanted} recorded; "
            "the file was damaged after its stage finished: run `mvideo verify`, then that stage again"
        )


class _Sink:
    """Writes chunks and digests them in a second thread: hashing frees the interpreter lock, so both go on at once."""

    def __init__(self, out: IO[bytes]):
        self.written_bytes = 0
        self._out = out
        self._queue: queue.Queue[tuple[bytes, Any] | None] = queue.Queue(_QUEUE_CHUNKS)
        self._thread = threading.Thread(target=self._hash, name="shard-digest", daemon=True)

    def __enter__(self) -> "_Sink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._queue.put(None)
        self._thread.join()

    def put(self, chunk: bytes, state: Any = None) -> None:
        """Write a chunk; it also goes into the digest `state`, if given."""
        if state is not None:
            self._queue.put((chunk, state))
        self._out.write(chunk)
        self.written_bytes += len(chunk)

    def digest_of(self, state: Any) -> str:
        """Digest of all chunks put with `state`."""
        self._queue.join()
        return str(state.hexdigest())

    def _hash(self) -> None:
        while (entry := self._queue.get()) is not None:
            chunk, state = entry
            state.update(chunk)
            self._queue.task_done()
        self._queue.task_done()
