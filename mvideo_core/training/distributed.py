"""The processes of a training run: rank, all-reduce, barrier. A single process needs no process group.

Gradients are averaged by one all-reduce of one flat fp32 buffer per optimizer step, not by DistributedDataParallel:
with adapters the buffer is small (0.53 GB at 5b, rank 128), steps without history leave some parameters without
gradient, and the loss and the stop request are sent in the same buffer, so all ranks get them in the same step.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import ConfigError, TrainError
from mvideo_core.base.options import Options

if TYPE_CHECKING:
    import torch


class RankLost(TrainError):
    """Another process of the training run is gone; its own error, if any, is the reason."""


class DistributedOptions(Options):
    """How processes compute once the launcher has connected them."""

    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="auto: the GPU if there is one")
    backend: Literal["auto", "gloo", "nccl"] = Field(default="auto", description="auto: nccl on GPUs, otherwise gloo")
    timeout_min: float = Field(default=60, gt=0, description="minutes a rank waits for the others before it gives up")


@dataclass(frozen=True, slots=True)
class World:
    """This process and its place in the process group.

    Attributes:
        rank: 0..size-1. local_rank: number of this process on its machine. size: number of processes.
        device: where this process computes.
    """

    rank: int
    local_rank: int
    size: int
    device: "torch.device"

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def sum_(self, tensor: "torch.Tensor") -> "torch.Tensor":
        """Sum over all processes, in place."""
        if self.size > 1:
            import torch.distributed as dist

            with _peer_errors():
                dist.all_reduce(tensor)
        return tensor

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            import torch.distributed as dist

            with _peer_errors():
                dist.barrier()

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, by rank, on every process; for small values."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        with _peer_errors():
            dist.all_gather_object(values, value)
        return values


def environment_ranks() -> tuple[int, int, int]:
    """Rank, local rank and world size that torchrun put into the environment; 0, 0, 1 without it."""
    return tuple(int(os.environ.get(name, default)) for name, default in _PLACE)  # type: ignore[return-value]


@contextlib.contextmanager
def process_group(options: DistributedOptions) -> Iterator[World]:
    """Join the process group of this launch, and leave it at the end.

    Raises:
        ConfigError: a GPU is requested but missing.
    """
    import torch

    rank, local_rank, size = environment_ranks()
    with_gpu = (default_device() if options.device == "auto" else options.device) == "cuda"
    if with_gpu and torch.cuda.device_count() <= local_rank:
        raise ConfigError(
            f"distributed.device {options.device}: process {local_rank} on this machine has no GPU "
            f"({torch.cuda.device_count()} found); start fewer processes or use device: cpu"
        )
    device = torch.device("cuda", local_rank) if with_gpu else torch.device("cpu")
    if with_gpu:
        torch.cuda.set_device(device)
    world = World(rank, local_rank, size, device)
    if size == 1:
        yield world
        return
    import torch.distributed as dist

    backend = ("nccl" if with_gpu else "gloo") if options.backend == "auto" else options.backend
    dist.init_process_group(
        backend,
        timeout=datetime.timedelta(minutes=options.timeout_min),
        device_id=device if backend == "nccl" else None,
    )
    try:
        yield world
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _peer_errors() -> Iterator[None]:
    """gloo and NCCL report a dead peer or a timeout as RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if "out of memory" in str(error).lower():
            raise
        raise RankLost(f"rank {environment_ranks()[0]}: another process stopped responding ({error})") from error


_PLACE = (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))
