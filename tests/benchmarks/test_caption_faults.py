"""Every odd answer and every server fault, over real sockets: what becomes of it, and that the docs say the same."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.caption_faults import answer_lines, fault_lines
from tests.fixtures.chat_server import ANSWERS, FAULTS

DOCS = Path(__file__).parents[2] / "benchmarks" / "results" / "caption_faults.md"
STORED = {"plain text", "list of parts", "Chinese", "Thai", "2,000 tokens"}
REFUSED = {
    "unclosed think block": "caption_thinking", "JSON without a caption": "caption_not_prose",
    "refusal": "caption_refused", "unable to view videos": "caption_refused", "refusal in Chinese": "caption_refused",
    "refusal field": "caption_refused", "content filter": "caption_refused", "echo of the prompt": "caption_echo",
    "length limit within the first": "caption_truncated", "one sentence in a loop": "caption_looped",
    "empty": "caption_empty", "null": "caption_empty", "blanks and N/A": "caption_empty",
}  # fmt: skip
"""All other answers hold a caption, "A dog runs." with or without a second sentence, and are cleaned."""

STOPS = {"404 model": "ModelError", "401": "ConfigError", "429 insufficient_quota": "ModelError", "301": "ConfigError"}
FINAL = {"400 context length": "failed row", "413": "failed row", "400 content filter": "caption_refused"}
WAITED_OUT = {"502 HTML": 4, "503": 4, "504": 4, "closed socket": 4, "half a body": 4, "404 page": 2}
"""A server that loads or restarts answers like this, so the clip is asked once more after the server is seen again."""


@pytest.fixture(scope="module")
def tables() -> tuple[list[str], list[str]]:
    with ThreadPoolExecutor(2) as pool:
        answers, faults = pool.submit(answer_lines), pool.submit(fault_lines)
        return answers.result(), faults.result()


def cells(lines: list[str]) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
    return {row[0].replace("\\|", "|").replace("&lt;", "<"): row[1:] for row in rows}


@pytest.mark.slow
def test_each_answer_is_stored_cleaned_or_refused_with_one_request(tables: tuple[list[str], list[str]]) -> None:
    found = cells(tables[0])
    assert set(found) == set(ANSWERS)
    assert len(found) >= 30
    for name, (outcome, text, requests) in found.items():
        if name in STORED:
            assert (outcome, bool(text)) == ("stored", True), name
        elif name in REFUSED:
            assert (outcome, text) == (REFUSED[name], ""), name
        else:
            assert outcome.startswith("cleaned: "), name
            assert re.fullmatch(r"A dog runs\.( It stops\.| A cat sits\.)?", text), name
        assert requests == "1", name


@pytest.mark.slow
def test_each_fault_is_retried_fails_one_clip_or_stops_the_run(tables: tuple[list[str], list[str]]) -> None:
    found = cells(tables[1])
    assert set(found) == set(FAULTS)
    assert len(found) >= 20
    for name, (once, n_once, always, n_always, others) in found.items():
        if name in STOPS:
            assert (once, always) == (f"run stops: {STOPS[name]}",) * 2, name
            assert (n_once, n_always) == ("1", "1"), name
        elif name in FINAL:
            assert (once, n_once, always, n_always) == (FINAL[name], "1", FINAL[name], "1"), name
        else:
            assert (once, n_once, always) == ("stored", "2", "failed row"), name
            assert n_always == str(WAITED_OUT.get(name, 2)), name
        assert others == ("those answered are kept" if name in STOPS else "3 of 3 stored"), name


@pytest.mark.slow
def test_the_docs_show_these_tables(tables: tuple[list[str], list[str]]) -> None:
    """`python -m benchmarks.caption_faults` prints them."""
    text = DOCS.read_text(encoding="utf-8")
    for lines in tables:
        assert "\n".join(lines) in text
