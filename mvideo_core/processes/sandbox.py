"""Child processes that cannot outlive, starve or hang us: they die with the parent, and have limits of CPU, memory and
time.

The kernel ties a child to the *thread* that started it, so wait for it in the same thread.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import KilledError, MediaError

_LAUNCHER = str(Path(__file__).with_name("launcher.py"))
_STDERR_KEEP_BYTES = 64 * 1024
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals of an external stop or kill. We send only SIGKILL, when the time is up."""
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use; 0 = no limit.

    Attributes:
        wall_s: seconds of clock time before it is killed.
        cpu_s: seconds of CPU time over all its threads (kernel limit).
        memory_bytes: address space (kernel limit).
    """

    wall_s: float = 0.0
    cpu_s: int = 0
    memory_bytes: int = 0


def guard_argv(argv: Sequence[str], limits: Limits, ignore_stop_signals: bool = False) -> list[str]:
    """The command wrapped by our launcher.

    Args:
        argv: `argv[0]` must be an absolute path.
        ignore_stop_signals: it ignores SIGTERM, SIGINT and SIGHUP: its parent receives them and kills it.
    """
    settings = {
        "cpu_s": int(limits.cpu_s), "memory_bytes": int(limits.memory_bytes), "parent": os.getpid(),
        "ignore_stop_signals": int(ignore_stop_signals),
    }  # fmt: skip
    return [sys.executable, "-I", "-S", _LAUNCHER, json.dumps(settings), *argv]


class Child:
    """A running guarded child: its pipes, the tail of its stderr, and whether it was killed by its time limit."""

    def __init__(self, popen: "subprocess.Popen[bytes]", limits: Limits):
        self.popen = popen
        self.timed_out = False
        self._tail = bytearray()
        self._reader = threading.Thread(target=self._read_stderr, daemon=True)
        self._reader.start()
        self._timer = threading.Timer(limits.wall_s, self._expire) if limits.wall_s else None
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def finish(self) -> tuple[int, str]:
        """Wait for the end. Returns: (exit code, last part of stderr)."""
        code = self.popen.wait()
        if self._timer:
            self._timer.cancel()
        self._reader.join(timeout=5)
        return code, bytes(self._tail).decode("utf-8", "replace")

    def kill(self) -> None:
        """SIGKILL, wait, close the pipes. Harmless if it has already ended."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.finish()
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:  # unsent bytes for a dead child
                    continue

    def _expire(self) -> None:
        if self.popen.poll() is None:
            self.timed_out = True
            self.popen.kill()

    def _read_stderr(self) -> None:
        pipe = self.popen.stderr
        while pipe and (block := pipe.read1(65536)):  # type: ignore[attr-defined]
            self._tail += block
            del self._tail[:-_STDERR_KEEP_BYTES]


@contextmanager
def child(argv: Sequence[str], limits: Limits, **popen_args: Any) -> Iterator[Child]:
    """A guarded child that is guaranteed to be gone when the block ends; stdin is /dev/null, stderr is collected."""
    popen_args.setdefault("stdin", subprocess.DEVNULL)
    popen_args.setdefault("stdout", subprocess.PIPE)
    popen = subprocess.Popen(guard_argv(argv, limits, ignore_stop_signals=True), stderr=subprocess.PIPE, **popen_args)
    running = Child(popen, limits)
    try:
        yield running
    finally:
        running.kill()


def run(argv: Sequence[str], limits: Limits, what: str, **popen_args: Any) -> bytes:
    """Run to the end and return stdout.

    Raises:
        MediaError: non-zero exit or time limit; the message starts with `what` and ends with the child's last lines.
    """
    with child(argv, limits, **popen_args) as running:
        stdout = running.popen.stdout.read() if running.popen.stdout else b""
        code, tail = running.finish()
    if code != 0:
        raise death_error(what, code, tail, running.timed_out, limits)
    return stdout


def death_error(what: str, code: int, tail: str, timed_out: bool, limits: Limits) -> MediaError:
    """The error to raise for a failed child: KilledError if none of our limits explains the signal that killed it.

    A stop of the whole process tree can reach a child before its launcher has blocked the signals.
    """
    outside = -code in FROM_OUTSIDE and not timed_out
    return (KilledError if outside else MediaError)(failure(what, code, tail, timed_out, limits))


def failure(what: str, code: int, tail: str, timed_out: bool, limits: Limits) -> str:
    """One line that says how a child ended."""
    if timed_out:
        return f"{what}: killed after {limits.wall_s:g} s; increase the time limit to allow more"
    last = [line.strip() for line in tail.splitlines() if line.strip()][-2:]
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{what}: {how}: {' | '.join(last) or 'no message'}"


def disk_trouble(code: int, tail: str) -> str:
    """The disk error of a child that only writes a file from our own pipe; "" if it died of something else.

    Args:
        code, tail: as returned by `Child.finish`.
    """
    if code == -signal.SIGXFSZ:
        return os.strerror(errno.EFBIG)
    return next((words for number in _DISK_ERRORS if (words := os.strerror(number)) in tail), "")
