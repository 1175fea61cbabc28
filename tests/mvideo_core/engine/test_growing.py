from pathlib import Path

import pytest

from mvideo_core.engine.growing_file import GrowingFile
from mvideo_core.engine.stage import StageContext
from mvideo_core.store.workspace import Workspace


@pytest.fixture
def context(tmp_path: Path) -> StageContext:
    return at(str(tmp_path / "ws"), tmp_path)


def at(url: str, tmp_path: Path) -> StageContext:
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return StageContext(Workspace(url), "encode", scratch)


def grown(context: StageContext, *pieces: bytes) -> GrowingFile:
    growing = GrowingFile(context, "key")
    for piece in pieces:
        growing.append(piece, {"piece": piece.decode()})
    return growing


def partial(context: StageContext) -> Path:
    return Path(context.workspace.folder.at("tmp/encode-growing/key"))


def test_a_finished_file_holds_all_pieces_and_leaves_nothing_behind(context: StageContext) -> None:
    blob = grown(context, b"one", b"two").finish(b"end", "latents/x.tar")
    assert context.workspace.folder.read(blob.path) == b"onetwoend"
    assert blob.size_bytes == 9
    assert list(context.workspace.folder.walk("")) == ["latents/x.tar"]


def test_the_next_process_goes_on_behind_the_last_whole_piece(context: StageContext) -> None:
    grown(context, b"one", b"two").close()
    with partial(context).open("ab") as stream:
        stream.write(b"thr")  # killed while writing
    again = GrowingFile(context, "key")
    assert (again.size_bytes, again.notes) == (6, [{"piece": "one"}, {"piece": "two"}])
    again.append(b"three", {})
    assert context.workspace.folder.read(again.finish(b"", "x").path) == b"onetwothree"


@pytest.mark.parametrize("on_disk", [b"oneTWO", b"onet", b"one"])
def test_what_the_disk_did_not_keep_is_done_again(context: StageContext, on_disk: bytes) -> None:
    grown(context, b"one", b"two").close()
    partial(context).write_bytes(on_disk)  # power was lost: the journal knows more than the file
    again = GrowingFile(context, "key")
    assert [note["piece"] for note in again.notes] == ["one"]
    again.append(b"2", {"piece": "2"})
    again.close()
    assert [note["piece"] for note in GrowingFile(context, "key").notes] == ["one", "2"]


def test_a_journal_without_its_file_counts_for_nothing(context: StageContext) -> None:
    grown(context, b"one").close()
    partial(context).unlink()
    again = GrowingFile(context, "key")
    assert (again.size_bytes, again.notes) == (0, [])


def test_on_an_object_store_the_file_grows_in_scratch(tmp_path: Path) -> None:
    context = at("memory://growing", tmp_path)
    blob = grown(context, b"one", b"two").finish(b"", "latents/x.tar")
    assert context.workspace.folder.read(blob.path) == b"onetwo"
