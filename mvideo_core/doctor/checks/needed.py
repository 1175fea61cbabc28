"""Weights, extras, and options that do not fit this machine."""

from collections.abc import Iterator
from pathlib import Path

from mvideo_core import weights
from mvideo_core.base.errors import MVideoError
from mvideo_core.base.gpus import gpu_ids, gpus
from mvideo_core.doctor.base import CheckContext, Finding, check, problem

RANDOM = "random:"


@check("weights", "data", "encode", "train", "generate")
def present(context: CheckContext) -> Iterator[Finding]:
    """Whether every file of every model in the options is present with the right size; digests are not checked."""
    if context.pipeline is not None:
        yield from _of_stages(context)
    bases = [
        context.base,
        context.latents.base if context.latents else None,
        context.training.base if context.training else None,
    ]
    for name in sorted({one.weights for one in bases if one is not None}):
        yield from base_weights(name)


def base_weights(name: str) -> Iterator[Finding]:
    """Whether the files of a base model are complete."""
    if name.startswith(RANDOM):
        return
    try:
        folder = weights.find(name, kind="generator")
        states = [] if "/" in name or name.startswith((".", "~")) else weights.check(name, "generator", digests=False)
    except MVideoError as error:
        yield problem(error)
        return
    bad = [state for state in states if state.problem]
    if bad:
        step = f"run `mvideo weights fetch {name}`"
        yield Finding(status="problem", what=f"{bad[0].path}: {bad[0].problem}", next_step=step, kind="ModelError")
    else:
        yield Finding(what=f"{name}: {folder}")


def _of_stages(context: CheckContext) -> Iterator[Finding]:
    from mvideo_core.curation.pipeline import PART_STAGES, preflight
    from mvideo_core.store.workspace import Workspace

    assert context.pipeline is not None
    workspace = Workspace(context.workspace) if context.workspace and Path(context.workspace).is_dir() else None
    for name in (*PART_STAGES, "shard"):
        try:
            preflight(context.pipeline, workspace, [name])
        except MVideoError as error:
            yield problem(error)
        else:
            yield Finding(what=f"{name}: everything its options need is present")


@check("training", "train")
def training(context: CheckContext) -> Iterator[Finding]:
    """Processes versus GPUs, batch size versus processes, extras the options need."""
    if context.training is None:
        return
    from mvideo_core.cogvideox.quantize import check_quantization
    from mvideo_core.training.callbacks.trackers import check_extras
    from mvideo_core.training.launch import check_processes
    from mvideo_core.training.sample_order import rank_slots

    options = context.training
    n_gpus = len(gpu_ids())
    here = options.launch.processes or n_gpus or options.launch.cpu_processes
    capability = min((one.capability for one in gpus()), default=None) if options.execution.quantize == "fp8" else None
    fine = True
    for looked in (
        lambda: check_processes(options, n_gpus),
        lambda: rank_slots(options.global_batch, options.micro_batch, 0, here * options.launch.nodes),
        lambda: check_quantization(options.execution.quantize, capability),
        lambda: check_extras(options.metrics),
    ):
        try:
            looked()
        except MVideoError as error:
            fine = False
            yield problem(error)
    if fine:
        accumulated = options.global_batch // (options.micro_batch * here * options.launch.nodes)
        processes = f"{here * options.launch.nodes} process{'es' * (here * options.launch.nodes > 1)}"
        yield Finding(what=f"batch of {options.global_batch}: {processes}, {accumulated} micro-batches each")
