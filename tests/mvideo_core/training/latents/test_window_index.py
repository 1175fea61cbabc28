"""The mapped index: the same rows as another reader gives, in another process too, and no memory for them."""

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.training.latents import window_index
from mvideo_core.training.latents.info import INDEX_NAME
from mvideo_core.training.latents.window_index import WindowIndex
from tests.fixtures.window_index import write_window_index
from tests.small_disk import small_disk


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """3,000 windows in 30 row groups; temporary files in a folder of the test."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    write_window_index(tmp_path / "latents", 3_000, per_shard=100)
    return tmp_path / "latents"


def opened(folder: Path, split: str = "train", history: window_index.History = "any") -> WindowIndex:
    import hashlib

    sha256 = hashlib.sha256((folder / INDEX_NAME).read_bytes()).hexdigest()
    return WindowIndex(DatasetFiles(folder), sha256, split, history)


def test_the_rows_are_those_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_index, "BATCH_ROWS", 250)
    rows = pq.read_table(folder / INDEX_NAME).to_pylist()
    for split in ("train", "test"):
        for history, wanted in (("any", (True, False)), ("with", (True,)), ("without", (False,))):
            expected = [row for row in rows if row["split"] == split and row["history"] in wanted]
            index = opened(folder, split, history)
            assert len(index) == len(expected) > 0
            assert list(index.names("id")) == [row["id"] for row in expected]
            last = len(index) - 1
            assert {name: index.value(name, last) for name in rows[0]} == expected[last]
    names = opened(folder).names("key")
    assert names[-1] == list(names)[-1]
    assert names[5:9] == list(names)[5:9]
    assert len(names[len(names) :]) == 0


def test_copies_share_it_and_other_processes_map_their_own(folder: Path) -> None:
    index = opened(folder)
    assert copy.copy(index.names("id"))[7] == index.names("id")[7]
    sent = pickle.dumps(index)
    assert len(sent) < 1000
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).value('id', 7))"
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout.decode().strip() == index.value("id", 7)


def test_no_file_stays_and_memory_does_not_grow_with_the_windows(folder: Path, tmp_path: Path) -> None:
    index = opened(folder)
    assert os.listdir(tmp_path / "tmp") == []
    tracemalloc.start()
    try:
        assert sum(1 for _ in index.names("key")) == len(index)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_another_index_and_a_full_disk_for_temporary_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"index\.parquet: not the one recorded in latents\.json"):
        WindowIndex(DatasetFiles(folder), "0" * 64, "train", "any")
    with small_disk(tmp_path / "small", "64k") as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(place))
        with pytest.raises(StoreError, match=r"small \(temporary files\): .*No space left on device"):
            opened(folder)
        assert os.listdir(place) == []
