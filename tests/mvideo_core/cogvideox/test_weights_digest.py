"""Base weights are known by what is in them, at no cost once they were read."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mvideo_core.base.errors import ModelError
from mvideo_core.cogvideox import weights_digest
from mvideo_core.cogvideox.weights_digest import file_tensors, tensors_sha256

FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def values() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(12.0).reshape(3, 4), "b.bias": torch.ones(5, dtype=torch.bfloat16)}


def written(folder: Path, values: dict[str, torch.Tensor], name: str = FILE) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(values, folder / name, {"format": "pt"})
    return folder


def test_names_shards_and_metadata_make_no_difference(tmp_path: Path, values: dict[str, torch.Tensor]) -> None:
    whole = written(tmp_path / "whole", values)
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    split = written(tmp_path / "split", {"b.bias": values["b.bias"]}, first)
    save_file({"a.weight": values["a.weight"]}, split / second)
    (split / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a.weight": second, "b.bias": first}})
    )
    assert tensors_sha256(split) == tensors_sha256(whole)
    save_file({"b.bias": values["b.bias"]}, split / "unused.safetensors")  # not in the index: nobody loads it
    assert tensors_sha256(split) == tensors_sha256(whole)


@pytest.mark.parametrize("what", ["one number", "shape", "type", "name"])
def test_content_makes_a_difference(what: str, tmp_path: Path, values: dict[str, torch.Tensor]) -> None:
    before = tensors_sha256(written(tmp_path / "one", values))
    a = values.pop("a.weight")
    a = a + torch.eye(3, 4) * 1e-6 if what == "one number" else a.reshape(4, 3) if what == "shape" else a
    a = a.view(torch.int32) if what == "type" else a
    assert tensors_sha256(written(tmp_path / "two", values | {"c" if what == "name" else "a.weight": a})) != before


def test_mvideos_own_parameters_belong_to_the_adapter(tmp_path: Path, values: dict[str, torch.Tensor]) -> None:
    plain = tensors_sha256(written(tmp_path / "plain", values))
    assert tensors_sha256(written(tmp_path / "ours", values | {"segment_embed": torch.ones(2, 4)})) == plain


def test_a_large_file_is_read_once_and_again_when_it_changed(
    tmp_path: Path, values: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """With size and time of modification kept, as a careful copy does: the time of change tells."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights_digest, "CACHED_FROM_BYTES", 1)
    monkeypatch.setattr(weights_digest, "SETTLED_S", 0.0)
    caplog.set_level(logging.INFO)
    path = written(tmp_path / "one", values) / FILE
    time.sleep(0.05)
    first = file_tensors(path)
    assert file_tensors(path) == first
    assert caplog.text.count("for its digest, once") == 1
    kept = path.stat()
    changed = load_file(path)
    changed["a.weight"][0, 0] += 1
    save_file(changed, path, {"format": "pt"})
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (kept.st_size, kept.st_mtime_ns)
    assert file_tensors(path) != first


def test_without_a_home_or_with_a_cache_that_cannot_be_written_it_is_read_each_time(
    tmp_path: Path, values: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_digest, "CACHED_FROM_BYTES", 1)
    monkeypatch.setattr(weights_digest, "SETTLED_S", 0.0)
    path = written(tmp_path / "one", values) / FILE
    expected = weights_digest._hash_tensors(path)
    monkeypatch.setattr(weights_digest, "cache_folder", lambda: None)
    assert file_tensors(path) == expected
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(weights_digest, "cache_folder", lambda: tmp_path / "file")
    assert file_tensors(path) == expected


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1\n", b"", b"\0" * 8]
)
def test_a_file_that_is_no_safetensors_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{FILE}: not a safetensors file"):
        tensors_sha256(tmp_path)


def test_a_file_cut_short_is_named(tmp_path: Path, values: dict[str, torch.Tensor]) -> None:
    path = written(tmp_path, values) / FILE
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ModelError, match=r"it is truncated"):
        tensors_sha256(tmp_path)
    path.unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors file"):
        tensors_sha256(tmp_path)
