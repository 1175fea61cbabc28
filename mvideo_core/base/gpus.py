"""The GPUs of this machine according to the driver; torch is not imported, and no CUDA context is created."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError

QUERY = "index,uuid,name,driver_version,memory.total,memory.free,compute_cap"
NVIDIA_SMI_WAIT_S = 30.0
DRIVER_FILES = Path("/proc/driver/nvidia/gpus")
MIB = 1 << 20


class Gpu(NamedTuple):
    """One GPU as its driver describes it.

    Attributes:
        memory_bytes, free_bytes: total memory, and what no process uses now.
        capability: CUDA compute capability, such as (9, 0).
    """

    number: int
    uuid: str
    name: str
    driver: str
    memory_bytes: int
    free_bytes: int
    capability: tuple[int, int]


def gpus() -> list[Gpu]:
    """GPUs that a process started here would see, in the order of CUDA_VISIBLE_DEVICES.

    Raises:
        ConfigError: nvidia-smi exists but fails; the message includes its output.
    """
    if shutil.which("nvidia-smi") is None:
        return []
    argv = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, timeout=NVIDIA_SMI_WAIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"nvidia-smi does not answer ({error}); reload the NVIDIA driver or reboot") from None
    output = (answer.stdout.strip() or answer.stderr.strip()).splitlines()
    if answer.returncode and "No devices" not in " ".join(output):
        why = output[0] if output else f"exit code {answer.returncode}"
        raise ConfigError(f"nvidia-smi fails: {why}; driver and kernel module do not match: reinstall or reboot")
    return choose_visible(parse_listing(answer.stdout), os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_listing(listing: str) -> list[Gpu]:
    """GPUs in nvidia-smi's CSV; unknown figures ("[N/A]") become 0."""
    found = []
    for line in listing.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(QUERY.split(",")) or not fields[0].isdigit():
            continue
        number, uuid, name, driver, total, free, capability = fields
        major, _, minor = capability.partition(".")
        version = (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
        found.append(Gpu(int(number), uuid, name, driver, _bytes(total), _bytes(free), version))
    return found


def choose_visible(found: list[Gpu], choice: str | None) -> list[Gpu]:
    """The GPUs that CUDA_VISIBLE_DEVICES allows; as in CUDA, the list ends at the first entry that is not a GPU."""
    if choice is None:
        return found
    left: list[Gpu] = []
    for entry in (one.strip() for one in choice.split(",")):
        match = [gpu for gpu in found if entry == str(gpu.number) or (entry and gpu.uuid.startswith(entry))]
        if not match:
            break
        left.append(match[0])
    return left


def gpu_ids() -> list[str]:
    """Ids of the GPUs that this process may use, without starting a program if CUDA_VISIBLE_DEVICES is set."""
    choice = os.environ.get("CUDA_VISIBLE_DEVICES")
    if choice is not None:
        named = [one.strip() for one in choice.split(",")]
        end = next((n for n, one in enumerate(named) if one in ("", "-1")), len(named))
        return named[:end]
    if shutil.which("nvidia-smi"):
        return [str(gpu.number) for gpu in gpus()]
    return [str(n) for n, _ in enumerate(DRIVER_FILES.glob("*"))]


def _bytes(mib: str) -> int:
    return int(mib) * MIB if mib.isdigit() else 0
