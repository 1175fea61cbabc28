"""The device that models run on by default."""

import sys
from pathlib import Path

DRIVERS = ("/proc/driver/nvidia", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""A machine without any of these files has no GPU that torch could use (NVIDIA, NVIDIA under WSL, AMD)."""


def default_device() -> str:
    """ "cuda" if this process sees a GPU, else "cpu"; without a driver, torch is not imported to find out."""
    if "torch" not in sys.modules and not any(Path(driver).exists() for driver in DRIVERS):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
