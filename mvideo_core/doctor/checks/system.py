"""Python, open files, shared memory, clock."""

import datetime
import importlib.metadata
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mvideo_core.doctor.base import Asked, Finding, check

PYTHONS = ((3, 11), (3, 12))
OPENCVS = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
OPEN_FILES = 1024
SHARED_BYTES = 1 << 30
SHARED = Path("/dev/shm")  # noqa: S108 - looked at, not written
BUILT = datetime.date(2025, 11, 1)
GIB = 1 << 30


@check("python")
def python(asked: Asked) -> Iterator[Finding]:
    """The interpreter's version."""
    seen = f"{sys.version_info[0]}.{sys.version_info[1]}.{sys.version_info[2]}"
    if sys.version_info[:2] in PYTHONS:
        yield Finding(what=f"Python {seen}")
    else:
        step = "make the environment again with `make setup PYTHON=python3.11`"
        yield Finding(status="problem", what=f"Python {seen}; 3.11 or 3.12 is needed", next_step=step)


@check("opencv")
def opencv(asked: Asked) -> Iterator[Finding]:
    """One OpenCV only: the full and the headless one put different files into the same folder."""
    there = [name for name in OPENCVS if _is_installed(name)]
    if len(there) <= 1:
        yield Finding(what=f"one OpenCV: {there[0] if there else 'none'}")
        return
    yield Finding(
        status="problem",
        what=f"{' and '.join(there)} are installed into one folder, cv2, where each overwrites files of the others",
        next_step=f"run `pip uninstall -y {' '.join(there)}`, then `pip install --no-deps {OPENCVS[0]}`; "
        "`pip install 'mvideo[ray]'` brings the full one, as groundingdino-py lists it (docs/operations.md, Ray)",
    )


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@check("open files")
def open_files(asked: Asked) -> Iterator[Finding]:
    """The soft limit of open files: server, workers and latents' shards hold many at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        yield Finding(what=f"{limit} open files per process")
        return
    yield Finding(
        status="problem" if soft < OPEN_FILES // 4 else "warning",
        what=f"{limit} open files per process; {OPEN_FILES} are needed",
        next_step=f"run `ulimit -n {OPEN_FILES}` (the hard limit is {hard}), or set LimitNOFILE of the unit",
    )


@check("shared memory", "train", "data")
def shared_memory(asked: Asked) -> Iterator[Finding]:
    """Size of /dev/shm, where NCCL and worker processes exchange data."""
    if not SHARED.is_dir():
        yield Finding(status="unknown", what=f"{SHARED} is not there")
        return
    room = os.statvfs(SHARED)
    size = room.f_blocks * room.f_frsize
    text = f"{SHARED} has {size / GIB:.2f} GiB"
    if size >= SHARED_BYTES:
        yield Finding(what=text)
        return
    several = asked.training is not None and asked.training.launch.processes > 1
    yield Finding(
        status="problem" if several else "warning",
        what=f"{text}; several GPUs need 1 GiB",
        next_step="start the container with --shm-size=8g, or mount a larger tmpfs there",
    )


@check("clock")
def clock(asked: Asked) -> Iterator[Finding]:
    """Whether the clock is later than this program, and runs as fast as the monotonic one."""
    wall_s, steady_s = time.time(), time.monotonic()
    time.sleep(0.05)
    drift_s = abs((time.time() - wall_s) - (time.monotonic() - steady_s))
    today = datetime.datetime.now(datetime.UTC).date()
    step = "set the time (`timedatectl set-ntp true`): heartbeats and certificates depend on it"
    if today < BUILT:
        yield Finding(status="problem", what=f"the clock says {today}, before this program was written", next_step=step)
    elif drift_s > 0.5:
        yield Finding(status="warning", what=f"the clock moved {drift_s:.1f} s within 0.05 s", next_step=step)
    else:
        yield Finding(what=f"the clock says {today} and runs evenly")
