"""Runs as a script: apply limits, tie its life to the parent's, become the command. Standard library only.

    python -I -S launcher.py '{"cpu_s": 60, "memory_bytes": 0, "ignore_stop_signals": 0, "parent": 123}' COMMAND...

It replaces `preexec_fn`, which may deadlock in a parent with threads (workers, torch).
"""

import ctypes
import json
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
GRACE_S = 5
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What a cancellation, a service manager or Ctrl-C sends to the whole process tree."""


def take_limits(limits: dict[str, int]) -> None:
    """Apply resource limits to this process; 0 or absent means no limit."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name, key in ((resource.RLIMIT_CPU, "cpu_s"), (resource.RLIMIT_AS, "memory_bytes")):
        if limits.get(key):
            hard = resource.getrlimit(name)[1]
            free = hard == resource.RLIM_INFINITY
            wanted = limits[key] if free else min(limits[key], hard)
            # CPU: SIGXCPU first and SIGKILL seconds later, so that an external SIGKILL can be distinguished from ours.
            most = wanted + GRACE_S if name == resource.RLIMIT_CPU else wanted
            resource.setrlimit(name, (wanted, most if free else min(most, hard)))


def leave_stops_to_the_parent() -> None:
    """Block the stop signals, also in the command: the parent receives them and ends the command with SIGKILL.

    ffmpeg would exit at SIGTERM with code 255, and its video would be blamed. It installs handlers whatever it
    inherits, so ignoring the signals here would not help.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent dies; exit immediately if it is already gone (Linux)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    die_with_parent(settings["parent"])
    take_limits(settings)
    if settings.get("ignore_stop_signals"):
        leave_stops_to_the_parent()
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is the point
