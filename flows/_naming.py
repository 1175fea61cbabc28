"""Names of flow runs in the UI: what they work on and under which profile."""

import re
from pathlib import PurePosixPath
from typing import Any

from prefect import runtime

from mvideo.tasks._parts import Parts

GIVEN_BY_NOBODY = re.compile(r"[a-z]+\d*-[a-z]+")
"""Names that the server ("wise-otter") and the form of the UI ("tau4-virchow") make up."""


def run_name() -> str:
    """Name of the flow run that starts now; a given one is kept, unless it looks made up, as "nightly-build" does."""
    name = str(runtime.flow_run.name or "")
    return name if name and not GIVEN_BY_NOBODY.fullmatch(name) else name_of(dict(runtime.flow_run.parameters))


def name_of(parameters: dict[str, Any]) -> str:
    """ "demo/workspace, mini" or "demo/workspace, mini, parts 0-3": folder, profile, piece of the work."""
    place = str(parameters.get("workspace") or parameters.get("out") or "")
    profile = str(parameters.get("profile") or parameters.get("suite") or "")
    words = [_tail(place), PurePosixPath(profile).stem, _piece(parameters)]
    return ", ".join(word for word in words if word)


def _tail(place: str) -> str:
    """The last two folders: the last one alone is often just "workspace"."""
    return "/".join(part for part in PurePosixPath(place.partition("://")[2] or place).parts[-2:] if part != "/")


def _piece(parameters: dict[str, Any]) -> str:
    if indices := parameters.get("parts"):
        return Parts(workspace="", indices=tuple(indices)).label
    if part := parameters.get("part"):
        return f"part {part}"
    return str(parameters.get("job") or "")
