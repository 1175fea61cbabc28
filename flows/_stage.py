"""What all flows share: options from profile and form, steps of stages, running some of them."""

from collections.abc import Sequence
from typing import Any

from mvideo.flows._engine import EngineOptions, Step, open_lanes
from mvideo.flows._pipelining import Pipeline
from mvideo.tasks.caption import caption
from mvideo.tasks.cut import cut
from mvideo.tasks.detect import detect
from mvideo.tasks.encode import encode
from mvideo.tasks.ingest import ingest
from mvideo.tasks.segment import segment
from mvideo.tasks.shard import shard
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, merged
from mvideo_core.curation.pipeline import PipelineOptions, load_profile
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import StageSummary, planned_parts
from mvideo_core.store.workspace import Workspace

TASKS = {task.name: task for task in (ingest, cut, detect, segment, caption, shard, encode)}


def resolve(profile: str, overrides: dict[str, Any] | None = None, **stages: dict[str, Any] | None) -> PipelineOptions:
    """Options of a profile, with single values over it, key by key.

    Args:
        overrides: nested values such as {"cut": {"min_shot_s": 4}}.
        stages: values by field name of PipelineOptions, over those; None = none.

    Raises:
        ConfigError: no such profile, or a value that is not allowed.
    """
    given = {name: values for name, values in stages.items() if values}
    return load_profile(profile, merged(overrides or {}, given))


def step(name: str, options: Options) -> Step:
    """One stage as a step of a flow."""
    stage = STAGES.get(name)
    return Step(name, TASKS[name], options, stage.reads, stage.resource)


def finish_stage(
    name: str,
    workspace: str,
    options: PipelineOptions,
    parts: Sequence[int] | None,
    engine: EngineOptions,
) -> StageSummary:
    """One part-wise stage from its upstream's rows on disk: the body of every stage flow.

    Raises:
        ConfigError: no plan, a part that is not in it, or engine "workers" (a stage run is what workers run).
    """
    if engine.kind == "workers":
        raise ConfigError(
            f"{name}: a stage deployment runs on engine threads or ray; workers is for build-mask-dataset"
        )
    n_parts = planned_parts(Workspace(workspace))
    indices = range(n_parts) if parts is None else sorted(set(parts))
    if unknown := [index for index in indices if not 0 <= index < n_parts]:
        raise ConfigError(f"{name}: no parts {unknown}; the plan of {workspace} has parts 0 to {n_parts - 1}")
    with open_lanes(engine, options.run.jobs) as lanes:
        run = Pipeline(lanes, [step(name, options.of(name))], workspace, list(indices), options.run.max_failed_frac)
        return run.run()[0]
