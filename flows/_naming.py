"""Names of flow runs in the UI: what they work on and under which profile."""

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
"""Names that the form of the UI makes up: "tau4-virchow", "beta-canis-majoris-nebula"; its words are nowhere but in its
own script."""


def run_name() -> str:
    """Name of the flow run that starts now; a given one is kept, unless it is one that Prefect makes up."""
    name = str(runtime.flow_run.name or "")
    return name if name and not is_made_up(name) else name_of(dict(runtime.flow_run.parameters))


def is_made_up(name: str) -> bool:
    """Whether the server ("wise-otter": coolname's adjectives and animals) or the UI's form made a name up."""
    first, _, second = name.partition("-")
    return any(first in one and second in two for one, two in _pairs()) or bool(OF_THE_FORM.fullmatch(name))


@functools.cache
def _pairs() -> tuple[tuple[frozenset[str], frozenset[str]], ...]:
    """Words that Prefect's slugs of two words begin with, and those that they end with."""
    from coolname.data import config

    known: Mapping[str, Any] = config
    pairs = [known[name]["lists"] for name in known["2"]["lists"] if known[name]["type"] == "cartesian"]
    return tuple((_words(known, pair[0]), _words(known, pair[1])) for pair in pairs if len(pair) == 2)


def _words(config: Mapping[str, Any], name: str) -> frozenset[str]:
    """All words of one of coolname's lists and of the lists within it."""
    found = config[name]
    return frozenset(found.get("words", ())).union(*(_words(config, inner) for inner in found.get("lists", ())))


def name_of(parameters: dict[str, Any]) -> str:
    """ "demo/workspace, mini" or "demo/workspace, mini, parts 0-3": folder, profile, share of the work."""
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
