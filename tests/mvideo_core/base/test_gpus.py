"""GPUs as nvidia-smi lists them; a program of that name stands in for the driver's."""

from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.gpus import choose_visible, gpu_ids, gpus, parse_listing

LISTING = """0, GPU-aa11, NVIDIA H100 80GB HBM3, 580.65.06, 81559, 81000, 9.0
1, GPU-bb22, NVIDIA A100-SXM4-80GB, 580.65.06, 81920, [N/A], 8.0
"""


def test_figures_of_the_listing() -> None:
    one, two = parse_listing(LISTING)
    assert (one.name, one.driver, one.capability) == ("NVIDIA H100 80GB HBM3", "580.65.06", (9, 0))
    assert one.memory_bytes == 81559 * 1024 * 1024
    assert two.free_bytes == 0
    assert parse_listing("No devices were found\n") == []


CHOICES = [(None, [0, 1]), ("1", [1]), ("1,0", [1, 0]), ("", []), ("0,-1,1", [0]), ("GPU-bb", [1]), ("7", [])]


@pytest.mark.parametrize(("choice", "left"), CHOICES)
def test_cuda_visible_devices_ends_at_the_first_entry_that_is_no_gpu(choice: str | None, left: list[int]) -> None:
    assert [gpu.number for gpu in choose_visible(parse_listing(LISTING), choice)] == left


def test_a_failing_driver_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ConfigError, match=r"Driver/library version mismatch.*reinstall or reboot"):
        gpus()
    program.write_text(f"#!/bin/sh\nprintf '%s' '{LISTING}'\n")
    assert [gpu.number for gpu in gpus()] == [0, 1]
    assert gpu_ids() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpu_ids() == []
