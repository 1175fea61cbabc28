"""What `mvideo ... --help` prints, read back from the printed text."""

import re
from typing import NamedTuple

from typer.testing import CliRunner

from mvideo_core.cli.main import app

ONE_LINE = "4000"
"""Columns of the terminal, so that every row of a help page is one line."""


class Row(NamedTuple):
    """An argument or option as a help page shows it."""

    names: tuple[str, ...]
    meaning: str
    default: str
    required: bool


class HelpPage(NamedTuple):
    """One help page: its rows without --help, and its subcommands."""

    rows: list[Row]
    commands: list[str]


def help_page(*words: str) -> HelpPage:
    """The page of `mvideo WORDS --help`."""
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": ONE_LINE, "NO_COLOR": "1", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    rows, commands, panel = [], [], ""
    for line in done.stdout.splitlines():
        if line.startswith("╭"):
            panel = line.strip("╭─╮ ")
        elif line.startswith("│") and panel == "Commands":
            commands.append(line.strip("│ ").split()[0])
        elif line.startswith("│"):
            rows.append(_row(line.strip("│").strip()))
    return HelpPage([row for row in rows if "--help" not in row.names], commands)


def every_page(*words: str) -> dict[tuple[str, ...], HelpPage]:
    """Words after `mvideo` -> page, of a command and all below it."""
    page = help_page(*words)
    found = {words: page}
    for name in page.commands:
        found |= every_page(*words, name)
    return found


def _row(text: str) -> Row:
    names, _, rest = text.removeprefix("*").strip().partition("<")
    meaning = re.split(r"(?<=[>\]])\s{2,}", f"<{rest}", maxsplit=1)[1]
    default = re.search(r"\[default: (.*?)\]$", meaning)
    required = meaning.endswith("[required]")
    plain = re.sub(r"\s*\[(default: .*?|required)\]$", "", meaning)
    return Row(tuple(names.split()), plain, default[1] if default else "", required)
