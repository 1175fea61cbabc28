"""One owner of a part in a process of its own: `python -m tests.mvideo_core.store.part_owner URL [pause_before]`.

Its files hold its process id, so that two owners never write the same bytes, as two kinds of GPUs would not. It prints
a line per item, "commit" before it writes the marker, and at the end the id in the files that its rows refer to. After
the line `pause_before` ("item v03", "commit") it stops itself (SIGSTOP) until someone wakes it.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence

from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, Row, SourceRow
from mvideo_core.engine.part import run_part
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.store import commit, lease
from mvideo_core.store.workspace import Workspace

KEYS = ("v00", "v01", "v02", "v03", "v04", "v05")
EXPIRE_S = 3.0


class NamedRow(Row):
    """A file that names its writer."""

    note: Blob | None = None


class NamedWorker(Worker):
    """Writes this process's id for each item."""

    def __init__(self, options: Options, context: StageContext):
        self.context = context

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        return [[self._row(item)] for item in items]

    def _row(self, item: Item) -> Row:
        say(f"item {item.key}")
        time.sleep(0.1)
        content = str(os.getpid()).encode()
        note = self.context.commit_bytes(content, f"{item.key}.txt", item.content_key)
        return NamedRow(key=item.key, parent=item.key, note=note)


NAMED = Stage("named", 1, ("source",), Options, NamedRow, "cpu", NamedWorker)


def plan(url: str) -> None:
    """A plan of one part."""
    make_plan(Workspace(url), [SourceRow(key=key) for key in KEYS], PlanOptions(part_size=len(KEYS)))


def say(line: str) -> None:
    """A line for the test; stops this process if the test asked for it."""
    print(line, flush=True)
    if line in sys.argv[2:]:
        os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    """Finish the part."""
    lease.RENEW_S, lease.EXPIRE_S, lease.POLL_S = EXPIRE_S / 4, EXPIRE_S, 0.2
    write_marker = commit._write_marker

    def announced(*given):
        say("commit")
        return write_marker(*given)

    commit._write_marker = announced
    workspace = Workspace(sys.argv[1])
    result = run_part(workspace, NAMED, 0, Options())
    notes = {workspace.folder.read(row.note.path).decode() for row in workspace.rows(result.marker, NamedRow)}
    say(f"end {' '.join(sorted(notes))}")


if __name__ == "__main__":
    main()
