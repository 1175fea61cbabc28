"""What the product imports, what pyproject.toml declares, and what constraints.txt pins agree."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.reference import REPOSITORY

OWN = {"mvideo", "mvideo_core", "_streams"}
"""`_streams`: scripts in media/ run in a guarded process, which finds it next to them."""
INSTALLED_BY_USERS = {"onnxruntime", "vbench"}
"""For a model file of the user's own; in an environment of its own. The errors of both say how."""
NOT_INSTALLED = {"lance": "pylance"}
"""Module -> package of an extra that the test environment lacks."""


def requirements(*extras: str) -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    return [
        Requirement(line) for line in (*project["dependencies"], *(one for extra in extras for one in optional[extra]))
    ]


def imports(path: Path) -> Iterator[str]:
    """Top-level names of all absolute imports of a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def test_every_import_of_the_product_is_declared() -> None:
    declared = {
        canonicalize_name(one.name) for one in requirements("trackers", "quantization", "imaging", "ray", "lance")
    }
    known = sys.stdlib_module_names | OWN | INSTALLED_BY_USERS
    packages = packages_distributions()
    files = [
        path for top in ("mvideo_core", "flows", "tasks", "deployments") for path in (REPOSITORY / top).rglob("*.py")
    ]
    assert len(files) > 300
    undeclared = {
        f"{path.relative_to(REPOSITORY)}: {name}"
        for path in files
        for name in set(imports(path)) - known
        if declared.isdisjoint(map(canonicalize_name, packages.get(name, [NOT_INSTALLED.get(name, name)])))
    }
    assert undeclared == set()


def test_the_pin_of_every_requirement_is_in_its_range() -> None:
    lines = [
        line.split()[0].partition("==")
        for file in ("constraints.txt", "requirements/unofficial.txt")
        for line in (REPOSITORY / file).read_text().splitlines()
        if "==" in line and not line.startswith("#")
    ]
    pins = {canonicalize_name(name): version for name, _, version in lines}
    wrong = {
        f"{one} is pinned to {pins.get(canonicalize_name(one.name), 'nothing')}"
        for one in requirements("dev", "ray")
        if pins.get(canonicalize_name(one.name), "") not in one.specifier
    }
    assert wrong == set()
