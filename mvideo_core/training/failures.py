"""Why a training run ended: the error its processes wrote, otherwise what their log shows, otherwise how they died."""

import json
import logging
import re
import signal
from pathlib import Path

from mvideo_core.base import errors
from mvideo_core.base.disk import work_folder, write_whole
from mvideo_core.base.errors import MVideoError, StoreError, TrainError
from mvideo_core.training.distributed import RankLost

log = logging.getLogger(__name__)
ERRORS = "errors"
TRACEBACK = "Traceback (most recent call last):"
LONGEST = 400
PROBE_BYTES = 1 << 16
"""Long enough for a process to record why it ended."""
RESUME = "The same command resumes from the newest checkpoint"


def write_failure(run: Path, rank: int, error: Exception) -> None:
    """Store an error of this process in errors/rank-<n>.json, for the launcher."""
    known = isinstance(error, MVideoError)
    kind = type(error).__name__ if known else _qualified_name(type(error))
    said = {"kind": kind, "message": str(error)}
    try:
        write_whole(run / ERRORS / f"rank-{rank}.json", json.dumps(said, indent=1))
    except StoreError as full:  # must not hide the error itself; the launcher checks the disk, too
        log.error("%s", full)


def read_error(run: Path, log_path: Path | None = None) -> MVideoError | None:
    """The first error that a process wrote; None if there is none except "another rank is gone".

    Our own errors come back unchanged. Any other becomes a one-line TrainError with its type and message that points to
    the log.
    """
    files = sorted((run / ERRORS).glob("rank-*.json"), key=lambda path: path.stat().st_mtime_ns)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    said = next((one for one in records if one["kind"] != RankLost.__name__), None)
    if said is None:
        return None
    kind = getattr(errors, said["kind"], None)
    error: MVideoError = (
        kind(said["message"]) if kind else _wrap_foreign(f"{said['kind']}: {said['message']}", log_path)
    )
    error.explained = True  # type: ignore[attr-defined]
    return error


def find_full_disk(run: Path) -> StoreError | None:
    """Probe whether the disk is full, after processes that died without a message: the error, or None."""
    try:
        with work_folder(run / ERRORS / "probe") as probe:
            (probe / "file").write_bytes(bytes(PROBE_BYTES))
    except StoreError as error:
        own = StoreError(f"the training ended, and {error}. {RESUME}")
        own.explained = True  # type: ignore[attr-defined]
        return own
    return None


def explain_death(code: int, log_path: Path, start_byte: int) -> TrainError:
    """The error to raise for processes that wrote none.

    Args:
        code: exit code of the started process; negative: the signal that killed it.
        log_path, start_byte: its output, and where this launch starts in it.
    """
    with log_path.open("rb") as stream:
        stream.seek(start_byte)
        said = stream.read().decode(errors="replace").strip().splitlines()
    if name := _signal(code, said):
        memory = "; out of memory, the kernel kills processes this way: see `dmesg`" if name == "SIGKILL" else ""
        return TrainError(
            f"a process of the training was ended by signal {name}{memory}. Its log: {log_path}. {RESUME}"
        )
    if line := _last_exception(said):
        return _wrap_foreign(line, log_path)
    last = "\n  ".join(said[-12:])
    return TrainError(
        f"the training ended with code {code} and no message. The last lines of {log_path}:\n  {last}\n{RESUME}"
    )


def _wrap_foreign(line: str, log_path: Path | None) -> TrainError:
    one_line = " ".join(line.split())
    if len(one_line) > LONGEST:
        one_line = f"{one_line[:LONGEST]}..."
    return TrainError(f"{one_line} (the traceback is in {log_path or 'the log'}). {RESUME}")


def _last_exception(lines: list[str]) -> str:
    """The line below the last traceback that names its exception; torchrun's own summary of a child is skipped."""
    found = ""
    for number, line in enumerate(lines):
        if line.strip().endswith(TRACEBACK):
            # torchrun and logging may indent or prefix a traceback; the exception is the first line outside a frame.
            before = line[: line.index("Traceback")]
            body = (one.removeprefix(before) for one in lines[number + 1 :])
            ended = next((one for one in body if one and not one.startswith((" ", "\t"))), "")
            if ended and "ChildFailedError" not in ended:
                found = ended
    return found


def _signal(code: int, lines: list[str]) -> str:
    """Name of the signal that killed the process or one of torchrun's children; "" if none did."""
    if code < 0:
        return signal.Signals(-code).name
    reported = re.findall(r"Signal \d+ \((SIG[A-Z0-9]+)\) received", "\n".join(lines))
    # torchrun sends SIGTERM to the others once one is gone.
    return next((name for name in reported if name != "SIGTERM"), reported[0] if reported else "")


def _qualified_name(kind: type[Exception]) -> str:
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
