"""Writes one tar from its plan: streamed, never whole in memory, checked and digested while it is written, with the
same bytes every time.
"""

import hashlib
import io
import threading
from collections.abc import Callable
from queue import SimpleQueue
from tarfile import TarFile
from typing import IO, Any, NamedTuple

from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import Blob, Record, SampleRow, ShardPlanRow
from mvideo_core.base.stopping import stop_between
from mvideo_core.shards.members import Member, sample_members, sample_row
from mvideo_core.shards.tar_format import CHUNK_BYTES, add_member, open_tar

_N_BUFFERS = 8

OpenBlob = Callable[[Blob], IO[bytes]]


class WrittenShard(Record):
    """A finished tar: its path within the dataset, its size and digest, and the position of each sample."""

    path: str
    split: str
    size_bytes: int
    sha256: str
    samples: list[SampleRow]


def shard_path(name: str, split: str) -> str:
    """Path of a shard within the dataset: "train/train-000000.tar"."""
    return f"{split}/{name}.tar"


def write_shard(plan: ShardPlanRow, open_blob: OpenBlob, out: IO[bytes]) -> WrittenShard:
    """Write the tar of `plan` (its key is the shard's name) into `out`.

    Args:
        plan: an `ok` row with its samples in order.
        open_blob: opens the content of a clip or mask file for reading.
        out: binary file, written from its current position; the caller commits or discards it.

    Returns:
        Path, size, SHA-256 and rows; the same plan and blobs give the same bytes.

    Raises:
        StoreError: a blob's size or digest differs from its row; discard `out` then.
    """
    path = shard_path(plan.key, plan.split)
    rows: list[SampleRow] = []
    with _Sink(out) as sink, open_tar(sink) as tar:  # type: ignore[arg-type]  # `tarfile` calls `tell` and `write` only
        for sample in stop_between(plan.samples):
            members = sample_members(sample, tar.offset)
            rows.append(sample_row(sample, path, plan.split, tar.offset, members))
            for member in members:
                _add(tar, sample.key, member, open_blob, sink)
    return WrittenShard(path=path, split=plan.split, size_bytes=sink.tell(), sha256=sink.sha256(), samples=rows)


def _add(tar: TarFile, key: str, member: Member, open_blob: OpenBlob, sink: "_Sink") -> None:
    name = f"{key}.{member.extension}"
    if member.blob is None:
        place = add_member(tar, name, io.BytesIO(member.content), member.size_bytes)
    else:
        with open_blob(member.blob) as stream:
            source = _Source(stream, member, f"{member.blob.path} (.{member.extension} of {key})", sink)
            place = add_member(tar, name, source, member.size_bytes)  # type: ignore[arg-type]  # it has `read`
            source.finish()
    assert place == member.offset_bytes, f"{name}: planned at byte {member.offset_bytes}, written at {place}"


def _damage_message(what: str, seen: str, wanted: str) -> str:
    return (
        f"{what}: got {seen}, recorded {wanted}; "
        "the file was damaged after its stage finished: run `mvideo verify`, then that stage again"
    )


class _ExpectedDigest(NamedTuple):
    """The recorded digest of the file whose chunks came last."""

    what: str
    sha256: str


class _Sink:
    """The file that `tarfile` writes into; members are checked and the tar is digested in two other threads.

    Hashing releases the interpreter lock. The chunks of a file are memoryviews of a few buffers. They pass through the
    thread that checks members to the thread that digests the tar; then their buffer is free again. New memory for every
    chunk would cost as much time as the copy. A wrong digest is reported with the next member or at the end: waiting
    for it after each member would stall the writer.
    """

    def __init__(self, out: IO[bytes]):
        self._out = out
        self._size_bytes = 0
        self._small = bytearray()
        self._damage: str | None = None
        self._tar = hashlib.sha256()
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        for _ in range(_N_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK_BYTES)))
        self._written: SimpleQueue[bytearray | memoryview | _ExpectedDigest | None] = SimpleQueue()
        self._checked: SimpleQueue[bytearray | memoryview | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=work, name=f"shard-{work.__name__.strip('_')}", daemon=True)
            for work in (self._check_members, self._digest_tar)
        ]

    def __enter__(self) -> "_Sink":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._written.put(None)
        for thread in self._threads:
            thread.join()

    def tell(self) -> int:
        """Bytes written so far."""
        return self._size_bytes

    def read_chunk(self, source: Any, size_bytes: int) -> memoryview:
        """At most `size_bytes` of a file, in a buffer that is free again after its `write`."""
        buffer, n = self._free.get(), 0
        while n < size_bytes and (more := source.readinto(buffer[n:size_bytes])):
            n += more
        return buffer[:n]

    def write(self, content: bytes | memoryview) -> None:
        """Append a chunk of a file (memoryview), or a few bytes, which are digested together with their neighbors."""
        self._out.write(content)
        self._size_bytes += len(content)
        if isinstance(content, memoryview):
            self._flush()
            self._written.put(content)
        else:
            self._small += content

    def expect(self, digest: _ExpectedDigest) -> None:
        """Compare the digest of the chunks since the last expected digest.

        Raises:
            StoreError: an earlier file did not match its recorded digest.
        """
        self._written.put(digest)
        self._raise_damage()

    def sha256(self) -> str:
        """Digest of everything written; call it after the `with` block.

        Raises:
            StoreError: a file did not match its recorded digest.
        """
        self._raise_damage()
        return self._tar.hexdigest()

    def _flush(self) -> None:
        if self._small:
            self._written.put(self._small)
            self._small = bytearray()

    def _raise_damage(self) -> None:
        if self._damage:
            raise StoreError(self._damage)

    def _check_members(self) -> None:
        state = hashlib.sha256()
        while (entry := self._written.get()) is not None:
            if isinstance(entry, _ExpectedDigest):
                if state.hexdigest() != entry.sha256 and not self._damage:
                    seen, wanted = f"SHA-256 {state.hexdigest()}", f"SHA-256 {entry.sha256}"
                    self._damage = _damage_message(entry.what, seen, wanted)
                state = hashlib.sha256()
                continue
            if isinstance(entry, memoryview):
                state.update(entry)
            self._checked.put(entry)
        self._checked.put(None)

    def _digest_tar(self) -> None:
        while (chunk := self._checked.get()) is not None:
            self._tar.update(chunk)
            if isinstance(chunk, memoryview):
                self._free.put(memoryview(chunk.obj))


class _Source:
    """A file of a sample, read by `tarfile`, with its size and digest checked."""

    def __init__(self, stream: IO[bytes], member: Member, what: str, sink: _Sink):
        self._stream, self._member, self._what, self._sink = stream, member, what, sink
        self._n_read = 0

    def read(self, size_bytes: int) -> memoryview:
        """The next chunk.

        Raises:
            StoreError: the file ends too early.
        """
        chunk = self._sink.read_chunk(self._stream, size_bytes)
        self._n_read += len(chunk)
        if len(chunk) < size_bytes:
            raise self._wrong_size("")
        return chunk

    def finish(self) -> None:
        """Check that the file ends here and that its digest is the recorded one.

        Raises:
            StoreError: it does not end here, or an earlier file was damaged.
        """
        if self._stream.read(1):
            raise self._wrong_size("more than ")
        self._sink.expect(_ExpectedDigest(self._what, self._member.sha256))

    def _wrong_size(self, how: str) -> StoreError:
        seen, wanted = f"{how}{self._n_read} bytes", f"{self._member.size_bytes} bytes"
        return StoreError(_damage_message(self._what, seen, wanted))
