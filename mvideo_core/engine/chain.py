"""Which finished parts belong together: a part counts only if made from the current output of its upstream stages."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from mvideo_core.base.options import digest
from mvideo_core.base.records import PLANNED_ROWS, Row
from mvideo_core.engine import STAGES
from mvideo_core.engine.stage import Item
from mvideo_core.store.decisions import DecisionFile, LocatedDecision
from mvideo_core.store.keys import item_key
from mvideo_core.store.workspace import Marker, Workspace, blobs_of

OFF = "off"
"""Recorded instead of a digest of settings for a stage that the last run left out."""
DECIDED = "decisions"
"""Among a part's inputs, the digest of a reviewer's decisions about its clips; absent if there are none."""


def part_stages() -> tuple[str, ...]:
    """Stages that run part by part, in order; the rows of all their parts together make the samples."""
    return tuple(stage.name for stage in STAGES.of_parts())


def chain() -> tuple[str, ...]:
    """Everything that makes a dataset, in order: planned sources, stages, planned samples, shards."""
    return ("source", *part_stages(), "samples", "shard")


def workspace_stages(workspace: Workspace) -> tuple[str, ...]:
    """Everything a workspace has rows of, in order: `chain`, then "encode" once its dataset has been encoded."""
    return (*chain(), "encode") if workspace.has_own_parts("encode") else chain()


def unit_of(stage: str) -> str:
    """What a row of a stage, or of a planner, is about."""
    return {"source": "source", "samples": "sample"}.get(stage) or STAGES.get(stage).unit


def expands(stage: str) -> bool:
    """Whether an item of a stage may give several rows."""
    return stage not in PLANNED_ROWS and STAGES.get(stage).expands


def row_class(stage: str) -> type[Row]:
    """Class of the rows that a stage, or a planner, commits."""
    return PLANNED_ROWS.get(stage) or STAGES.get(stage).row


def upstream_of(stage: str) -> tuple[str, ...]:
    """Stages whose rows a stage reads."""
    return () if stage in PLANNED_ROWS else STAGES.get(stage).reads


def switch_off(workspace: Workspace, stage: str) -> None:
    """Leave an optional stage out from now on; its finished parts are kept for when it is used again."""
    workspace.record_request(stage, OFF)


def in_use(workspace: Workspace, stages: Iterable[str]) -> tuple[str, ...]:
    """The stages without those that this workspace leaves out."""
    optional = {stage.name for stage in STAGES.in_order() if stage.enabled is not None}
    return tuple(name for name in stages if name not in optional or workspace.last_request(name) not in (None, OFF))


def stage_and_inputs(stage: str, reads: Collection[str] | None = None) -> set[str]:
    """The stage and the stages whose files it reads: gc leaves them alone while it works.

    Args:
        reads: stages that it reads, if it is not in the registry.

    Planned samples name clips and masks of earlier stages, so work on samples or shards reads those too; the report
    reads everything.
    """
    if stage == "report":
        return {*chain(), "report"}
    names = {stage, *(upstream_of(stage) if reads is None else reads)}
    return names if names.isdisjoint({"samples"}) else names | {*part_stages(), "samples"}


def is_reviewed(stage: str) -> bool:
    """Whether a reviewer's decisions are part of a stage's keys."""
    return stage not in PLANNED_ROWS and STAGES.get(stage).reviewed is not None


def inputs_of(workspace: Workspace, upstream: Mapping[str, Marker], reviewed: bool) -> dict[str, str]:
    """What decides a part, besides its settings: digest of each upstream part, and of the decisions about its items.

    Args:
        upstream: marker of the part by upstream stage.
        reviewed: see `Stage.reviewed`.

    Raises:
        ConfigError: the file of decisions is damaged.
    """
    inputs = {name: marker.digest for name, marker in upstream.items()}
    if reviewed and DecisionFile(workspace).read() and all(workspace.holds(one.rows) for one in upstream.values()):
        items = items_of(workspace, upstream, "", reviewed)
        if found := [[item.key, *_contents(item.decisions)] for item in items if item.decisions]:
            inputs[DECIDED] = digest(found)
    return inputs


def items_of(
    workspace: Workspace, upstream: Mapping[str, Marker], settings: str, reviewed: bool = False
) -> list[Item]:  # fmt: skip
    """Items of a part: keys that are `ok` in every upstream stage, in key order.

    Args:
        upstream: marker of the part by upstream stage.
        settings: `stage_settings` of the stage that works on them.
        reviewed: the items come with a reviewer's decisions.
    """
    tables = {
        name: {row.key: row for row in workspace.rows(marker, row_class(name)) if row.status == "ok"}
        for name, marker in upstream.items()
    }
    shared = sorted(set.intersection(*(set(table) for table in tables.values())))
    by_file: dict[str, list[LocatedDecision]] = {}
    for placed in DecisionFile(workspace).read() if reviewed else ():
        by_file.setdefault(placed.decision.clip, []).append(placed)
    found = []
    for key in shared:
        rows = {name: table[key] for name, table in tables.items()}
        files = {blob.sha256 for row in rows.values() for blob in blobs_of(row)} if by_file else set()
        decided = tuple(placed for sha256 in sorted(files) for placed in by_file.get(sha256, ()))
        found.append(Item(key, rows, item_key(settings, rows, _contents(decided)), decided))
    return found


def _contents(decided: Iterable[LocatedDecision]) -> list[dict[str, object]]:
    return [placed.decision.content() for placed in decided]


def sample_digests(workspace: Workspace) -> dict[str, str]:
    """For each stage that goes into the samples, the digest over all its current parts."""
    found: dict[str, str] = {}
    for stage in in_use(workspace, part_stages()):
        markers = [workspace.current(stage, index) for index in range(workspace.parts_of(stage))]
        found[stage] = digest([marker.digest if marker else "" for marker in markers])
    return found


def valid_markers(workspace: Workspace, stage: str) -> Iterator[tuple[int, Marker | None]]:
    """(part, marker) of every part of a stage; None if it is not finished, or was made from older input or with options
    other than the last requested ones.
    """
    requested = workspace.last_request(stage)
    sampled = sample_digests(workspace) if stage == "samples" else {}
    for index in range(workspace.parts_of(stage)):
        marker = workspace.current(stage, index)
        if marker is None or not workspace.holds(marker.rows) or requested not in (None, marker.settings):
            yield index, None
            continue
        if stage == "samples":
            fresh = marker.inputs == sampled
        else:
            ups = {name: workspace.current(name, index) for name in in_use(workspace, upstream_of(stage))}
            known = {name: up for name, up in ups.items() if up is not None}
            wanted = inputs_of(workspace, known, is_reviewed(stage)) if len(known) == len(ups) else {}
            same = all(marker.inputs.get(name) == wanted.get(name) for name in (*ups, DECIDED))
            fresh = len(known) == len(ups) and same
        yield index, marker if fresh else None
