"""Files that appear whole or not at all."""

import uuid
from pathlib import Path

from mvideo_core.errors import StoreError


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, in one move; folders are made. Several processes and threads may write the same one.

    Killed at any moment, the old file or the new one is there, and perhaps a hidden `.part` beside it.

    Raises:
        StoreError: the place cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        partial.replace(path)
    except OSError as error:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot write ({error}); free space or fix permissions, then run again") from error
