"""CPU kernels limited to AVX2: models return the same bits on every Intel machine that has it.

On an AMD EPYC, MKL has other kernels: a dataset is the same in each run there, but differs from Intel's.
PyTorch, oneDNN and MKL pick kernels by processor, and AVX-512 adds in a different order than AVX2: three of six
masklets of the mini models differed by a few pixels, and so did the dataset's digest. Segmentation took the same time.
"""

import functools
import os
import threading
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

CHOICE = "MVIDEO_CPU_KERNELS"
"""Set it to "native" for the fastest kernels of this machine, at the price of different low-order bits."""
PINS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}


@functools.lru_cache(maxsize=1)
def cpu_flags() -> frozenset[str]:
    """CPU features of this machine as Linux names them; empty if it does not list them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def pin_cpu_kernels(environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit PyTorch, oneDNN and MKL to AVX2 in this process and its children. Variables already set are kept.

    They are read by the first operation, so this must run before any: `mvideo_core` calls it on import.
    """
    if environment.get(CHOICE) != "native" and "avx2" in cpu_flags():
        for name, value in PINS.items():
            environment.setdefault(name, value)


def half_precision_advice(
    dtype: str, environment: Mapping[str, str] = os.environ, flags: Collection[str] | None = None
) -> str:
    """Why a 16-bit model is slow on this CPU and what helps; "" if it is not.

    oneDNN has no 16-bit convolution in AVX2, and PyTorch's own loop is hundreds of times slower (one convolution of
    CogVideoX's VAE, 256 channels at 5x50x74: 264 s, against 0.6 s with AVX-512).

    Args:
        flags: CPU features, those of this machine by default.
    """
    found = cpu_flags() if flags is None else flags
    if dtype == "fp32":
        return ""
    if "avx2" in found and "avx512bw" not in found:
        return f"{dtype} on this CPU: convolutions crawl without AVX-512; use fp32"
    if environment.get("ONEDNN_MAX_CPU_ISA") != PINS["ONEDNN_MAX_CPU_ISA"]:
        return ""
    return f"{dtype} on this CPU: convolutions crawl with the AVX2 kernels; set {CHOICE}=native, or use fp32"


class _OneBlasThread:
    """The limit of `one_blas_thread`: set by the first of its users, lifted by the last one."""

    def __init__(self) -> None:
        self._lock, self._users, self._limit = threading.Lock(), 0, ExitStack()

    def enter(self) -> None:
        from threadpoolctl import ThreadpoolController

        with self._lock:
            self._users += 1
            if self._users == 1:
                self._limit.enter_context(ThreadpoolController().select(internal_api="openblas").limit(limits=1))

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.close()


_ONE_BLAS_THREAD = _OneBlasThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the matrix products of NumPy and SciPy to one thread, in the whole process.

    On small matrices next to busy decoders, OpenBLAS's threads spend their time waiting for each other: cutting a film
    of 72 s took 6.1 CPU seconds of our process instead of 2.5. PyTorch has its own threads and keeps them.
    """
    _ONE_BLAS_THREAD.enter()
    try:
        yield
    finally:
        _ONE_BLAS_THREAD.leave()
