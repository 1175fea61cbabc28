"""Progress lines: rewritten in place on a terminal; in a log, each line appears periodically, and at the end."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

LOG_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of progress. `key` stays the same while the text changes; `done`: the text will not change again."""

    key: str
    text: str
    done: bool = False


class LiveLines:
    """Shows lines in the order in which they first appeared.

    Args:
        out: on a terminal, lines are rewritten in place; elsewhere a line is repeated every `log_every_s` and at the
            end.
    """

    def __init__(self, out: TextIO, log_every_s: float = LOG_EVERY_S, now: Callable[[], float] = time.monotonic):
        self.out, self.live, self.log_every_s, self.now = out, out.isatty(), log_every_s, now
        self._lines: dict[str, Line] = {}
        self._over: set[str] = set()
        self._written: dict[str, tuple[float, Line | None]] = {}
        self._height = 0

    def show(self, lines: list[Line], status: str = "") -> None:
        """Update some lines. `status`: text below them on a terminal; not logged."""
        for line in lines:
            if line.key not in self._over:
                self._lines[line.key] = line
        if self.live:
            self._redraw(status)
        else:
            self._log()

    def end(self) -> None:
        """Leave every line in its final state."""
        if self.live:
            self._redraw("")
        else:
            self._log(last=True)
        self._lines, self._written, self._over, self._height = {}, {}, set(), 0

    def _redraw(self, status: str) -> None:
        columns = shutil.get_terminal_size().columns
        texts = [line.text for line in self._lines.values()] + ([status] if status else [])
        up = f"\x1b[{self._height}F" if self._height else ""
        self.out.write(up + "".join(f"\x1b[2K{text[: columns - 1]}\n" for text in texts) + "\x1b[J")
        self.out.flush()
        self._release()
        self._height = len(self._lines) + bool(status)

    def _release(self) -> None:
        """Finished lines at the top are left as they are, so that the rewritten part stays short."""
        for key in list(self._lines):
            if not self._lines[key].done:
                return
            self._over.add(key)
            del self._lines[key]

    def _log(self, last: bool = False) -> None:
        for key, line in self._lines.items():
            shown_s, shown = self._written.setdefault(key, (self.now(), None))
            if line != shown and (line.done or last or self.now() - shown_s >= self.log_every_s):
                self.out.write(line.text + "\n")
                self._written[key] = (self.now(), line)
        self.out.flush()
