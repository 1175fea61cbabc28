"""SHA-256 of streams and files, read in pieces."""

import hashlib
from pathlib import Path
from typing import IO

from mvideo_core.base.stopping import raise_if_stopped

CHUNK_BYTES = 1 << 20


def sha256_of(stream: IO[bytes], n_bytes: int | None = None) -> str:
    """SHA-256 (hex) of the next `n_bytes` of a stream, or of the rest of it.

    Raises:
        Stopped: a stop was requested in the meantime.
    """
    state = hashlib.sha256()
    left = n_bytes
    while chunk := stream.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
        raise_if_stopped()
        state.update(chunk)
        left = None if left is None else left - len(chunk)
    return state.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file; ignores stop requests, so that a checkpoint can be written on a stop."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
