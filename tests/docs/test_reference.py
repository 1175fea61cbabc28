"""docs/reference is what the code says now, and the code has nothing that it leaves out."""

import ast
import importlib
import re
from functools import cache

import pytest

from tests.docs.help_pages import HelpPage, every_page
from tests.docs.shell_lines import PAGES
from tests.reference import FOLDER, REPOSITORY, pages
from tests.reference.docstrings import PAGES as PAGES_OF_DOCSTRINGS
from tests.reference.docstrings import Entry, fields_table
from tests.reference.options import every_record, nested
from tests.reference.variables import LIBRARIES, READ, TESTS, reads, reads_of

NAMED_BY_AN_OPTION = {"mvideo_core/perception/captioning/connections.py"}
"""Files that read a variable whose name an option holds (api_key_env)."""

NOT_GIVEN_BY_ANYBODY = {
    "BertArch", "GroundingDinoArch", "ViclipSizes",  # configurations that come with weights
    "Change", "GeneratedVideo", "RunReport", "State",  # files that a run writes for itself
    "EvaluateRequest",  # made from flags
    "VideoWanted",  # sent by the studio's page
    # bases of others
    "BoxOptions", "CaptionerOptions", "ObjectOptions", "OverlapPolicy", "ProtocolOptions", "SegmenterOptions",
}  # fmt: skip


@cache
def made() -> dict[str, str]:
    return pages()


@cache
def help_pages() -> dict[tuple[str, ...], HelpPage]:
    return every_page()


@cache
def section_rows() -> dict[tuple[str, ...], list[list[str]]]:
    """Words after `mvideo` -> cells of the table of its section, as commands.md has them."""
    text = (FOLDER / "commands.md").read_text(encoding="utf-8")
    found = {}
    for section in re.split(r"^#{2,4} mvideo", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
        found[tuple(section.splitlines()[0].split())] = [
            [cell.replace("\\|", "|").replace("&lt;", "<").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in lines
        ]
    return found


@pytest.mark.parametrize(
    "name", ["commands.md", "options.md", "deployments.md", "environment.md", *PAGES_OF_DOCSTRINGS]
)
def test_the_page_is_what_the_code_says(name: str) -> None:
    stored = (FOLDER / name).read_text(encoding="utf-8")
    assert stored == made()[name], f"docs/reference/{name} is out of date; run `python -m tests.reference`"


@pytest.mark.parametrize("entry", [one for page in PAGES_OF_DOCSTRINGS.values() for one in page.entries if one.fields])
def test_every_field_of_a_record_is_explained(entry: Entry) -> None:
    module, _, name = entry.source.partition(":")
    record = getattr(importlib.import_module(module), name)
    assert re.findall(r"^\| `(\w+)`", fields_table(record), re.MULTILINE) == list(record.model_fields)


def test_every_page_is_compared() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(made())


def test_the_reference_has_the_very_commands_that_help_has() -> None:
    assert len(help_pages()) > 50
    assert list(section_rows()) == list(help_pages())


def test_the_reference_has_the_options_that_help_has_in_every_command() -> None:
    for words, page in help_pages().items():
        for row, (names, _, default, meaning) in zip(page.rows, section_rows()[words], strict=True):
            where = f"mvideo {' '.join(words)}: {row}"
            typed = re.findall(r"`([^`]+)`", names)
            shown = [name.removesuffix("...") for name in row.names]
            assert {name.lower() for name in typed} == {name.lower() for name in shown}, where
            assert " ".join(meaning.split()) == " ".join(row.meaning.split()), where
            assert (default == "required") == row.required, where
            if row.default and "/" not in names and "true" not in default:
                assert default.strip("`") == row.default, where


def test_every_variable_that_the_code_reads_is_on_the_page() -> None:
    found = list(reads())
    assert {one.file for one in found if not one.names} == NAMED_BY_AN_OPTION
    assert {name for one in found for name in one.names} == set(READ)


def test_a_new_variable_would_be_found() -> None:
    source = (
        "import os\nA = os.environ['ONE']\nB = os.environ.get('TWO')\n"
        "C = 'THREE' in os.environ\nD = os.getenv('FOUR')\n"
        "def f(given=os.environ):\n    return given.get('FIVE'), [given.get(n) for n in ('SIX', 'SEVEN')]\n"
        "os.environ['SET'] = '1'\n"
    )
    names = {name for one in reads_of(source, "mvideo_core/base/errors.py") for name in one.names}
    assert names == {"ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN"}


def test_every_variable_that_a_page_names_is_in_the_reference() -> None:
    known = {*READ, *LIBRARIES, *TESTS}
    prefixes = r"(?:MVIDEO|PREFECT|HF|RAY|WANDB|CUDA|XDG|OMP)_[A-Z_]+"
    named = {
        (path.name, name)
        for path in PAGES
        for name in re.findall(rf"\b({prefixes})\b", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_record_of_options_has_a_table() -> None:
    shown = {inner.__name__ for _, _, record in every_record() for inner in nested(record)}
    assert _record_names() - shown - NOT_GIVEN_BY_ANYBODY == set()
    assert _record_names() >= NOT_GIVEN_BY_ANYBODY


def _record_names() -> set[str]:
    """Classes of the product packages that descend from Options, by their syntax trees."""
    bases: dict[str, set[str]] = {}
    for package in ("mvideo_core", "deployments", "flows", "tasks"):
        for path in (REPOSITORY / package).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(source)) if "Options" in source else ():
                if isinstance(node, ast.ClassDef):
                    bases.setdefault(node.name, set()).update(ast.unparse(base) for base in node.bases)
    found = {"Options", "AnyOptions"}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found - {"Options", "AnyOptions"}
