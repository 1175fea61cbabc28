"""Python, open files, shared memory, clock."""

import datetime
import importlib.metadata
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.doctor.base import CheckContext, Finding, check

PYTHONS = ((3, 11), (3, 12))
OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
OPEN_FILES = 1024
SHARED_BYTES = 1 << 30
SHARED = Path("/dev/shm")  # noqa: S108 - looked at, not written
BUILT = datetime.date(2025, 11, 1)
GIB = 1 << 30


@check("python")
def python(context: CheckContext) -> Iterator[Finding]:
    """Python version."""
    seen = f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    if sys.version_info[:2] in PYTHONS:
        yield Finding(what=f"Python {seen}")
    else:
        step = "recreate the environment with `make setup PYTHON=python3.11`"
        yield Finding(status="problem", what=f"Python {seen}; 3.11 or 3.12 required", next_step=step)


@check("opencv")
def opencv(context: CheckContext) -> Iterator[Finding]:
    """Only one OpenCV: the full and the headless package install different files into the same folder."""
    there = [name for name in OPENCVS if _is_installed(name)]
    if len(there) <= 1:
        yield Finding(what=f"one OpenCV: {there[0] if there else 'none'}")
        return
    yield Finding(
        status="problem",
        what=f"{' and '.join(there)} are installed into the same folder, cv2, and overwrite each other's files",
        next_step=f"run `pip uninstall -y {' '.join(there)}`, then `pip install --no-deps {OPENCVS[0]}`; "
        "`pip install 'mvideo[ray]'` pulls in the full one, which groundingdino-py needs (docs/operations.md, Ray)",
    )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@check("open files")
def open_files(context: CheckContext) -> Iterator[Finding]:
    """Soft limit on open files: server, workers and latent shards keep many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        yield Finding(what=f"{limit} open files per process")
        return
    yield Finding(
        status="problem" if soft < OPEN_FILES // 4 else "warning",
        what=f"{limit} open files per process; {OPEN_FILES} needed",
        next_step=f"run `ulimit -n {OPEN_FILES}` (the hard limit is {hard}), or set LimitNOFILE in the systemd unit",
    )


@check("shared memory", "train", "data")
def shared_memory(context: CheckContext) -> Iterator[Finding]:
    """Size of /dev/shm, where NCCL and worker processes exchange data."""
    if not SHARED.is_dir():
        yield Finding(status="unknown", what=f"{SHARED} does not exist")
        return
    room = os.statvfs(SHARED)
    size = room.f_blocks * room.f_frsize
    text = f"{SHARED} has {size / GIB:.2f} GiB"
    if size >= SHARED_BYTES:
        yield Finding(what=text)
        return
    several = context.training is not None and context.training.launch.processes > 1
    yield Finding(
        status="problem" if several else "warning",
        what=f"{text}; several GPUs need 1 GiB",
        next_step="start the container with --shm-size=8g, or mount a larger tmpfs there",
    )


@check("clock")
def clock(context: CheckContext) -> Iterator[Finding]:
    """Whether the clock is later than this program's release and runs at the speed of the monotonic clock."""
    wall_s, steady_s = time.time(), time.monotonic()
    time.sleep(0.05)
    drift_s = abs((time.time() - wall_s) - (time.monotonic() - steady_s))
    today = datetime.datetime.now(datetime.UTC).date()
    step = "set the time (`timedatectl set-ntp true`): heartbeats and certificates depend on it"
    if today < BUILT:
        yield Finding(status="problem", what=f"the clock says {today}, before this program was written", next_step=step)
    elif drift_s > 0.5:
        yield Finding(status="warning", what=f"the clock jumped {drift_s:.1f} s within 0.05 s", next_step=step)
    else:
        yield Finding(what=f"the clock says {today} and runs steadily")
