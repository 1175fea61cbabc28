"""Checks of a finished stage's rows as a whole: problems that no single row shows. They never fail a run.

A stage declares them (`Stage.checks`); each sees every current row once. The result is stored with the stage, so that
`mvideo status` and the report need not read the rows again.
"""

import json
from typing import Any

from mvideo_core import __version__
from mvideo_core.base.options import Options, digest
from mvideo_core.engine.stage import Stage
from mvideo_core.store.workspace import Workspace


def check_stage(workspace: Workspace, stage: Stage, options: Options) -> list[str]:
    """Why the current rows of a stage need a look, one line each; [] if every check passes.

    The result is stored for `warnings_of`.
    """
    if not stage.checks:
        return []
    state = digest({"rows": _state(workspace, stage.name), "options": options, "version": __version__})
    stored = _stored(workspace, stage.name)
    if stored.get("state") == state:
        return list(stored.get("warnings", []))
    checks = [start(options) for start in stage.checks]
    for row in workspace.current_rows(stage.name, stage.row):
        for check in checks:
            check.add(row)
    found = [problem for check in checks for problem in check.problems()]
    content = {"state": state, "rows": _state(workspace, stage.name), "warnings": found}
    workspace.folder.write(_path(stage.name), json.dumps(content).encode())
    return found


def warnings_of(workspace: Workspace, stage: str) -> list[str]:
    """The stored result of a stage's checks; [] if its rows have changed since, or were not checked."""
    stored = _stored(workspace, stage)
    return list(stored.get("warnings", [])) if stored.get("rows") == _state(workspace, stage) else []


def _state(workspace: Workspace, stage: str) -> str:
    """Digest of the current keys of all parts."""
    return digest([workspace.head(stage, index) or "" for index in range(workspace.parts_of(stage))])


def _stored(workspace: Workspace, stage: str) -> dict[str, Any]:
    """The last result; {} if there is none, or if the file is damaged: the next run checks again."""
    content = workspace.folder.read_or_none(_path(stage))
    try:
        return {} if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        return {}


def _path(stage: str) -> str:
    return f"heads/{stage}/checks.json"
