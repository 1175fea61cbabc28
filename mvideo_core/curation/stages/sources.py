"""List the sources of a run and plan its parts."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import SourceRow
from mvideo_core.curation.ingest.naming import path_of
from mvideo_core.curation.ingest.sources import SourceItem, SourceOptions, list_sources
from mvideo_core.engine.plan import Plan, PlanOptions, make_plan
from mvideo_core.store.forgotten import Forgotten
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

IMPORT = "import"
"""Name of what `mvideo dataset import` writes, in place of a stage's."""


def plan_sources(workspace: Workspace, source: SourceOptions, options: PlanOptions | None = None) -> Plan:
    """List the videos of a folder, an HD-VILA list or a manifest and make them the workspace's current plan.

    Rerunning on a folder that grew keeps finished work and adds the new files. Sources that the workspace has forgotten
    (`mvideo forget`) are left out.

    Raises:
        ConfigError: nothing found, a bad line in a list, a duplicate id, or a workspace with an imported dataset.
    """
    if workspace.n_parts() is None and next(iter(workspace.folder.walk(f"journal/{IMPORT}")), None):
        raise ConfigError(f"{workspace.url}: this workspace holds an imported dataset; use another folder for footage")
    return make_plan(workspace, _without_forgotten(workspace, source_rows(source)), options or PlanOptions())


def source_rows(source: SourceOptions) -> Iterator[SourceRow]:
    """One row per listed video; opens no file."""
    return (source_row(item) for item in list_sources(source))


def _without_forgotten(workspace: Workspace, rows: Iterator[SourceRow]) -> Iterator[SourceRow]:
    forgotten, n_left_out = Forgotten(workspace), 0
    for row in rows:
        if forgotten.holds(row.source_url, Path(path_of(row.uri)) if row.uri else None):
            n_left_out += 1
        else:
            yield row
    if n_left_out:
        log.warning("%d listed sources were forgotten with `mvideo forget` and are left out", n_left_out)


def source_row(item: SourceItem) -> SourceRow:
    """The row of one listed video, with the file's size and modification time as its fingerprint."""
    values = item.model_dump(exclude={"video_id"})
    return SourceRow(key=item.video_id, fingerprint=_fingerprint(item.uri), **values)


def _fingerprint(uri: str) -> str:
    if not uri:
        return ""
    try:
        facts = os.stat(path_of(uri), follow_symlinks=True)  # noqa: PTH116 - names may not be UTF-8
    except OSError as error:
        return f"unreadable:{error.errno}"
    return f"{facts.st_size}:{facts.st_mtime_ns}"
