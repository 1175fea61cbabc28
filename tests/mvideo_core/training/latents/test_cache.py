"""Reads of the cached latents."""

from pathlib import Path

import pytest
import torch

from mvideo_core.shards.files import DatasetFiles
from mvideo_core.training.latents import cache
from mvideo_core.training.latents.cache import LatentDataset
from tests.fixtures.drawn_latents import draw_latents


def test_a_window_and_its_text_are_one_read_where_they_are_neighbors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = LatentDataset(draw_latents(tmp_path / "latents", clips=3))
    reads: list[int] = []
    read_range = DatasetFiles.read_range

    def counted(files: DatasetFiles, path: str, offset_bytes: int, size_bytes: int) -> bytes:
        reads.append(size_bytes)
        return read_range(files, path, offset_bytes, size_bytes)

    monkeypatch.setattr(DatasetFiles, "read_range", counted)
    together = [dataset.get(n) for n in range(3)]
    assert len(reads) == 3
    monkeypatch.setattr(cache, "MAX_GAP_BYTES", -1)
    apart = [dataset.get(n) for n in range(3)]
    assert len(reads) == 9
    for one, two in zip(together, apart, strict=True):
        assert torch.equal(one.text_LC, two.text_LC)
        assert torch.equal(one.target_FCHW, two.target_FCHW)
        assert torch.equal(one.mask_FCHW, two.mask_FCHW)
