"""Every command line of the docs parses: subcommands, options, deployments, parameters, modules and targets exist."""

import importlib.util
import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.shell_lines import PAGES, Line, command_lines, commands
from tests.reference import REPOSITORY
from tests.reference.commands import Command, every_command
from tests.reference.deployments import entries, flow_of
from tests.reference.options import every_record, fields

SETTING = ("--set", "-s")
NOT_MODULES = {"http.server", "venv", "pytest", "pip"}


@cache
def tree() -> dict[tuple[str, ...], Command]:
    return {command.words: command for command in every_command()}


@cache
def option_names() -> set[str]:
    rows = (row for _, _, record in every_record() for row in fields(record))
    return {row[0].strip("`").replace("\\|", "|") for row in rows}


def fault(line: Line) -> str:
    """What is wrong with a line of `mvideo`; "" when nothing is."""
    words, rest = _descended(line.words[1:])
    command = tree()[words]
    if command.inner or not words:
        unknown = [word for word in rest if re.match(r"[a-z]", word)]
        return f"no command {unknown[0]!r} of {command.name}" if unknown else ""
    known = {flag for one in command.command.params for flag in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    flags = [word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)]
    if unknown := [flag for flag in flags if flag not in known]:
        return f"no option {unknown[0]} of {command.name}"
    settings = [value for flag, value in itertools.pairwise(rest) if flag in SETTING]
    if unknown := [setting for setting in settings if "=" in setting and not _is_option(setting.partition("=")[0])]:
        return f"--set {unknown[0]}: no such option"
    if not line.whole or "--help" in rest:
        return ""
    try:
        command.command.make_context(command.name, list(rest))
    except Exception as error:  # noqa: BLE001 - click's refusal, whatever its class
        return f"{command.name}: {error.format_message() if hasattr(error, 'format_message') else error}"
    return ""


def _descended(words: list[str]) -> tuple[tuple[str, ...], list[str]]:
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in tree():
        path, words = (*path, words[0]), words[1:]
    return path, words


def _is_option(name: str) -> bool:
    """Whether a dotted name is a field, a group of fields, or lies in a mapping that another class checks."""
    if any(known == name or known.startswith(f"{name}.") for known in option_names()):
        return True
    head = name.rpartition(".")[0]
    return head.endswith("options") and head in option_names()


def deployment_fault(line: Line) -> str:
    """What is wrong with a line of `prefect deployment run`; "" when nothing is."""
    name, arguments = line.words[3].split("/")[-1], line.words[4:]
    if name not in entries():
        return f"no deployment {name}"
    given: dict[str, Any] = {}
    for flag, value in itertools.pairwise(arguments):
        if flag in ("-p", "--param"):
            key, _, text = value.partition("=")
            given[key] = _plain(text)
        elif flag == "--params":
            given |= json.loads(value)
    try:
        flow_of(entries()[name]).validate_parameters({**entries()[name]["parameters"], **given})
    except Exception as error:  # noqa: BLE001 - Prefect's refusal, whatever its class
        return str(error)
    return ""


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def test_every_command_line_of_mvideo_parses() -> None:
    lines = list(command_lines("mvideo"))
    assert len([line for line in lines if line.whole]) > 80
    assert len(lines) > 120
    assert [f"{line.place}: {fault(line)}" for line in lines if fault(line)] == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mvideo rum --workspace ws", "no command 'rum' of mvideo"),
        ("mvideo masks bend a b", "no command 'bend' of mvideo masks"),
        ("mvideo run -w ws --videos here", "no option --videos of mvideo run"),
        ("mvideo run -w ws --folder v --set cut.min_shot=4", "--set cut.min_shot=4: no such option"),
        ("mvideo stage cut", "mvideo stage: Missing option '--workspace' / '-w'."),
        ("mvideo world make w --videos many", "mvideo world make: Invalid value for '--videos'"),
        ("A=1 mvideo status -w ws && mvideo gc -w ws  # what is done", ""),
    ],
)
def test_a_wrong_line_is_found(typed: str, expected: str) -> None:
    words = commands(typed)[0]
    assert fault(Line("here", words, whole=True)).startswith(expected)
    assert bool(fault(Line("here", words, whole=True))) == bool(expected)


def test_lines_are_found_in_every_kind_of_code(tmp_path: Path) -> None:
    page = REPOSITORY / "build" / "lines.md"
    block = "```\nfor a in b; do mvideo gc \\\n  -w run.mp4#horse & done\n```\n"
    text = f"a `mvideo gc\n-w x` b\n\n    mvideo gc -w y   # z\n\n{block}"
    page.parent.mkdir(exist_ok=True)
    page.write_text(text)
    try:
        found = list(command_lines("mvideo", [page]))
    finally:
        page.unlink()
    assert [line.words for line in found] == [["mvideo", "gc", "-w", name] for name in ("y", "run.mp4#horse", "x")]


def test_every_deployment_and_parameter_of_the_docs_exists() -> None:
    lines = [line for line in command_lines("prefect") if line.words[1:3] == ["deployment", "run"]]
    lines = [line for line in lines if len(line.words) > 3 and line.words[3] != "NAME"]
    assert len(lines) > 12
    assert [f"{line.place}: {deployment_fault(line)}" for line in lines if deployment_fault(line)] == []


@pytest.mark.parametrize(
    "typed",
    [
        "prefect deployment run build-masks",
        "prefect deployment run encode/encode --param workspaces=/data/ws",
        """prefect deployment run build-mask-dataset -p 'engine={"kind": "slurm"}'""",
        """prefect deployment run train-mvideo --params '{"outs": "a"}'""",
    ],
)
def test_a_wrong_deployment_is_found(typed: str) -> None:
    assert deployment_fault(Line("here", commands(typed)[0], whole=True))


def test_every_module_and_target_of_the_docs_exists() -> None:
    modules = {words[2] for words in _words("python") if words[1:2] == ["-m"] and len(words) > 2}
    modules = {module for module in modules if re.fullmatch(r"[a-z_.0-9]+", module)} - NOT_MODULES
    assert len(modules) > 12
    assert {module for module in modules if importlib.util.find_spec(module) is None} == set()
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {word.rstrip(":") for words in _words("make") for word in words[1:2]}
    assert {"demo", "test", "check"} <= targets
    assert {target for target in targets if f"\n{target}:" not in makefile} == set()


def test_every_extra_of_the_docs_exists() -> None:
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {name for page in PAGES for name in re.findall(r"mvideo\[([\w-]+)\]", page.read_text(encoding="utf-8"))}
    assert named
    assert named <= set(extras)


def test_the_site_has_every_page_once() -> None:
    def pages(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        parts = node.values() if isinstance(node, dict) else node
        return [page for part in parts for page in pages(part)]  # type: ignore[attr-defined]

    nav = pages(yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert sorted(nav) == sorted(
        str(path.relative_to(REPOSITORY / "docs")) for path in (REPOSITORY / "docs").rglob("*.md")
    )


def test_yaml_blocks_are_yaml() -> None:
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    ]
    assert len(blocks) > 3
    for _, block in blocks:
        yaml.safe_load(block)


def _words(program: str) -> list[list[str]]:
    return [line.words for line in command_lines(program)]
