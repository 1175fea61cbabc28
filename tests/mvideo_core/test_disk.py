from pathlib import Path

import pytest

from mvideo_core.disk import write_whole
from mvideo_core.errors import StoreError


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_whole(path, "früh")
    assert path.read_bytes() == b"fr\xc3\xbch"
    write_whole(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_remains(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "inside").write_text("kept")
    with pytest.raises(StoreError, match=r"taken: cannot write \(.*; free space or fix permissions"):
        write_whole(folder, "text")  # a folder stands where the file would go
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(StoreError, match="cannot write"):
        write_whole(folder / "inside" / "below", "text")  # a file stands where a folder would go
    assert (folder / "inside").read_text() == "kept"
