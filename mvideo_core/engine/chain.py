"""Which finished parts belong together: a part counts only if made from the current output of its upstream stages."""

from collections.abc import Collection, Iterable, Iterator

from mvideo_core.base.options import digest
from mvideo_core.base.records import PLANNED_ROWS, Row
from mvideo_core.engine import STAGES
from mvideo_core.store.workspace import Marker, Workspace

OFF = "off"
"""Recorded instead of a digest of settings for a stage that the last run left out."""


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
            fresh = all(up is not None and marker.inputs.get(name) == up.digest for name, up in ups.items())
        yield index, marker if fresh else None
