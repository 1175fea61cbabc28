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
_N_BUFFERS = 4

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
    state = hashlib.sha256()
    with open_blob(member.blob) as source:
        passed = sink.copy(source, member.size_bytes, state)
        too_long = bool(source.read(1))
    found = sink.digest_of(state)
    if passed != member.size_bytes or too_long or found != member.sha256:
        wrong_size = passed != member.size_bytes or too_long
        seen = f"{'more than ' if too_long else ''}{passed} bytes" if wrong_size else f"SHA-256 {found}"
        wanted = f"{member.size_bytes} bytes" if wrong_size else f"SHA-256 {member.sha256}"
        raise StoreError(
            f"{member.blob.path} (.{member.extension} of {key}): {seen} seen, {wanted} recorded; "
            "the file was damaged after its stage finished: run `mvideo verify`, then that stage again"
        )


class _Sink:
    """Writes and digests at once: hashing frees the interpreter lock, so a second thread does it.

    Content goes through a few buffers that are used again and again; new memory for every chunk would cost as much time
    as the copy.
    """

    def __init__(self, out: IO[bytes]):
        self.written_bytes = 0
        self._out = out
        self._free: queue.Queue[memoryview] = queue.Queue()
        for _ in range(_N_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK_BYTES)))
        self._filled: queue.Queue[tuple[memoryview, int, Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._hash, name="shard-digest", daemon=True)

    def __enter__(self) -> "_Sink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._filled.put(None)
        self._thread.join()

    def put(self, content: bytes) -> None:
        """Write a few bytes."""
        self._out.write(content)
        self.written_bytes += len(content)

    def copy(self, source: Any, size_bytes: int, state: Any) -> int:
        """Write at most `size_bytes` of a file, digested into `state`; returns how many there were."""
        passed = 0
        while passed < size_bytes:
            buffer = self._free.get()
            n = source.readinto(buffer[: min(CHUNK_BYTES, size_bytes - passed)]) or 0
            self._filled.put((buffer, n, state))
            if not n:
                break
            self._out.write(buffer[:n])
            passed += n
        self.written_bytes += passed
        return passed

    def digest_of(self, state: Any) -> str:
        """Digest of all that was copied with `state`."""
        self._filled.join()
        return str(state.hexdigest())

    def _hash(self) -> None:
        while (entry := self._filled.get()) is not None:
            buffer, n, state = entry
            state.update(buffer[:n])
            self._free.put(buffer)
            self._filled.task_done()
        self._filled.task_done()
