"""Checkpoints are data: foreign classes in them stay inert."""

import sys
import types
from pathlib import Path

import pytest

from mvideo_core.base.errors import ModelError
from mvideo_core.evaluation.networks.checkpoint import load_strictly, only_file, read_checkpoint


def test_foreign_classes_are_not_made(tmp_path: Path) -> None:
    """As AMT's published file: a training configuration of a package that need not be installed lies beside."""
    import torch

    made = []
    module = types.ModuleType("not_installed_later")

    class Config:
        def __init__(self) -> None:
            self.lr = 1.0

        def __setstate__(self, state: dict[str, float]) -> None:
            made.append(state)

    Config.__module__, Config.__qualname__ = "not_installed_later", "Config"
    module.Config = Config  # type: ignore[attr-defined]
    sys.modules["not_installed_later"] = module
    try:
        path = tmp_path / "net.pth"
        torch.save({"config": Config(), "state_dict": {"module.weight": torch.arange(3.0)}}, path)
    finally:
        del sys.modules["not_installed_later"]
    assert read_checkpoint(path, "state_dict")["weight"].tolist() == [0, 1, 2]
    assert made == []
    with pytest.raises(ModelError, match="expected entry 'model' of tensors"):
        read_checkpoint(path, "model")


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(ModelError, match="missing"):
        read_checkpoint(path)
    path.write_bytes(b"<!doctype html>")
    with pytest.raises(ModelError, match="fetch it again"):
        read_checkpoint(path)


def test_every_name_and_shape_must_fit(tmp_path: Path) -> None:
    import torch

    network = torch.nn.Linear(2, 3)
    state = {"weight": torch.zeros(2, 3), "extra": torch.zeros(1)}
    with pytest.raises(ModelError) as caught:
        load_strictly(network, state, tmp_path / "net.pth")
    for part in ("1 missing (bias)", "1 unknown (extra)", "1 of another shape (weight)"):
        assert part in str(caught.value)


def test_one_file_or_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="one file"):
        only_file(tmp_path, ("*.pth",))
    (tmp_path / "a.pth").touch()
    assert only_file(tmp_path, ("*.pth", "a.*")).name == "a.pth"


def test_files_of_old_torch_are_read_as_tensors_only(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "old.pth"
    torch.save({"weight": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False)
    assert read_checkpoint(path)["weight"].tolist() == [0, 1, 2]
    torch.save({"weight": Path("x")}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ModelError, match="not a tensor checkpoint"):
        read_checkpoint(path)
