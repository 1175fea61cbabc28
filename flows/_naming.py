"""Names of flow runs in the UI: what they process and with which profile."""

import functools
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from prefect import runtime

from mvideo.tasks.stages import Parts

GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi|"
    "psi|omega"
)
OF_THE_FORM = re.compile(rf"({GREEK})\d*(-[a-z]+){{1,3}}")
"""Names that the UI's form makes up, such as "tau4-virchow" or "beta-canis-majoris-nebula"; its word list exists only
in the UI's script."""


def run_name() -> str:
    """Name of the starting flow run; an existing name is kept, unless Prefect made it up."""
    name = str(runtime.flow_run.name or "")
    return name if name and not is_made_up(name) else name_of(dict(runtime.flow_run.parameters))


def is_made_up(name: str) -> bool:
    """Whether the server ("wise-otter": coolname's adjectives and animals) or the UI's form made up a name."""
    first, _, second = name.partition("-")
    return any(first in one and second in two for one, two in _pairs()) or bool(OF_THE_FORM.fullmatch(name))


@functools.cache
def _pairs() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """First and last words of Prefect's two-word slugs."""
    from coolname.data import config

    known: Mapping[str, Any] = config
    pairs = [known[name]["lists"] for name in known["2"]["lists"] if known[name]["type"] == "cartesian"]
    return tuple((_words(known, pair[0]), _words(known, pair[1])) for pair in pairs if len(pair) == 2)


def _words(config: Mapping[str, Any], name: str) -> frozenset[str]:
    """All words of one of coolname's lists and of the lists nested in it."""
    found = config[name]
    return frozenset(found.get("words", ())).union(*(_words(config, inner) for inner in found.get("lists", ())))


def name_of(parameters: dict[str, Any]) -> str:
    """ "demo/workspace, mini" or "demo/workspace, mini, parts 0-3": folder, profile, part of the work."""
    place = str(parameters.get("workspace") or parameters.get("out") or "")
    profile = str(parameters.get("profile") or parameters.get("suite") or "")
    words = [_tail(place), PurePosixPath(profile).stem, _share(parameters)]
    return ", ".join(word for word in words if word)


def _tail(place: str) -> str:
    """The last two folders: the last one alone is often just "workspace"."""
    return "/".join(part for part in PurePosixPath(place.partition("://")[2] or place).parts[-2:] if part != "/")


def _share(parameters: dict[str, Any]) -> str:
    if indices := parameters.get("parts"):
        return Parts(workspace="", indices=tuple(indices)).label
    if part := parameters.get("part"):
        return f"part {part}"
    return str(parameters.get("job") or "")
