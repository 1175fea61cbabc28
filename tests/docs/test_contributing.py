"""The places that CONTRIBUTING names exist: `file.py:function` in its tables and lists, and the files of `flows/`."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`([\w/]+\.py):(\w+)`", TEXT)))


def section(title: str) -> str:
    """Text below a heading, up to the next one of its level or above."""
    level = title.split(" ")[0]
    return re.split(rf"^#{{1,{len(level)}}} ", TEXT.split(f"\n{title}\n")[1], flags=re.MULTILINE)[0]


def defined(source: str) -> set[str]:
    """Functions, methods and classes of a module, and the names it assigns."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


@pytest.mark.parametrize(("path", "name"), PLACES)
def test_the_place_exists(path: str, name: str) -> None:
    files = [file for top in (ROOT, ROOT / "mvideo_core") if (file := top / path).is_file()]
    assert len(files) == 1, f"{path}: not a file, or two"
    assert name in defined(files[0].read_text(encoding="utf-8")), f"{path} defines no {name}"


def test_both_sections_name_places() -> None:
    assert section("## Where is ...?").count(".py:") >= 20
    assert section("### One run, file by file").count(".py:") >= 8


def test_every_shared_file_of_the_flows_is_in_the_map() -> None:
    files = {file.name for file in (ROOT / "flows").glob("_*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(_\w+\.py)`", section("### Flows"))) == files


def test_functions_are_named_by_verbs_or_nouns_not_by_participles() -> None:
    """One word in -ed or -ing is a participle, except for these verbs and nouns; properties may have any name."""
    known = {"embed", "feed", "ring", "scaling", "spacing", "speed", "timing", "training", "wing"}
    participle = re.compile(r"\s*(?:async )?def _*([a-z]+(?:ed|ing))\(")
    found = set()
    for top in ("benchmarks", "deployments", "flows", "mvideo_core", "tasks"):
        for file in sorted((ROOT / top).rglob("*.py")):
            lines = file.read_text(encoding="utf-8").split("\n")
            for before, line in itertools.pairwise(lines):
                if (match := participle.match(line)) and "property" not in before:
                    found.add(match[1])
    assert found == known
