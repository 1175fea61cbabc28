"""GPUs for which an estimate can be made: memory as nvidia-smi shows it, dense bf16 peak from the data sheet."""

from typing import NamedTuple

from mvideo_core.base.errors import ConfigError

MIB = 1 << 20
DEFAULT_MFU = 0.35
"""Assumed fraction of the peak: the middle of 0.32 to 0.39, published for comparable training runs. Not measured
here.
"""


class GpuModel(NamedTuple):
    """A GPU model.

    Attributes:
        match: part of the driver's name for it.
        memory_bytes: total.
        peak_flops: dense bf16 with fp32 accumulation, per second.
    """

    match: str
    memory_bytes: int
    peak_flops: float


GPUS = {
    "l4": GpuModel("L4", 23_034 * MIB, 121e12),
    "a10": GpuModel("A10", 23_028 * MIB, 125e12),
    "rtx3090": GpuModel("RTX 3090", 24_576 * MIB, 71e12),
    "rtx4090": GpuModel("RTX 4090", 24_564 * MIB, 165.2e12),
    "a100-40": GpuModel("A100", 40_960 * MIB, 312e12),
    "l40s": GpuModel("L40S", 46_068 * MIB, 362e12),
    "a6000": GpuModel("RTX A6000", 49_140 * MIB, 154.8e12),
    "a100": GpuModel("A100", 81_920 * MIB, 312e12),
    "h100": GpuModel("H100", 81_559 * MIB, 989e12),
    "h200": GpuModel("H200", 143_771 * MIB, 989e12),
}


def gpu_model(name: str) -> GpuModel:
    """The GPU model with that name.

    Raises:
        ConfigError: no such model.
    """
    if name not in GPUS:
        raise ConfigError(f"--gpu {name!r} is unknown; use one of: {', '.join(GPUS)}")
    return GPUS[name]
