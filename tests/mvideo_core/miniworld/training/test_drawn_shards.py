"""Shards on disk: names, what a shard holds, what an interrupted one leaves, what is drawn again."""

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mvideo_core.miniworld.training.drawn_shards import TEXTS, draw_shards, open_shards, write_array


class Text(NamedTuple):
    seed: int


def two_clips(seed: int) -> list[tuple[np.ndarray, Text]]:
    return [(np.full(2, seed), Text(seed)), (np.full(2, -seed), Text(seed))]


def test_shards_hold_all_clips_of_their_seeds(tmp_path: Path) -> None:
    draw_shards(tmp_path, ("frames", TEXTS), range(3, 8), 3, two_clips, "val")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "frames-val-00001.npy", "frames-val-00002.npy", "texts-val-00001.json", "texts-val-00002.json"
    ]  # fmt: skip
    (first, texts), (second, _) = open_shards(tmp_path, ("frames", TEXTS), "val")
    assert first[:, 0].tolist() == [3, -3, 4, -4, 5, -5]
    assert [text["seed"] for text in texts] == [3, 3, 4, 4, 5, 5]
    assert second.shape == (4, 2)
    assert isinstance(first, np.memmap)
    assert open_shards(tmp_path, ("frames", TEXTS), "train") == []


def test_a_shard_without_its_last_kind_is_drawn_again(tmp_path: Path) -> None:
    kinds, drawn = ("frames", "areas"), []

    def draw(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        drawn.append(seed)
        return [(np.zeros(1), np.zeros(1))]

    draw_shards(tmp_path, kinds, range(2), 1, draw)
    (tmp_path / "areas-00001.npy").unlink()
    assert len(open_shards(tmp_path, kinds)) == 1
    draw_shards(tmp_path, kinds, range(2), 1, draw)
    assert drawn == [0, 1, 1]
    assert len(open_shards(tmp_path, kinds)) == 2


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.npy"
    path.write_bytes(b"old")
    with pytest.raises((pickle.PicklingError, AttributeError)):
        write_array(path, np.array([lambda: 0], object))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
