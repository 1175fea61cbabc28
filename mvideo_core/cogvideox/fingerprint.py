"""Identity of large weight files without reading all of them.

Reading CogVideoX-5b's 20 GB takes a minute or more on every start, so weights are identified by size, head (the
safetensors header with every tensor's name, shape and offset) and evenly spaced blocks. This distinguishes releases,
fine-tunes and precisions; it does not protect against someone who edits single bytes on purpose (`mvideo weights check`
reads everything).
"""

import hashlib
from pathlib import Path

HEAD_BYTES = 1 << 20
BLOCK_BYTES = 1 << 16
N_BLOCKS = 64
WHOLE_BELOW_BYTES = HEAD_BYTES + N_BLOCKS * BLOCK_BYTES
"""Files up to this size are read completely."""


def folder_sha256(folder: Path, parts: tuple[str, ...]) -> str:
    """SHA-256 (hex) over the names and fingerprints of all files below the given subfolders."""
    whole = hashlib.sha256()
    for part in parts:
        for path in sorted(p for p in (folder / part).rglob("*") if p.is_file() and not p.name.startswith(".")):
            whole.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            whole.update(file_fingerprint(path))
    return whole.hexdigest()


def file_fingerprint(path: Path) -> bytes:
    """Digest of size and content; for large files, of the head and of `N_BLOCKS` blocks spread up to the very end."""
    size = path.stat().st_size
    seen = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        if size <= WHOLE_BELOW_BYTES:
            seen.update(stream.read())
            return seen.digest()
        seen.update(stream.read(HEAD_BYTES))
        for n in range(N_BLOCKS):
            stream.seek(HEAD_BYTES + (size - HEAD_BYTES - BLOCK_BYTES) * n // (N_BLOCKS - 1))
            seen.update(stream.read(BLOCK_BYTES))
    return seen.digest()
