"""Removes sources from a workspace: a plan without them, everything that depends on it again, the rest deleted.

Every step may be repeated: a killed removal continues with the same call. Finished work on other sources is reused.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import SourceRow
from mvideo_core.curation.pipeline import workspace_rows
from mvideo_core.curation.removal.mentions import ContentIds, Mention, find_mentions
from mvideo_core.curation.removal.trace import Trace, concerns
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import in_use, part_stages
from mvideo_core.engine.garbage import collect_garbage
from mvideo_core.engine.part import stage_settings
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.engine.stage import Stage
from mvideo_core.shards.exclusion_lists import read_exclusion_lists
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.decisions import DecisionFile
from mvideo_core.store.forgotten import Forgotten
from mvideo_core.store.lock import part_lock, stages_unused
from mvideo_core.store.workspace import SOURCE_STAGE, Workspace, head_path, marker_path

log = logging.getLogger(__name__)

LENIENT = RunOptions(max_failed_frac=1.0)
"""Items that failed before the removal fail after it; that is no reason to stop."""
HEAD_FILES = ("heads", "journal")
"""Areas in which a file that still mentions a source is only a memory of finished work, and is deleted."""


class Redo(NamedTuple):
    """A stage to run again on the changed parts, and the options that its parts were made with."""

    stage: Stage
    options: Options


def plan_rebuild(workspace: Workspace, before: Trace) -> list[Redo]:
    """The stages to run again, in order, with the options of their current parts; checked before anything is touched.

    The list ends before the first stage that no part has finished; shard and encode follow if there is a dataset, or
    are there latents.

    Raises:
        ConfigError: a removal or held-out list names a source, which it would no longer find.
        ConfigError: the options, weights or revision of a stage are no longer those of its parts, so that running it
            again would change other sources' rows.
        ModelError: weights are missing on this machine.
    """
    names = [*in_use(workspace, part_stages())]
    names += [name for name, pointer in (("shard", "dataset"), ("encode", "latents")) if workspace.pointer(pointer)]
    found = []
    for name in names:
        stage, parts = STAGES.get(name), range(workspace.parts_of(name))
        marker = next((one for index in parts if (one := workspace.current(name, index)) is not None), None)
        if marker is None:
            break
        options = stage.options.parse(marker.options, f"options of stage {name} in {workspace.url}")
        if (now := stage_settings(stage, options)) != marker.settings:
            raise ConfigError(
                f"{workspace.url}: stage {name} would now give other rows ({now[:12]}, its parts have "
                f"{marker.settings[:12]}): its weights, lists or version have changed; run `mvideo run` on the "
                "workspace first, or restore them"
            )
        found.append(Redo(stage, options))
    for _, options in found:
        if isinstance(options, ShardOptions) and not options.allow_unmatched:
            _check_lists(workspace, options, before)
    return found


def _check_lists(workspace: Workspace, options: ShardOptions, before: Trace) -> None:
    names = [name for one in before.sources for name in (one.key, one.source_url, one.sha256, one.file_name) if name]
    for one in read_exclusion_lists(options):
        if entry := one.entry_of([*names, *before.clips]):
            raise ConfigError(
                f"shard.{one.option}={one.path}: {entry!r} would match nothing after the removal; first run `mvideo "
                f"stage shard --workspace {workspace.url}` with the options of the last run and --set "
                "shard.allow_unmatched=true"
            )


def remove_sources(workspace: Workspace, before: Trace, redo: Sequence[Redo], say: Callable[[str], None]) -> int:
    """Remove what `trace` found, rebuild what depends on it, and search the whole workspace.

    Args:
        say: called with each step when it is done.

    Returns:
        Number of files that were searched.

    Raises:
        StoreError: a live process uses the workspace, or a file still mentions a source.
        ConfigError: nothing would be left.
    """
    ids = before.ids()
    with part_lock(workspace.folder, "forget", wait_s=0.0):
        with _all_stages(workspace):
            pass  # nothing else may work here, or it would finish parts of the plan that is about to go
        _plan_without(workspace, ids)
        Forgotten(workspace).add((one.sha256, one.source_url, one.size_bytes) for one in before.sources)
        say(f"plan: without {len(before.sources)} sources, which later plans leave out")
        if n_decisions := DecisionFile(workspace).drop(ids.digests):
            say(f"review: {n_decisions} decisions removed")
        _rebuild(workspace, redo, say)
        with _all_stages(workspace):
            n_parts = _drop_rows(workspace, ids)
        freed = collect_garbage(workspace, workspace_rows(workspace), dry_run=False, min_age_s=0)
        if freed.in_use:
            raise StoreError(_describe_busy(workspace, freed.in_use))
        say(f"deleted: {freed.files} files, {freed.size_bytes / 1e6:.1f} MB; {n_parts} parts are left to run again")
        return search(workspace, ids)


def search(workspace: Workspace, ids: ContentIds) -> int:
    """Read every file of the workspace; returns how many there are.

    Raises:
        StoreError: one of them mentions a source.
    """
    paths = list(workspace.folder.walk(""))
    left: list[Mention] = []
    for one in find_mentions(workspace.folder, ids, paths):
        if one.path.split("/")[0] in HEAD_FILES:
            workspace.folder.remove_files([one.path])
        else:
            left.append(one)
    if left:
        shown = ", ".join(f"{one.path} ({one.found})" for one in left[:3])
        raise StoreError(
            f"{workspace.url}: {len(left)} files still mention a source: {shown}; they are not of a stage or page of "
            "this version: delete them, then run the same command again"
        )
    return len(paths)


@contextlib.contextmanager
def _all_stages(workspace: Workspace) -> Iterator[None]:
    """Hold all stages, so that no other process reads or writes them."""
    with stages_unused(workspace.folder, [*workspace_rows(workspace), "report"]) as busy:
        if busy:
            raise StoreError(_describe_busy(workspace, busy))
        yield


def _describe_busy(workspace: Workspace, stages: Sequence[str]) -> str:
    return f"{workspace.url}: live processes use {', '.join(stages)}; stop them, then run the same command again"


def _plan_without(workspace: Workspace, ids: ContentIds) -> None:
    """Make a plan of the other sources the current one; it does nothing if it is already."""
    rows = list(workspace.current_rows(SOURCE_STAGE, SourceRow))
    kept = [row for row in rows if row.key not in ids.sources]
    if not kept:
        raise ConfigError(
            f"{workspace.url}: nothing would be left of this workspace; delete the folder instead of forgetting all of "
            "its sources"
        )
    if len(kept) < len(rows):
        marker = workspace.current(SOURCE_STAGE, 0)
        make_plan(workspace, kept, PlanOptions.parse(marker.options if marker else {}, f"plan of {workspace.url}"))


def _rebuild(workspace: Workspace, redo: Sequence[Redo], say: Callable[[str], None]) -> None:
    """Run the stages again; unchanged parts are found, and changed ones take over the rows of other sources."""
    from mvideo_core.curation.stages.shard import shard_dataset
    from mvideo_core.pages.data_report.build import build_report

    known = set(range(workspace.n_parts() or 0))
    complete, latents = True, workspace.pointer("latents") is not None
    for stage, options in redo:
        if stage.unit == "sample":
            continue
        known &= set(workspace.head_indices(stage.name))
        complete = complete and len(known) == workspace.n_parts()
        summary = run_stage(workspace, stage, options, LENIENT, sorted(known))
        say(f"{stage.name}: {len(known)} parts, {summary.parts_reused} unchanged")
    wanted = {stage.name: options for stage, options in redo if stage.unit == "sample"}
    n_stages = sum(stage.unit != "sample" for stage, _ in redo)
    complete = complete and n_stages == len(in_use(workspace, part_stages()))
    if "shard" in wanted and complete and _has_samples(workspace):
        shard_dataset(workspace, wanted["shard"], LENIENT)  # type: ignore[arg-type]  # the stage's own options
        say(f"dataset: {(workspace.pointer('dataset') or {}).get('path')}")
        if latents and "encode" in wanted:
            _encode(workspace, wanted["encode"])
            say(f"latents: {(workspace.pointer('latents') or {}).get('path')}")
    elif workspace.pointer("dataset") is not None:
        _unpublish(workspace)
        say("dataset: deleted; the stages before it are not finished, or no sample is left")
    if workspace.pointer("report") is not None:
        say(f"report: {build_report(workspace).path}")


def _encode(workspace: Workspace, options: Options) -> None:
    from mvideo_core.curation.stages.encode import encode_dataset

    encode_dataset(workspace, options, LENIENT)  # type: ignore[arg-type]  # the stage's own options


def _has_samples(workspace: Workspace) -> bool:
    from mvideo_core.curation.stages.samples import current_samples

    return next(iter(current_samples(workspace)), None) is not None


def _unpublish(workspace: Workspace) -> None:
    """Make dataset and latents garbage."""
    for path in ("heads/dataset.json", "heads/latents.json", "heads/samples", "heads/shard", "heads/encode"):
        workspace.folder.remove(path)


def _drop_rows(workspace: Workspace, ids: ContentIds) -> int:
    """Delete the rows and markers of parts that still have rows of the sources: of stages that are switched off, of
    earlier options, of parts that were not run again or that the smaller plan no longer has.

    Returns:
        Number of parts of the current plan that the next run of their stage works on again.
    """
    n_parts = 0
    for stage, row_class in workspace_rows(workspace).items():
        for marker in list(workspace.markers(stage)):
            if not workspace.holds(marker.rows):
                continue
            if any(concerns(row, ids) for row in workspace.rows(marker, row_class)):
                if workspace.head(stage, marker.index) == marker.key and stage not in (SOURCE_STAGE, "samples"):
                    workspace.folder.remove(head_path(stage, marker.index))
                    n_parts += marker.index < workspace.parts_of(stage)
                workspace.folder.remove(marker_path(stage, marker.key))
                workspace.folder.remove(marker.rows.path)
    return n_parts
