"""GPUs, driver, torch build, bf16, memory."""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.base.gpus import Gpu, gpus
from mvideo_core.doctor.base import CheckContext, Finding, check, problem

GIB = 1 << 30
BF16_CAPABILITY = (8, 0)
OLDEST_DRIVER = {"11": (450, 80), "12": (525, 60), "13": (580, 65)}
"""Major version of CUDA -> oldest Linux driver that runs it (NVIDIA's release notes)."""
TRIAL_S = 120.0
TRIAL = "import torch; torch.zeros(1, device='cuda').add_(1).item(); print(torch.cuda.device_count())"
INSTALL = "install the build of torch for this driver into this environment (pytorch.org, Get started, CUDA)"


@check("gpu", "data", "encode", "train", "generate")
def gpu(context: CheckContext) -> Iterator[Finding]:
    """GPUs the driver lists."""
    try:
        found = gpus()
    except ConfigError as error:
        yield problem(error)
        return
    for one in found:
        free = f"{one.free_bytes / GIB:.1f} of {one.memory_bytes / GIB:.1f} GiB free"
        yield Finding(what=f"GPU {one.number}: {one.name}, driver {one.driver}, {free}")
    if not found:
        wants = context.training is not None and context.training.distributed.device == "cuda"
        yield Finding(
            status="problem" if wants else "warning",
            what="no NVIDIA GPU"
            + ("; distributed.device is cuda" if wants else "; only the mini models run well on a CPU"),
            next_step="run on a machine with a GPU (`nvidia-smi` must list it), or use the profile mini",
        )


@check("torch", "data", "encode", "train", "generate")
def torch_build(context: CheckContext) -> Iterator[Finding]:
    """Whether torch is installed, with CUDA if there is a GPU, and whether the driver supports that CUDA version."""
    version, cuda = torch_versions()
    if not version:
        yield Finding(status="problem", what="torch is not installed", next_step="run `make setup`", kind="ModelError")
        return
    found = _gpus()
    built = f"torch {version}, " + (f"CUDA {cuda}" if cuda else "without CUDA")
    if not found:
        yield Finding(what=built)
    elif not cuda:
        what = f"{built}, and this machine has {len(found)} GPU{'s' * (len(found) > 1)}: it would run on the CPU"
        yield Finding(status="problem", what=what, next_step=INSTALL)
    elif _version(found[0].driver) < (oldest := OLDEST_DRIVER.get(cuda.split(".")[0], (0, 0))):
        what = f"{built} needs driver {oldest[0]}.{oldest[1]} or newer; {found[0].driver} is loaded"
        yield Finding(status="problem", what=what, next_step=f"update the NVIDIA driver, or {INSTALL}")
    else:
        yield _trial(built, len(found))


@check("bf16", "encode", "train", "generate")
def bf16(context: CheckContext) -> Iterator[Finding]:
    """Whether the GPUs support bf16, if the options use it."""
    training = context.training
    bases = [context.base, context.latents.base if context.latents else None, training.base if training else None]
    wanted = any(one is not None and one.dtype == "bf16" for one in bases)
    wanted = wanted or (training is not None and training.execution.precision == "bf16")
    old = [one for one in _gpus() if one.capability < BF16_CAPABILITY]
    if old:
        yield Finding(
            status="problem" if wanted else "warning",
            what=f"{old[0].name} has compute capability {old[0].capability[0]}.{old[0].capability[1]}; bf16 needs 8.0",
            next_step="use an Ampere or newer GPU, or set dtype and precision to fp32",
        )
    elif _gpus():
        yield Finding(what="every GPU supports bf16")


@check("gpu memory", "train")
def gpu_memory(context: CheckContext) -> Iterator[Finding]:
    """Estimated training memory versus free memory; computed only if the free memory is known."""
    if context.training is None:
        return
    from mvideo_core.training.estimate.memory import estimate_memory

    found = _gpus()[: context.training.launch.processes or None]
    if not found and not context.training.base.weights.startswith("cogvideox"):
        return
    try:
        needed = estimate_memory(context.training).total
    except MVideoError:
        return  # the weights check reports it
    text = f"training needs about {needed / GIB:.1f} GiB per GPU"
    if not found:
        yield Finding(status="unknown", what=f"{text}; no GPU to compare with")
        return
    least = min(one.free_bytes or one.memory_bytes for one in found)
    if needed <= least:
        yield Finding(what=f"{text}; {least / GIB:.1f} GiB free")
        return
    ways = "execution.gradient_checkpointing=full, execution.quantize=int8, samples.offload=true, micro_batch=1"
    step = f"try {ways}, or stop other programs that use the GPU; `mvideo train estimate` shows the breakdown"
    yield Finding(status="problem", what=f"{text}; {least / GIB:.1f} GiB free", next_step=step)


def torch_versions() -> tuple[str, str]:
    """Versions of the installed torch and its CUDA, read from its files: importing it takes seconds. "" if missing."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return "", ""
    try:
        text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return "", ""
    version = re.search(r"^__version__ = '([^']*)'", text, re.MULTILINE)
    cuda = re.search(r"^cuda(?:: [^=]+)? = '([^']*)'", text, re.MULTILINE)
    return version[1] if version else importlib.metadata.version("torch"), cuda[1] if cuda else ""


def _trial(built: str, n: int) -> Finding:
    """One addition on the GPU, in a separate process: a broken driver can crash it."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, text=True, timeout=TRIAL_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(
            status="problem", what=f"{built}: one addition on the GPU takes over {TRIAL_S:.0f} s", next_step="reboot"
        )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Finding(status="problem", what=f"{built} cannot use the GPU: {said}", next_step=INSTALL)
    return Finding(what=f"{built}; it runs on {n} GPU{'s' * (n > 1)}")


def _gpus() -> list[Gpu]:
    """The GPUs; none if the driver fails, which the check "gpu" reports."""
    try:
        return gpus()
    except ConfigError:
        return []


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
