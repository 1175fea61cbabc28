"""A command's error as one line on standard error and an exit code, for every `main` of this project."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import ConfigError, MVideoError

log = logging.getLogger("mvideo_core")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the process with one line when one of our errors or a disk error leaves the block.

    Exit code 2: wrong call or options; 1: the work failed; 130: stopped with Ctrl-C.
    """
    try:
        with disk_errors():
            yield
    except MVideoError as error:
        log.debug("%r", error, exc_info=error)
        _end(f"{type(error).__name__}: {error}", 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:  # a path the command itself reads or writes; library code raises our errors
        log.debug("%r", error, exc_info=error)
        where = f"{error.filename}: " if error.filename else ""
        _end(f"StoreError: {where}{error.strerror or error}; check the path, its permissions and the disk", 1)
    except KeyboardInterrupt:
        _end("stopped; run the same command again to continue from here", 130)


def _end(line: str, code: int) -> None:
    red = code != 130 and sys.stderr.isatty()
    print(f"\x1b[31m{line}\x1b[0m" if red else line, file=sys.stderr)
    sys.exit(code)
