"""Pages and sections that links, messages, comments and docstrings name exist."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from tests.reference import REPOSITORY

NAMED = re.compile(r"\bdocs/((?:\w+/)*\w+\.md)(?:#([\w-]+))?")
WITH_A_MADE_UP_PAGE = {"tests/docs/test_named_pages.py", "tests/reference/docstrings.py"}


def without_code(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@cache
def anchors(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    text = without_code((REPOSITORY / "docs" / page).read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def fault(page: str, anchor: str) -> str:
    """What is wrong with the name of a page; "" when nothing is."""
    if not (REPOSITORY / "docs" / page).is_file():
        return f"no page docs/{page}"
    return "" if not anchor or anchor in anchors(page) else f"no section #{anchor} in docs/{page}"


def test_every_page_named_outside_the_docs_exists() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.yaml", "*.toml", "*.js", "*.html", "Makefile", ":!docs", ":!shared"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = []
    for path in sorted(set(listed.stdout.split()) - WITH_A_MADE_UP_PAGE):
        for page, anchor in NAMED.findall((REPOSITORY / path).read_text(encoding="utf-8")):
            found.append((path, fault(page, anchor)))
    assert len(found) > 10
    assert [f"{path}: {wrong}" for path, wrong in found if wrong] == []


def link_fault(page: Path, link: str) -> str:
    """What is wrong with a link of a page; "" when nothing is."""
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    if not target.exists():
        return f"no file {name}"
    if not anchor or not target.is_relative_to(REPOSITORY):
        return ""
    return fault(os.path.relpath(target, REPOSITORY / "docs"), anchor)


def test_every_link_leads_somewhere() -> None:
    docs = REPOSITORY / "docs"
    found = [
        (page, link_fault(page, link))
        for page in [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *docs.rglob("*.md")]
        for link in re.findall(r"\]\(([^):\s]+)\)", without_code(page.read_text(encoding="utf-8")))
    ]
    assert len(found) > 200
    assert [f"{page.relative_to(REPOSITORY)}: {wrong}" for page, wrong in found if wrong] == []


def test_a_wrong_name_is_found() -> None:
    assert fault("evaluation.md", "control") == ""
    assert fault("nowhere.md", "") == "no page docs/nowhere.md"
    assert fault("evaluation.md", "nothing") == "no section #nothing in docs/evaluation.md"
    index = REPOSITORY / "docs" / "index.md"
    assert link_fault(index, "evaluation.md#control") == link_fault(index, "#terms") == ""
    assert link_fault(index, "nowhere.md") == "no file nowhere.md"
    assert link_fault(index, "#nothing") == "no section #nothing in docs/index.md"
