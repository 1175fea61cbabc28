"""Starts processes that can be found and stopped later, even if the process that started them is gone."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mvideo.deployments._state import VARIABLE, Started
from mvideo_core.processes import sandbox
from mvideo_core.processes.identity import ticks_of

TAG = "MVIDEO_STACK"
"""Environment variable that every process of a stack inherits; its value is the state folder."""

FLOW_RUN = "PREFECT__FLOW_RUN_ID"


@dataclass(frozen=True, slots=True)
class Member:
    """A live process of a stack, found by its environment.

    Attributes:
        flow_run_id: of the run that it executes (an engine or a child of one); "" otherwise.
        command: its command line.
    """

    pid: int
    flow_run_id: str
    command: str


def start(name: str, argv: Sequence[str], environment: Mapping[str, str], folder: Path, tied: bool) -> Started:
    """Start one process of the stack in its own session, with its output in logs/<name>.log.

    Args:
        tied: kill it (SIGKILL) when the starting process ends; otherwise it keeps running, like a service.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    command = sandbox.guard_argv(argv, sandbox.Limits()) if tied else list(argv)
    # Prefect stops its children with SIGINT. A process started with `&` in a script ignores SIGINT, and its children
    # would inherit that and never stop.
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if _main_thread() else None
    try:
        with (logs / f"{name}.log").open("ab") as log:
            popen = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, TAG: str(folder), VARIABLE: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    return Started(name, popen.pid, ticks_of(popen.pid) or 0)


def members(folder: Path) -> list[Member]:
    """Every live process of the stack, children and orphans included."""
    return [member for pid in _pids() if (member := _member(pid, str(folder))) is not None]


def live_flow_runs() -> set[str]:
    """Ids of the flow runs with a live process on this machine, in any stack."""
    return {runs[0] for pid in _pids() if (runs := _values(pid, FLOW_RUN)) and ticks_of(pid) is not None}


def end(pids: Collection[int], grace_s: float) -> None:
    """Send SIGTERM, then SIGKILL to processes still running after `grace_s`; returns when all are gone."""
    started = {pid: ticks_of(pid) for pid in pids}
    left = {pid for pid, ticks in started.items() if ticks is not None}
    _signal(left, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left = {pid for pid in left if _still(pid, started[pid])}
    _signal(left, signal.SIGKILL)
    deadline = time.monotonic() + 10.0
    while any(_still(pid, started[pid]) for pid in left) and time.monotonic() < deadline:
        time.sleep(0.05)


def python_module(*words: str) -> list[str]:
    """Command line of a Python module in this interpreter."""
    return [sys.executable, "-m", *words]


def _still(pid: int, ticks: int | None) -> bool:
    _collect(pid)
    return ticks is not None and ticks_of(pid) == ticks


def _collect(pid: int) -> None:
    """Reap the exit code of a child of ours, so that it does not stay a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _signal(pids: Collection[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            yield int(entry.name)


def _member(pid: int, folder: str) -> Member | None:
    if folder not in _values(pid, TAG) or ticks_of(pid) is None:
        return None
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return None
    return Member(pid, next(iter(_values(pid, FLOW_RUN)), ""), command)


def _values(pid: int, variable: str) -> list[str]:
    """Value of an environment variable at the start of the process: a list of none or one."""
    try:
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    prefix = f"{variable}=".encode()
    return [pair[len(prefix) :].decode(errors="replace") for pair in pairs if pair.startswith(prefix)]


def _main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
