"""Which process a process id means. Only the standard library: every `prefect` command line reads it."""

from pathlib import Path


def ticks_of(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; None if it is gone (a zombie counts as gone)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])
