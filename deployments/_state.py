"""The state folder of one local stack: its server's address, its processes, their logs and database.

```
stack.json     what is running (see StackState)
prefect/       PREFECT_HOME: SQLite database, results
logs/          one file per process
```
Reading needs only the standard library: every `prefect` command line does it.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mvideo_core.processes.identity import ticks_of

VARIABLE = "MVIDEO_STATE"


@dataclass(frozen=True, slots=True)
class Started:
    """A process of the stack. `ticks`: start time from /proc, to detect a reused process id."""

    name: str
    pid: int
    ticks: int


@dataclass(slots=True)
class StackState:
    """What `mvideo server up` started."""

    port: int = 0
    environment: str = ""
    processes: list[Started] = field(default_factory=list)


def default_folder() -> Path:
    """$MVIDEO_STATE, or ~/.mvideo."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".mvideo")


def read_state(folder: Path) -> StackState:
    """The stack as last written; empty if there is none or the file is damaged."""
    try:
        found = json.loads((folder / "stack.json").read_text())
        return StackState(found["port"], found["environment"], [Started(**entry) for entry in found["processes"]])
    except (OSError, ValueError, KeyError, TypeError):
        return StackState()


def write_state(folder: Path, state: StackState) -> None:
    """Replace the record atomically."""
    from mvideo_core.base.disk import write_whole  # kept out of the commands that only read

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(folder / "stack.json", json.dumps(asdict(state), indent=1))


def is_alive(process: Started) -> bool:
    """True if the same process is still running."""
    return ticks_of(process.pid) == process.ticks


def find_api_url(folder: Path | None = None) -> str | None:
    """API address of the stack's server; None if it is not running."""
    state = read_state(folder or default_folder())
    running = any(process.name == "server" and is_alive(process) for process in state.processes)
    return api_url(state.port) if running else None


def api_url(port: int) -> str:
    """Address of a server on this machine."""
    return f"http://127.0.0.1:{port}/api"
