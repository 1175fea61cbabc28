import io
import os
import pty
import re
import select

import pytest

from mvideo.deployments._lines import Line, LiveLines


class Screen:
    """Just enough of a terminal: text, newline, "up N lines", "clear the line", "clear below"."""

    def __init__(self) -> None:
        self.rows: list[str] = [""]
        self.row = 0

    def feed(self, text: str) -> None:
        for code, end, plain in re.findall(r"\x1b\[(\d*)([FKJ])|([^\x1b]+)", text):
            if end == "F":
                self.row -= int(code)
                assert self.row >= 0
            elif end == "K":
                self.rows[self.row] = ""
            elif end == "J":
                del self.rows[self.row + 1 :]
                self.rows[self.row] = ""
            for piece in re.split(r"(\n)", plain.replace("\r", "")):
                if piece == "\n":
                    self.row += 1
                    self.rows += [""] * (self.row + 1 - len(self.rows))
                else:
                    self.rows[self.row] += piece


@pytest.fixture
def terminal():
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as out:
        yield out, lambda: drained(leader)
    os.close(leader)


def drained(leader: int) -> str:
    """All that was written so far."""
    found = b""
    while select.select([leader], [], [], 0.2)[0]:
        found += os.read(leader, 65536)
    return found.decode()


def test_a_terminal_shows_each_thing_once_in_its_last_state(terminal) -> None:
    out, read = terminal
    lines, screen = LiveLines(out), Screen()
    lines.show([Line("a", "cut 10 %")], "pending, 1 s")
    lines.show([Line("a", "cut 50 %"), Line("b", "detect 5 %")], "running, 3 s")
    screen.feed(read())
    assert screen.rows == ["cut 50 %", "detect 5 %", "running, 3 s", ""]
    lines.show([Line("a", "cut 100 %", True), Line("b", "detect 50 %")], "running, 5 s")
    lines.show([Line("a", "cut 100 %", True), Line("b", "detect 70 %"), Line("c", "segment 1 %")])
    lines.show([Line("b", "detect 100 %", True), Line("c", "segment 100 %", True)])
    lines.end()
    screen.feed(read())
    assert screen.rows == ["cut 100 %", "detect 100 %", "segment 100 %", ""]


def test_a_line_is_cut_at_the_edge_of_the_terminal(terminal, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    out, read = terminal
    LiveLines(out).show([Line("a", "x" * 50)])
    screen = Screen()
    screen.feed(read())
    assert screen.rows == ["x" * 19, ""]


def test_a_log_gets_a_line_now_and_then_and_the_last_one() -> None:
    out, seconds = io.StringIO(), [0.0]
    lines = LiveLines(out, log_every_s=30, now=lambda: seconds[0])
    for now, percent in ((0, 1), (10, 20), (35, 40), (40, 50), (70, 90), (71, 100), (90, 100)):
        seconds[0] = now
        lines.show([Line("a", f"cut {percent} %", percent == 100)], "running")
    lines.show([Line("b", "detect 3 %")])
    lines.end()
    assert out.getvalue().splitlines() == ["cut 40 %", "cut 90 %", "cut 100 %", "detect 3 %"]
