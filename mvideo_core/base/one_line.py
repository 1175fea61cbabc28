"""A command's error as one line on standard error and an exit code, for every `main` of this project."""

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import ConfigError, MVideoError

log = logging.getLogger("mvideo_core")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the process with one line when one of our errors or a disk error leaves the block.

    Exit code 2: wrong call or options; 1: the work failed; 130: stopped with Ctrl-C. A reader of standard output that
    leaves early (`| head`) ends it without a word, exit code 1.
    """
    try:
        with disk_errors():
            yield
    except MVideoError as error:
        log.debug("%r", error, exc_info=error)
        _end(f"{type(error).__name__}: {error}", 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:  # a path the command itself reads or writes; library code raises our errors
        if isinstance(error, BrokenPipeError) and _reader_left():
            sys.exit(1)
        log.debug("%r", error, exc_info=error)
        where = f"{error.filename}: " if error.filename else ""
        _end(f"StoreError: {where}{error.strerror or error}; check the path, its permissions and the disk", 1)
    except KeyboardInterrupt:
        _end("stopped; run the same command again to continue from here", 130)
    finally:
        if _reader_left():  # Python's own flush at exit must be silent, too
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reader_left() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        pipe = select.poll()
        pipe.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in pipe.poll(0))
    except (OSError, ValueError):  # closed, or no real file
        return False


def _end(line: str, code: int) -> None:
    red = code != 130 and sys.stderr.isatty()
    print(f"\x1b[31m{line}\x1b[0m" if red else line, file=sys.stderr)
    sys.exit(code)
