"""Errors of libraries that load weights, turned into one line of ours: the file, the problem, the remedy.

A library's advice (turn off its safety, ignore the message, install another package) is never passed on.
"""

import logging
import pickle
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from mvideo_core.base.errors import ModelError
from mvideo_core.weights.file_checks import READ_BY_LOADERS, content_problem

log = logging.getLogger(__name__)
RAISED_BY_LOADERS = (
    OSError, SafetensorError, KeyError, IndexError, AttributeError, ValueError, TypeError, RuntimeError, ImportError,
    AssertionError, EOFError, ArithmeticError, MemoryError, pickle.PickleError,
)  # fmt: skip
COPY_AGAIN = "copy it again"
LOUD = ("transformers", "diffusers")
"""Their loading warnings are about fallbacks and guesses, which the folder check rules out."""
LONGEST_TEXT = 160
_ADVICE = re.compile(
    r"weights_only|pickle|ignore|pip install|trust_remote_code|https?:|re-run|please|you can|you should|make sure|"
    r"if you |try ", re.IGNORECASE,
)  # fmt: skip


@contextmanager
def explain_failures(path: Path, remedy: str = COPY_AGAIN) -> Iterator[None]:
    """Inside the block, any library error while loading `path` becomes one line, and bars appear on terminals only.

    Args:
        path: file or folder being loaded.
        remedy: last words of the message.

    Raises:
        ModelError: for each of their errors.
    """
    loggers = [logging.getLogger(name) for name in LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with bars_on_terminals_only():
            yield
    except RAISED_BY_LOADERS as error:
        log.debug("%s: %r", path, error)
        check_memory(path, error)
        raise ModelError(f"weights: {_what(path, error)}; {remedy}") from None
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def bars_on_terminals_only() -> Iterator[None]:
    """Inside the block, transformers and diffusers, imported before, draw progress bars on a terminal, not in a log."""
    modules = [] if sys.stderr.isatty() else [sys.modules.get(f"{name}.utils.logging") for name in LOUD]
    silenced = [one for one in modules if one is not None and one.is_progress_bar_enabled()]
    for one in silenced:
        one.disable_progress_bar()
    try:
        yield
    finally:
        for one in silenced:
            one.enable_progress_bar()


def check_memory(path: Path | str, error: BaseException) -> None:
    """Raise a ModelError that does not blame the file if the error is a lack of memory."""
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower() or "can't allocate" in str(error):
        raise ModelError(
            f"weights: {path}: not enough memory to load it; free memory, or use a larger machine"
        ) from None


def plain_words(error: BaseException) -> str:
    """A library's error on one line, without its advice."""
    lines = str(error).strip().splitlines()
    sentences = re.split(r"(?<=[a-z)\]])[.;!] ", " ".join(lines[0].split()) if lines else "")
    text = ". ".join(part for part in sentences if not _ADVICE.search(part)).rstrip(".")[:LONGEST_TEXT]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _what(path: Path, error: BaseException) -> str:
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if (file == path or file.suffix in READ_BY_LOADERS) and (problem := content_problem(file)):
            return f"{file}: {problem}"
    return f"{path}: cannot be loaded ({plain_words(error)})"
