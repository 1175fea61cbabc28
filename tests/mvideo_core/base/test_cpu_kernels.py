"""CPU kernels are the same on every machine that has AVX2, unless a user asks for this machine's own."""

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from mvideo_core.base.cpu_kernels import (
    CHOICE,
    cpu_flags,
    half_precision_advice,
    one_blas_thread,
    pin_cpu_kernels,
)

PINNED = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_CBWR")
needs_avx2 = pytest.mark.skipif("avx2" not in cpu_flags(), reason="this processor has no AVX2")


@needs_avx2
def test_variables_that_a_user_set_are_kept() -> None:
    environment = {"MKL_CBWR": "COMPATIBLE"}
    pin_cpu_kernels(environment)
    assert environment == {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def test_native_pins_nothing() -> None:
    environment = {CHOICE: "native"}
    pin_cpu_kernels(environment)
    assert environment == {CHOICE: "native"}


@needs_avx2
def test_pytorch_itself_says_that_it_uses_avx2() -> None:
    code = "import mvideo_core, torch; print(torch.backends.cpu.get_cpu_capability())"
    assert _run(code, {}) == "AVX2"


@pytest.mark.skipif("avx512f" not in cpu_flags(), reason="this processor has no AVX-512 to switch off")
def test_native_gives_pytorch_the_whole_processor() -> None:
    code = "import mvideo_core, torch; print(torch.backends.cpu.get_cpu_capability())"
    assert _run(code, {CHOICE: "native"}) == "AVX512"


def test_sixteen_bits_under_the_limit_come_with_advice() -> None:
    limited, wide, narrow = {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"avx2", "avx512bw"}, {"avx2"}
    assert f"set {CHOICE}=native, or use fp32" in half_precision_advice("bf16", limited, wide)
    assert half_precision_advice("fp32", limited, wide) == ""
    assert half_precision_advice("bf16", {}, wide) == ""
    for environment in (limited, {}):  # native kernels do not help a processor without AVX-512
        assert half_precision_advice("bf16", environment, narrow).endswith("crawl without AVX-512; use fp32")
        assert half_precision_advice("fp32", environment, narrow) == ""


def _run(code: str, more: dict[str, str]) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in (*PINNED, CHOICE)}
    return subprocess.run(
        [sys.executable, "-c", code], env=clean | more, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_matrix_products_have_one_thread_until_the_last_user_leaves() -> None:
    import numpy as np

    np.ones((2, 2)) @ np.ones((2, 2))

    def threads() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["internal_api"] == "openblas"}

    before, first, second = threads(), one_blas_thread(), one_blas_thread()
    first.__enter__()
    second.__enter__()
    assert threads() == {1}
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == before
