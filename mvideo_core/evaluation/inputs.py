"""Manifests and folders of one evaluation, each as PATH or NAME=PATH, so that every system gets a distinct name."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.manifest import EvalItem, absolute_items, read_manifest


class Input(NamedTuple):
    """One argument. `name`: "" = the manifest's system, or the folder's name."""

    name: str
    path: str


class _Read(NamedTuple):
    """An input with its items. `derived`: the system is named after the folder; nobody chose the name."""

    given: Input
    items: list[EvalItem]
    derived: bool

    @property
    def systems(self) -> set[str]:
        return {item.system for item in self.items}


def parse_input(text: str) -> Input:
    """ "A=videos/a" -> A, videos/a. An existing path is taken as a path, even if it contains "=".

    Raises:
        ConfigError: nothing before or after "=".
    """
    name, sign, path = text.partition("=")
    if Path(text).expanduser().exists() or not sign or "/" in name:
        return Input("", text)
    if not name.strip() or not path:
        raise ConfigError(f"{text!r}: expected NAME=PATH, such as ours=videos/ours")
    return Input(name.strip(), path)


def read_inputs(texts: Sequence[str]) -> tuple[EvalItem, ...]:
    """Items of all inputs with absolute paths; items of a named input belong to the system with that name.

    Raises:
        ConfigError: an unreadable input; two inputs with one name or path; a name for a manifest with several systems;
            two folders, or a folder and a manifest, that would become one system because their names are equal.
    """
    given = [parse_input(text) for text in texts]
    _all_apart(given)
    read = [_read(one) for one in given]
    for place, one in enumerate(read):
        for other in read[:place]:
            _check_pair(other, one)
    return tuple(item for one in read for item in one.items)


def _all_apart(given: Sequence[Input]) -> None:
    names: dict[str, str] = {}
    paths: dict[Path, str] = {}
    for one in given:
        if one.name and one.name in names:
            raise ConfigError(f"two inputs are named {one.name!r}: {names[one.name]} and {one.path}; use unique names")
        place = Path(one.path).expanduser().resolve()
        if place in paths:
            raise ConfigError(f"{one.path}: given twice; remove one")
        names[one.name], paths[place] = one.path, one.path


def _read(one: Input) -> _Read:
    manifest = read_manifest(Path(one.path).expanduser())
    place = Path(one.path).expanduser()
    derived = not one.name and place.is_dir() and not (place / "manifest.jsonl").is_file()
    items = absolute_items(manifest)
    if one.name:
        systems = sorted({item.system for item in items})
        if len(systems) > 1:
            raise ConfigError(
                f"{one.path}: has {len(systems)} systems ({', '.join(systems)}), so {one.name!r} cannot name it; "
                "give the path without a name"
            )
        items = [item.model_copy(update={"system": one.name}) for item in items]
    return _Read(one, items, derived)


def _check_pair(one: _Read, two: _Read) -> None:
    remedy = f"name the systems: A={one.given.path} B={two.given.path}"
    for name in sorted(one.systems & two.systems):
        if not name:
            raise ConfigError(f"{one.given.path} and {two.given.path}: neither gives its system a name; {remedy}")
        if one.derived or two.derived:
            raise ConfigError(f"{one.given.path} and {two.given.path}: both would be named {name!r}; {remedy}")
    ids = {(item.test_set, item.system, item.variant, item.id) for item in one.items}
    for item in two.items:
        if (item.test_set, item.system, item.variant, item.id) in ids:
            raise ConfigError(
                f"{one.given.path} and {two.given.path}: both have id {item.id!r} in system {item.system!r}; {remedy}"
            )
