"""Planning: sources -> a fixed number of parts. A source's part depends on its id alone, so that a growing folder
moves nothing but the new files; the number of parts is a power of two, so that a doubling splits parts in two."""

import hashlib
import time
from collections.abc import Iterable

from pydantic import Field

from mvideo_core.errors import ConfigError
from mvideo_core.options import Options
from mvideo_core.records import Record, SourceRow
from mvideo_core.store.commit import commit_part
from mvideo_core.store.keys import part_key, rows_digest, settings_digest
from mvideo_core.store.workspace import Workspace

SOURCE_STAGE = "source"
REVISION = 1
MAX_PARTS = 256
"""Five per-part stages and the shards at this many parts stay below 2,000 task runs."""


class PlanOptions(Options):
    """How sources are grouped into parts, the unit of a task, of a retry and of GPU placement."""

    part_size: int = Field(
        default=64, ge=1, le=100_000, description="Sources per part aimed at; larger when 256 parts would not do."
    )


class Plan(Record):
    """Head of the current plan."""

    n_parts: int
    n_sources: int
    part_size: int


def make_plan(workspace: Workspace, sources: Iterable[SourceRow], options: PlanOptions) -> Plan:
    """Commit the listed sources as parts of the pseudo-stage "source" and make this the current plan.

    Args:
        sources: one row a video, any order; keys unique.

    Raises:
        ConfigError: nothing listed, or two sources of one key.
    """
    workspace.ensure()
    started = time.monotonic()
    rows = list(sources)
    if not rows:
        raise ConfigError("no videos found: give a folder that holds some, a HD-VILA JSONL file or a manifest")
    n_parts = parts_for(len(rows), options.part_size)
    parts: list[dict[str, SourceRow]] = [{} for _ in range(n_parts)]
    for row in rows:
        bucket = parts[part_of(row.key, n_parts)]
        if row.key in bucket:
            raise ConfigError(f"two sources are called {row.key!r} ({bucket[row.key].uri} and {row.uri}); rename one")
        bucket[row.key] = row
    settings = settings_digest(SOURCE_STAGE, REVISION, options, {})
    for index, bucket in enumerate(parts):
        _commit(workspace, index, list(bucket.values()), settings, options, time.monotonic() - started)
    plan = Plan(n_parts=n_parts, n_sources=len(rows), part_size=options.part_size)
    workspace.set_plan(plan.model_dump())
    return plan


def parts_for(n_sources: int, part_size: int) -> int:
    """Smallest power of two that brings parts to about `part_size` sources, at most 256."""
    n_parts = 1
    while n_parts * part_size < n_sources and n_parts < MAX_PARTS:
        n_parts *= 2
    return n_parts


def part_of(key: str, n_parts: int) -> int:
    """Part of a source: a hash of its key, modulo the number of parts."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % n_parts


def _commit(
    workspace: Workspace, index: int, rows: list[SourceRow], settings: str, options: PlanOptions, seconds: float
) -> None:
    key = part_key(settings, {"sources": rows_digest(rows)})
    if workspace.marker(SOURCE_STAGE, key) is not None:
        workspace.set_head(SOURCE_STAGE, index, key)
        return
    commit_part(
        workspace,
        stage=SOURCE_STAGE,
        index=index,
        key=key,
        settings=settings,
        inputs={},
        options=options,
        rows=rows,
        row_class=SourceRow,
        n_items=len(rows),
        n_reused=0,
        seconds=seconds,
    )
