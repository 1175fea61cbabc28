import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mvideo_core.base.disk import (
    Note,
    disk_errors,
    new_file,
    new_folder,
    obey_umask,
    store_error,
    work_folder,
    write_tensors,
    write_whole,
)
from mvideo_core.base.errors import StoreError
from mvideo_core.media.encode import write_mp4, write_png
from tests.small_disk import names, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "64k") as place:
        yield place


@pytest.fixture
def group_writes() -> Iterator[None]:
    """A umask that leaves 0664, which no default gives."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_whole(path, "früh")
    assert path.read_bytes() == b"fr\xc3\xbch"
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_a_note_is_of_the_request_it_was_written_for(tmp_path: Path) -> None:
    note = Note(tmp_path / "a" / "done.json")
    assert (note.read(), note.is_of("one")) == ({}, False)
    assert note.write("one", clips=[1, 2]) == note.read() == {"request": "one", "clips": [1, 2]}
    assert (note.is_of("one"), note.is_of("two"), Note(note.path, "from").is_of("one")) == (True, False, False)


@pytest.mark.parametrize("content", [b'{"request": "o', b"[1]", b"7", b'{"request": "\xe9"}', b'["request"]'])
def test_a_damaged_note_is_of_no_request(tmp_path: Path, content: bytes) -> None:
    note = Note(tmp_path / "done.json")
    note.path.write_bytes(content)
    assert not note.is_of("o")
    with pytest.raises((ValueError, TypeError)):
        note.read()


def test_a_failed_write_leaves_the_old_file_and_no_remains(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "inside").write_text("kept")
    with pytest.raises(StoreError, match=r"taken: cannot be written \(Is a directory\); use another path"):
        write_whole(folder, "text")  # a folder is where the file would go
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(StoreError, match=r"\(Not a directory\); .*taken/inside is a file, not a folder: use another"):
        write_whole(folder / "inside" / "below" / "file", "text")
    assert names(tmp_path) == ["taken/inside"]


@pytest.mark.usefixtures("group_writes")
def test_every_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.safetensors", {"x": torch.arange(3.0)}, {"format": "pt"})
    write_whole(tmp_path / "b.json", "{}")
    write_png(tmp_path / "c.png", np.zeros((4, 4), np.uint8))
    save_file({"x": torch.zeros(1)}, tmp_path / "d.safetensors")
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == {
        "a.safetensors": 0o664, "b.json": 0o664, "c.png": 0o664, "d.safetensors": 0o600,
    }  # fmt: skip
    obey_umask(tmp_path)
    assert mode(tmp_path / "d.safetensors") == 0o664
    assert load_file(tmp_path / "a.safetensors")["x"].tolist() == [0.0, 1.0, 2.0]


def test_a_full_disk_is_one_line_of_ours_and_nothing_stays_on_it(disk: Path) -> None:
    rng = np.random.default_rng(0)
    noise_THWC = rng.integers(0, 255, (4, 240, 320, 3), np.uint8)
    writes = {
        "text.json": lambda path: write_whole(path, "x" * 100_000),
        "tensors.safetensors": lambda path: write_tensors(path, {"x": torch.zeros(100_000)}),
        "video.mp4": lambda path: write_mp4(noise_THWC, path, 8),
        "picture.png": lambda path: write_png(path, noise_THWC[0]),
    }
    for name, write in writes.items():
        with pytest.raises(StoreError) as caught:
            write(disk / "below" / name)
        assert str(caught.value) == (
            f"{disk}/below/{name}: cannot be written (No space left on device); free space there or use a path on "
            "another disk, then run again"
        )
    with pytest.raises(StoreError, match="No space left"):
        fill(disk / "many")
    assert names(disk) == []


def fill(folder: Path) -> None:
    with new_folder(folder) as part:
        for number in range(100):
            (part / str(number)).write_bytes(bytes(4096))


def test_what_was_there_stays_when_the_disk_is_full(disk: Path) -> None:
    write_whole(disk / "a.json", "old")
    with pytest.raises(StoreError):
        write_whole(disk / "a.json", "x" * 100_000)
    assert (names(disk), (disk / "a.json").read_text()) == (["a.json"], "old")


def test_an_error_of_what_is_read_meanwhile_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "out"):
        (tmp_path / "source").read_bytes()
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "out") as part:
        print(part.write_text("half") / 0)
    assert names(tmp_path) == []


def test_a_work_folder_begins_empty_and_is_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / ".run.part").mkdir()
    (tmp_path / ".run.part" / "of a killed process").touch()
    with work_folder(tmp_path / "run") as work:
        assert names(work) == []
        (work / "left").touch()
    assert list(tmp_path.iterdir()) == []
    with new_folder(tmp_path / "run") as work:
        (work / "kept").touch()
    assert names(tmp_path) == ["run/kept"]


def test_refusals_of_the_disk_are_told_from_other_errors(tmp_path: Path) -> None:
    assert store_error(ValueError("no")) is None
    assert store_error(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    denied = store_error(PermissionError(errno.EACCES, "Permission denied", "/srv/a.json"))
    assert str(denied) == (
        "/srv/a.json: cannot be read or written (Permission denied); fix its permissions or use a path that you can "
        "write to"
    )
    with pytest.raises(StoreError, match=r"^part 3: the disk: .*\(No space left on device\)"), disk_errors("part 3"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(ZeroDivisionError), disk_errors():
        print(1 / 0)


def test_a_database_on_a_full_disk_counts_as_well(disk: Path) -> None:
    base = sqlite3.connect(disk / "rows.db", isolation_level=None)
    base.execute("create table one (text)")
    with pytest.raises(StoreError, match="No space left on device"), disk_errors():
        base.executemany("insert into one values (?)", [("x" * 1000,)] * 200)
    base.close()
