"""Opening a possibly hostile file: a regular file, inside its folder, that starts like a video container."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mvideo_core.base.errors import MediaError

AnyPath = str | bytes | os.PathLike[str]

_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}


@contextmanager
def open_regular(path: AnyPath, root: AnyPath | None = None) -> Iterator[int]:
    """Descriptor of a regular file, closed at the end of the block.

    Args:
        path: file to open; a link is followed.
        root: folder that must contain the real file, regardless of links; None allows any location.

    Raises:
        MediaError: missing, unreadable, not a regular file (folder, pipe, device), or outside `root`.
    """
    name = os.fsdecode(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise MediaError(f"{name!r}: cannot be opened: {error.strerror}") from None
    except ValueError as error:  # NUL byte in the name
        raise MediaError(f"{name!r}: not a file name: {error}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise MediaError(f"{name!r}: not a regular file; links to folders, pipes and devices are not read")
        if root is not None and not _is_inside(fd, path, root):
            raise MediaError(f"{name!r}: leads out of {os.fsdecode(root)!r}; copy the file there instead of linking it")
        yield fd
    finally:
        os.close(fd)


def sniff(fd: int) -> str:
    """FFmpeg's name of the container family by its first bytes, so that a renamed playlist or text is never parsed.

    Raises:
        MediaError: empty file, or not one of MP4/MOV, Matroska/WebM, AVI, MPEG-TS, FLV, Ogg.
    """
    head = os.pread(fd, 400, 0)
    if not head:
        raise MediaError("empty file (0 bytes)")
    if head[4:8] in _BOXES:
        return "mov"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:1] == b"\x47" and head[188:189] == b"\x47":
        return "mpegts"
    if head[:4] == b"FLV\x01":
        return "flv"
    if head[:4] == b"OggS":
        return "ogg"
    raise MediaError(
        f"not a video container we support: starts with {head[:12]!r}; supported are "
        "MP4/MOV, Matroska/WebM, AVI, MPEG-TS, FLV and Ogg"
    )


def _is_inside(fd: int, path: AnyPath, root: AnyPath) -> bool:
    """Whether the *opened* file is inside root, by its descriptor where the system allows it (no race)."""
    folder = os.path.realpath(os.fsencode(root))
    link = f"/proc/self/fd/{fd}"
    real = os.readlink(os.fsencode(link)) if os.path.islink(link) else os.path.realpath(os.fsencode(path))  # noqa: PTH114,PTH115
    return os.path.commonpath([folder, real]) == folder
