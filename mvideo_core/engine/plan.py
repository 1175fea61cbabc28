"""Sources are grouped into parts; each part is processed and retried separately.

A source's id alone decides which of the parts it belongs to, so new files do not move the others to another part. When
parts become too large, their number doubles, which splits every part in two. Once there are `plan.max_parts` parts,
they grow instead.
"""

import contextlib
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from pydantic import Field

from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record, SourceRow
from mvideo_core.store.commit import commit_part
from mvideo_core.store.keys import part_key, rows_digest, settings_digest
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.workspace import SOURCE_STAGE, Workspace

REVISION = 1
MAX_PARTS = 256
"""By default; with this many parts, five per-part stages and the shards stay below 2,000 task runs."""
BUCKETS = 256
"""Files that are open at once while sources are grouped; more parts share one."""


class PlanOptions(Options):
    """How sources are grouped into parts, the unit of tasks, retries and GPU placement."""

    part_size: int = Field(
        default=64, ge=1, le=100_000, description="Target number of sources per part; more if `max_parts` are too few."
    )
    max_parts: int = Field(
        default=MAX_PARTS, ge=1, le=4096, description="Most parts of a plan. Use 16 per GPU and parts_per_run 1 to "
        "keep more than 16 GPUs busy.",
    )  # fmt: skip


class Plan(Record):
    """Head of the current plan."""

    n_parts: int
    n_sources: int
    part_size: int


def make_plan(workspace: Workspace, sources: Iterable[SourceRow], options: PlanOptions) -> Plan:
    """Commit the listed sources as parts of the pseudo-stage "source" and make this the current plan.

    Sources pass through bucket files, so memory holds one part at a time. The previous plan stays valid until the last
    part is written: one file then names them all.

    Args:
        sources: one row per video, in any order; keys unique.

    Raises:
        ConfigError: no sources, or two sources with the same key.
        StoreError: the disk is full, here or where temporary files go.
    """
    started = time.monotonic()
    # without `max_parts`, as before there was one: the parts themselves say it
    settings = settings_digest(SOURCE_STAGE, REVISION, options.model_dump(mode="json", exclude={"max_parts"}), {})
    with disk_errors("planning", f"{tempfile.gettempdir()} (temporary files)"), scratch_folder("plan") as folder:
        buckets = [folder / f"{index:05d}.jsonl" for index in range(BUCKETS)]
        n_sources = _spill(sources, buckets)
        if n_sources == 0:
            raise ConfigError("no videos found: give a folder of videos, a HD-VILA JSONL file or a manifest")
        n_parts = parts_for(n_sources, options.part_size, options.max_parts)
        for index in range(n_parts):  # check everything before writing anything
            _check_keys(buckets, index, n_parts)
        workspace.ensure()
        plan = Plan(n_parts=n_parts, n_sources=n_sources, part_size=options.part_size)
        with stages_in_use(workspace.folder, [SOURCE_STAGE]):
            keys = [
                _commit(workspace, index, _gather(buckets, index, n_parts), settings, options, started)
                for index in range(n_parts)
            ]
            workspace.set_plan(plan.model_dump() | {"keys": keys})
    return plan


def parts_for(n_sources: int, part_size: int, max_parts: int = MAX_PARTS) -> int:
    """Smallest power of two that brings parts to about `part_size` sources, at most `max_parts`."""
    n_parts = 1
    while n_parts * part_size < n_sources and n_parts * 2 <= max_parts:
        n_parts *= 2
    return n_parts


def part_of(key: str, n_parts: int) -> int:
    """Part of a source: a hash of its key, modulo the number of parts."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % n_parts


def _spill(sources: Iterable[SourceRow], buckets: Sequence[Path]) -> int:
    """Write each source to the file of its bucket, and only the files that get one. Returns: number of sources."""
    sinks: dict[Path, IO[str]] = {}
    n_sources = 0
    with contextlib.ExitStack() as stack:
        for row in sources:
            path = buckets[part_of(row.key, len(buckets))]
            if path not in sinks:
                sinks[path] = stack.enter_context(path.open("w", encoding="utf-8"))
            sinks[path].write(f"{json.dumps(row.key)}\t{row.model_dump_json(exclude_defaults=True)}\n")
            n_sources += 1
    return n_sources


def _lines(buckets: Sequence[Path], index: int, n_parts: int) -> Iterator[tuple[str, str]]:
    """Key (as JSON, so without a tab or line break) and JSON of each source of a part."""
    for path in filter(Path.exists, buckets[index % len(buckets) :: n_parts]):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                key, _, content = line.partition("\t")
                if n_parts <= len(buckets) or part_of(json.loads(key), n_parts) == index:
                    yield key, content


def _check_keys(buckets: Sequence[Path], index: int, n_parts: int) -> None:
    """Reject two sources of a part with one key; much cheaper than reading the rows."""
    counts = Counter(key for key, _ in _lines(buckets, index, n_parts))
    if len(counts) == counts.total():
        return
    twice, _ = counts.most_common(1)[0]
    found = [content for key, content in _lines(buckets, index, n_parts) if key == twice]
    first, second, *_ = (SourceRow.model_validate_json(content).uri for content in found)
    raise ConfigError(f"two sources are called {json.loads(twice)!r} ({first}, {second}); rename one")


def _gather(buckets: Sequence[Path], index: int, n_parts: int) -> list[SourceRow]:
    return [SourceRow.model_validate_json(content) for _, content in _lines(buckets, index, n_parts)]


def _commit(
    workspace: Workspace, index: int, rows: list[SourceRow], settings: str, options: PlanOptions, started: float
) -> str:
    """Write the rows and marker of one part unless they exist; returns its key."""
    digest = rows_digest(rows)
    key = part_key(settings, {"sources": digest})
    marker = workspace.marker(SOURCE_STAGE, key)
    if marker is not None and workspace.holds(marker.rows):
        return key
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
        seconds=time.monotonic() - started,
        digest=digest,
        head=False,
    )
    return key
