"""Errors of object stores in one line: their drivers raise errors of many kinds, most of them not an OSError."""

from collections.abc import Iterator
from contextlib import contextmanager

from mvideo_core.base.errors import MVideoError, StoreError

OBJECT_STORES = {
    "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "cos", "cosn", "tos", "obs", "oci", "memory",
}  # fmt: skip
"""Protocols without folders: nothing has to be created before a file is written."""
_OURS = (MVideoError, FileNotFoundError, TypeError, AttributeError, NameError, AssertionError)
_DENIED = ("credential", "access denied", "accessdenied", "forbidden", "unauthorized", "signature", "403", "401")


@contextmanager
def remote_errors(url: str, what: str, writes: bool = False) -> Iterator[None]:
    """Turns a driver's errors inside the block into StoreError; a missing file stays FileNotFoundError.

    Args:
        url: of the workspace or dataset; starts the message.
        what: what was being done: "writing heads/plan.json".
        writes: the block writes, so a missing "file" is a missing bucket.

    Raises:
        StoreError: has a cause only if another try may help.
    """
    try:
        yield
    except _OURS as error:
        if not (writes and isinstance(error, FileNotFoundError)):
            raise
        raise StoreError(f"{url}: {what}: {_first(error)}; no such bucket? Correct its name or create it") from None
    except PermissionError as error:
        raise StoreError(f"{url}: {what}: {_first(error)}; check the credentials and their permissions") from None
    except Exception as error:
        words = _first(error)
        if any(word in words.lower() for word in _DENIED):
            raise StoreError(f"{url}: {what}: {words}; check the credentials and their permissions") from None
        raise StoreError(f"{url}: {what}: {words}; check the URL and the network, then run again") from error


def _first(error: BaseException) -> str:
    words = " ".join(str(error).split())[:160]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
