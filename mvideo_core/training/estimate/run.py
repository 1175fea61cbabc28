"""The estimate of a whole training run: memory, FLOPs, hours, disk; as a record and as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mvideo_core.base.records import Record
from mvideo_core.training.estimate.flops import count_flops
from mvideo_core.training.estimate.gpus import DEFAULT_MFU, GPUS, gpu_model
from mvideo_core.training.estimate.memory import (
    FRAGMENTATION,
    Memory,
    checkpoint_bytes,
    estimate_memory,
    most_checkpoints,
)

if TYPE_CHECKING:
    from mvideo_core.training.options import TrainOptions

GIB = 1 << 30
CLIP_STEPS, GUIDANCE_PASSES = 50, 2
"""Denoising steps of a generated clip, and forward passes of each with guidance."""


class Estimate(Record):
    """What a training run needs.

    Attributes:
        flops_sample: one sample: teacher, forward and backward. flops_recomputed: added by gradient checkpointing.
        gpu_hours: for all samples on one GPU of the model `gpu`, at `mfu` of its peak. hours: on the profile's GPUs.
        gpu_s_per_clip: for generating one clip.
        disk_bytes: of the checkpoints that are kept.
    """

    weights: str
    gpu: str
    mfu: float
    memory: Memory
    memory_total: int
    gpu_memory: int
    n_gpus: int
    samples: int
    flops_sample: float
    flops_recomputed: float
    gpu_hours: float
    hours: float
    gpu_s_per_clip: float
    disk_bytes: int

    @property
    def fits(self) -> bool:
        """Whether a process fits on the GPU."""
        return self.memory_total <= self.gpu_memory


def estimate(options: "TrainOptions", gpu: str = "h100", mfu: float = DEFAULT_MFU) -> Estimate:
    """Estimate of a training run on GPUs of one model.

    Args:
        gpu: name in `GPUS`.
        mfu: fraction of the peak that is reached, with recomputation counted as work.

    Raises:
        ConfigError, ModelError: no such GPU or base model.
    """
    kind = gpu_model(gpu)
    flops, memory = count_flops(options), estimate_memory(options)
    teacher = flops["teacher"] / options.consistency.every if options.consistency.alpha > 0 else 0.0
    recomputed = flops["forward"] * _recompute_share(options.execution.gradient_checkpointing)
    samples = options.steps * options.global_batch
    per_sample = teacher + flops["forward"] + flops["backward"]
    gpu_hours = (per_sample + recomputed) * samples / (kind.peak_flops * mfu) / 3600
    n_gpus = max(options.launch.processes, 1) * options.launch.nodes
    return Estimate(
        weights=options.base.weights, gpu=gpu, mfu=mfu,
        memory=memory, memory_total=memory.total, gpu_memory=kind.memory_bytes,
        n_gpus=n_gpus, samples=samples, flops_sample=per_sample, flops_recomputed=recomputed,
        gpu_hours=gpu_hours, hours=gpu_hours / n_gpus,
        gpu_s_per_clip=CLIP_STEPS * GUIDANCE_PASSES * flops["forward"] / (kind.peak_flops * mfu),
        disk_bytes=most_checkpoints(options) * checkpoint_bytes(options, memory.n_trained),
    )  # fmt: skip


def lines(options: "TrainOptions", made: Estimate) -> Iterator[str]:
    """The estimate as text, its assumptions at the end."""
    memory, execution = made.memory, options.execution
    eight = "" if execution.quantize == "none" else f", linear layers of the blocks in {execution.quantize}"
    yield f"GPU memory of one process, micro-batch {options.micro_batch}, at the peak of a step:"
    rows = [
        (memory.frozen, f"frozen weights: {memory.n_frozen / 1e9:.2f} B parameters, {options.base.dtype}{eight}"),
        (memory.trained, f"{memory.n_trained / 1e6:.0f} M trained parameters, gradients, Adam, EMA in fp32"),
        (
            memory.activations,
            f"activations, gradient_checkpointing: {execution.gradient_checkpointing}; each block "
            f"{_gib(memory.per_block).strip()}",
        ),
        (memory.workspace, "workspace of kernels"),
    ]
    for size, what in rows:
        yield f"  {_gib(size)}  {what}"
    if memory.samples:
        turns = "in turns" if options.samples.offload else "both on the GPU"
        making = _gib(memory.samples + memory.trained).strip()
        yield f"  while sample videos are made: {making}, transformer and VAE {turns}"
    cuda = _gib(memory.context).strip()
    yield f"  {_gib(made.memory_total)}  total, with {FRAGMENTATION:.0%} fragmentation and {cuda} for CUDA"
    fitting = [name for name, kind in GPUS.items() if made.memory_total <= kind.memory_bytes]
    yield f"  fits: {', '.join(fitting) or 'none of ' + ', '.join(GPUS)}"
    again = f" + {_short(made.flops_recomputed / 1e12)} recomputed" if made.flops_recomputed else ""
    yield f"time: {_short(made.flops_sample / 1e12)}{again} TFLOP per sample, {made.samples:,} samples:"
    peak = gpu_model(made.gpu).peak_flops / 1e12
    yield (
        f"  {_short(made.gpu_hours)} GPU hours on {made.gpu} ({peak:g} TFLOP/s x MFU {made.mfu:g}), "
        f"{_short(made.hours / 24)} days on the profile's {made.n_gpus} GPU{'s' * (made.n_gpus > 1)}"
    )
    yield f"  a clip of {CLIP_STEPS} steps with guidance: {_short(made.gpu_s_per_clip)} GPU seconds"
    yield f"disk: {made.disk_bytes / 1e9:.1f} GB of checkpoints"
    yield (
        "assumed: MFU (published for comparable training runs, not measured here), fragmentation, CUDA's context, mask "
        "and history in every step, no compilation (which keeps less). Counted: activations on fake tensors, FLOPs on "
        "the meta device; VAE, T5 and data loading are not included in the time"
    )


def _recompute_share(choice: str) -> float:
    name, _, every = choice.partition(":")
    return 0.0 if name == "none" else 1 / int(every or 1)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _gib(size: int) -> str:
    return f"{size / GIB:6.2f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):6.2f} MiB"
