"""The device that is used where none was named."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mvideo_core.base import devices

ASK = """
import sys
from mvideo_core.base import devices
devices.DRIVERS = {drivers!r}
print(devices.default_device(), "torch" in sys.modules)
"""


@pytest.mark.parametrize("seen", [True, False])
def test_it_is_what_torch_sees(seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: seen)
    assert devices.default_device() == ("cuda" if seen else "cpu")


def test_without_a_driver_torch_is_not_imported(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", ASK.format(drivers=[str(tmp_path / "none")])], capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["cpu", "False"]
