"""Tars written by `tarfile`: no time, no owner, so that equal content gives equal bytes.

`webdataset.TarWriter` needs every member as bytes in memory and puts its own user name into every header; a clip may be
larger than memory, so its content is streamed through `TarFile.addfile`.
"""

import io
import tarfile
from typing import IO

from mvideo_core.shards.members import USTAR_NAME_CHARS, pad_size

CHUNK_BYTES = 1 << 20
_USTAR_MAX_BYTES = 8**11


def open_tar(out: IO[bytes]) -> tarfile.TarFile:
    """A tar for `add_member`, written into `out`; closing it writes the zeros that end a tar."""
    return tarfile.TarFile(fileobj=out, mode="w", encoding="ascii", copybufsize=CHUNK_BYTES)


def add_member(tar: tarfile.TarFile, name: str, content: IO[bytes], size_bytes: int) -> int:
    """Append a member; returns the offset of its content in the tar.

    The header is plain USTAR; a name over 100 characters or a size of 8 GiB or more uses GNU's format.

    Args:
        name: ASCII, without a folder.
        content: exactly `size_bytes` are read from it.
    """
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    fits = len(name) <= USTAR_NAME_CHARS and size_bytes < _USTAR_MAX_BYTES
    tar.format = tarfile.USTAR_FORMAT if fits else tarfile.GNU_FORMAT
    tar.addfile(info, content)
    tar.members.clear()  # type: ignore[attr-defined]  # used by readers only; memory would grow with the tar
    return tar.offset - pad_size(size_bytes)


def tar_end(size_bytes: int) -> bytes:
    """The zeros that end a tar of `size_bytes`: two blocks, then up to a full record."""
    out = io.BytesIO()
    with open_tar(out) as tar:
        tar.offset = size_bytes
    return out.getvalue()
