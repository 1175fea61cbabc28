"""Checks of a finished stage's rows as a whole: problems that no single row shows. They never fail a run.

A stage declares them (`Stage.checks`); each sees every current row once. The result is stored with the stage, so that
`mvideo status` and the report need not read the rows again.
"""

import json
from collections.abc import Sequence
from typing import Any

from mvideo_core import __version__
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, digest
from mvideo_core.engine.chain import in_use, items_of
from mvideo_core.engine.stage import Stage
from mvideo_core.store.decisions import DecisionFile, LocatedDecision
from mvideo_core.store.workspace import Workspace

MAX_LINES = 5
"""Decisions named one by one in a warning."""


def check_stage(workspace: Workspace, stage: Stage, options: Options) -> list[str]:
    """Why the current rows of a stage need attention, one line each; [] if every check passes.

    The result is stored for `warnings_of`.
    """
    if not stage.checks:
        return []
    decided = DecisionFile(workspace).read() if stage.reviewed else ()
    about = {"rows": _state(workspace, stage.name), "options": options, "version": __version__}
    state = digest(about | ({"decisions": [one.decision.content() for one in decided]} if decided else {}))
    stored = _read_stored(workspace, stage.name)
    if stored.get("state") == state and "options" in stored:  # earlier versions left them out
        return list(stored.get("warnings", []))
    checks = [start(options) for start in stage.checks]
    for row in workspace.current_rows(stage.name, stage.row):
        for check in checks:
            check.add(row)
    found = [problem for check in checks for problem in check.problems()]
    found += find_unused(workspace, stage, decided) if decided else []
    content: dict[str, Any] = {"state": state, "rows": _state(workspace, stage.name), "warnings": found}
    content["options"] = options.model_dump(mode="json")
    workspace.folder.write(_path(stage.name), json.dumps(content).encode())
    return found


def recheck_stage(workspace: Workspace, stage: Stage, made_with: dict[str, Any]) -> list[str]:
    """`check_stage` with the options of the last check of these rows.

    A check's limits are not part of a key, so the rows may be older than the limits.

    Args:
        made_with: options of the rows, used if there was no such check.
    """
    stored = _read_stored(workspace, stage.name)
    given = stored.get("options") if stored.get("rows") == _state(workspace, stage.name) else None
    try:
        options = stage.options.parse(made_with if given is None else given)
    except ConfigError:  # written by an older version
        options = stage.options()
    return check_stage(workspace, stage, options)


def find_unused(workspace: Workspace, stage: Stage, decided: Sequence[LocatedDecision]) -> list[str]:
    """Decisions of a reviewer that apply to nothing in the workspace, with their lines; a few, then a count."""
    seen: dict[str, set[str]] = {}
    for index in range(workspace.parts_of(stage.name)):
        upstream = {name: workspace.current(name, index) for name in in_use(workspace, stage.reads)}
        known = {name: marker for name, marker in upstream.items() if marker is not None}
        done = workspace.current(stage.name, index)
        if done is None or len(known) < len(upstream):
            continue
        rows = {row.key: row for row in workspace.rows(done, stage.row)}
        for item in items_of(workspace, known, "", reviewed=True):
            row = rows.get(item.key)
            if item.decisions and row is not None and stage.reviewed is not None:
                seen.setdefault(item.decisions[0].decision.clip, set()).update(("", stage.reviewed(item, row)))
    lost = []
    for decision, where in decided:
        if decision.clip not in seen:
            lost.append(f"{where}: no clip with boxes has the contents of {decision.name or decision.clip[:12]}")
        elif decision.masks not in seen[decision.clip]:
            lost.append(f"{where}: decided about masks of other boxes or another segmenter; review the clip again")
    more = [f"and {len(lost) - MAX_LINES} more decisions that apply to nothing"] if len(lost) > MAX_LINES else []
    return [f"{line}; ignored" for line in lost[:MAX_LINES]] + more


def warnings_of(workspace: Workspace, stage: str) -> list[str]:
    """The stored result of a stage's checks; [] if its rows have changed since, or were not checked."""
    stored = _read_stored(workspace, stage)
    return list(stored.get("warnings", [])) if stored.get("rows") == _state(workspace, stage) else []


def _state(workspace: Workspace, stage: str) -> str:
    """Digest of the current keys of all parts."""
    return digest([workspace.head(stage, index) or "" for index in range(workspace.parts_of(stage))])


def _read_stored(workspace: Workspace, stage: str) -> dict[str, Any]:
    """The last result; {} if there is none, or if the file is damaged: the next run checks again."""
    content = workspace.folder.read_or_none(_path(stage))
    try:
        return {} if content is None else dict(json.loads(content))
    except (ValueError, TypeError):
        return {}


def _path(stage: str) -> str:
    return f"heads/{stage}/checks.json"
