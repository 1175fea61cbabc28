"""Lines end at newlines only, and hidden files are nobody's data."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import (
    exists,
    find_file,
    find_named,
    is_file,
    read_entries,
    read_lines,
    text_lines,
    visible_files,
    visible_folders,
)
from mvideo_core.curation.ingest.download import read_archive
from mvideo_core.curation.ingest.folder import list_folder
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.evaluation.make_videos import read_prompts
from mvideo_core.evaluation.manifest import EvalItem, manifest_of_folder, read_manifest, write_manifest
from mvideo_core.store.files import Folder

SEPARATORS = "one\u2028two\u2029three\x85four\x0b\x0c\x1c"


def test_only_newlines_end_a_line():
    assert text_lines(f"\ufeff{SEPARATORS}\r\nfive\n\nsix") == [SEPARATORS, "five", "", "six"]
    assert text_lines("a\n") == ["a"]
    assert text_lines("") == []


def test_what_our_writers_write_our_readers_read(tmp_path):
    """A prompt with a line separator is one prompt, one item, one archive line."""
    write_manifest([EvalItem(id="a", system="s", video="a.mp4", prompt=SEPARATORS)], tmp_path / "m.jsonl")
    assert [item.prompt for item in read_manifest(tmp_path / "m.jsonl").items] == [SEPARATORS]
    (tmp_path / "prompts.txt").write_text("\ufeffa dog\u2028runs\na cat\n", encoding="utf-8")
    assert read_prompts(tmp_path / "prompts.txt") == ["a dog\u2028runs", "a cat"]
    line = json.dumps({"video_id": "a", "status": "failed", "message": SEPARATORS}, ensure_ascii=False)
    (tmp_path / "archive.jsonl").write_text(line + "\n", encoding="utf-8")
    assert read_archive(tmp_path / "archive.jsonl") == {"a": "failed"}


def test_hidden_files_are_not_listed(tmp_path):
    for name in ("a.mp4", "._a.mp4", ".hidden.mp4", ".part-b.mp4", "C.MP4", ".trash/d.mp4", "sub/e.mp4", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in visible_files(tmp_path, ".mp4")] == ["C.MP4", "a.mp4"]
    deep = visible_files(tmp_path, ".mp4", recursive=True)
    assert [path.relative_to(tmp_path).as_posix() for path in deep] == ["C.MP4", "a.mp4", "sub/e.mp4"]
    listed = {item.uri.removeprefix(tmp_path.as_uri()) for item in list_folder(SourceOptions(folder=str(tmp_path)))}
    assert listed == {"/C.MP4", "/a.mp4", "/sub/e.mp4"}
    (tmp_path / "sub" / "e.mp4").unlink()  # a folder of videos in a folder of videos is refused there
    assert [item.video for item in manifest_of_folder(tmp_path).items] == ["C.MP4", "a.mp4"]


def test_hidden_folders_are_searched_but_not_listed(tmp_path):
    for name in ("b/export.json", "a/export.json", ".trash/x/export.json", "export.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [path.name for path in visible_folders(tmp_path)] == ["a", "b"]
    assert visible_folders(tmp_path / "none") == []
    found = find_named([tmp_path, tmp_path / "a"], "export.json")
    assert [path.parent.relative_to(tmp_path).as_posix() for path in found] == [".", ".trash/x", "a", "b"]


def test_a_folder_that_cannot_be_listed_is_an_error():
    """`Path.rglob` leaves it out: files of a search, or of a list, would be missing without a word."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        folder = Folder(str(root))
        assert list(folder.walk("")) == []  # imports what it needs, which another user may not read
        (root / "closed").mkdir(mode=0o000)
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(PermissionError, match="closed"):
                visible_files(root, recursive=True)
            with pytest.raises(PermissionError, match="closed"):
                find_named([root], "export.json")
            with pytest.raises(PermissionError, match="closed"):
                list(folder.walk(""))
        finally:
            os.seteuid(user)


def test_entries_of_a_list_that_people_wrote(tmp_path):
    (tmp_path / "list.txt").write_text("b\nb,\n  # all of it\n'a'\nx#y # why\n\n", encoding="utf-8")
    assert read_entries(tmp_path / "list.txt", "removal list") == ["a", "b", "x#y"]


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.txt: this removal list cannot be read"):
        read_lines(tmp_path / "latin.txt", "removal list")


def test_a_file_is_found_under_either_spelling_of_its_accents(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9.mp4", "cafe\u0301.mp4"
    (tmp_path / decomposed).touch()
    assert find_file(tmp_path, composed) == tmp_path / decomposed
    assert find_file(tmp_path, decomposed) == tmp_path / decomposed
    assert find_file(tmp_path, "other.mp4") is None


def test_a_name_that_no_file_can_have_is_absent(tmp_path: Path) -> None:
    long = "x" * 300 + ".mp4"
    assert (find_file(tmp_path, long), exists(tmp_path / long), is_file(tmp_path / long)) == (None, False, False)
