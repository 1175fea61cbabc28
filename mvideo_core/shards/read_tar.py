"""Reads foreign tars without trusting them: headers are checked, nothing is ever extracted to a path."""

import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from mvideo_core.base.errors import StoreError
from mvideo_core.shards.members import BLOCK_BYTES, pad_size

MAX_NAME_BYTES = 1024


class TarEntry(NamedTuple):
    """One regular file of a tar: name, offset of its header, offset and size of its content."""

    name: str
    header_offset_bytes: int
    offset_bytes: int
    size_bytes: int


def tar_entries(stream: IO[bytes], path: str) -> Iterator[TarEntry]:
    """Entries of a seekable tar in this project's format, in order; contents are skipped, not read.

    Args:
        stream: binary file.
        path: for messages.

    Raises:
        StoreError: truncated, not a tar, a link or device, or a name that is more than a plain file name.
    """
    size_bytes = stream.seek(0, 2)
    offset = 0
    while (info := _header(stream, offset, path)) is not None:
        first = offset
        if info.type == tarfile.GNUTYPE_LONGNAME:
            if info.size > MAX_NAME_BYTES:
                raise StoreError(
                    f"{path}: a name of {info.size} bytes at byte {offset}; at most {MAX_NAME_BYTES} are allowed"
                )
            name = stream.read(info.size).rstrip(b"\0").decode("ascii", "replace")
            offset += BLOCK_BYTES + pad_size(info.size)
            info = _header(stream, offset, path)
            if info is None:
                raise StoreError(f"{path}: a long name at byte {first} without its file; write the shard again")
            info.name = name
        _check(info, path)
        start = offset + BLOCK_BYTES
        if start + info.size > size_bytes:
            raise StoreError(f"{path}: {info.name} extends beyond the end of the file; write the shard again")
        yield TarEntry(info.name, first, start, info.size)
        offset = start + pad_size(info.size)


def _header(stream: IO[bytes], offset: int, path: str) -> tarfile.TarInfo | None:
    """The header at `offset`; None for the empty block that ends a tar."""
    stream.seek(offset)
    header = stream.read(BLOCK_BYTES)
    if len(header) < BLOCK_BYTES:
        raise StoreError(f"{path}: truncated at byte {offset + len(header)}; write the shard again")
    if not header.strip(b"\0"):
        return None
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: no tar header at byte {offset}: {error}") from None


def _check(info: tarfile.TarInfo, path: str) -> None:
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise StoreError(
            f"{path}: {info.name!r} is not a regular file (type {info.type!r}); links and devices are not read"
        )
    if "/" in info.name or "\\" in info.name or info.name.startswith(".") or info.size < 0:
        raise StoreError(f"{path}: {info.name!r} is not a plain file name of the form key.extension")
