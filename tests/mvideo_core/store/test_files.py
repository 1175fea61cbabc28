import threading

import pytest

from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import Blob, ClipRow, MaskRow, ObjectStats, VideoRow
from mvideo_core.store.files import Folder
from mvideo_core.store.keys import part_key, row_digest, settings_digest
from mvideo_core.store.tables import _fits, find_misfit, from_parquet, to_parquet
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.base.test_options import Small


def test_a_reader_never_sees_half_a_file(tmp_path):
    folder = Folder(str(tmp_path))
    contents = {b"a" * 1_000_000, b"b" * 1_000_000}
    folder.write("x", b"a" * 1_000_000)
    stop = threading.Event()
    seen: set[bytes] = set()

    def read():
        while not stop.is_set():
            seen.add(folder.read("x"))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for content in contents:
            folder.write("x", content)
    stop.set()
    reader.join()
    assert seen <= contents
    assert list(folder.walk("")) == ["x"]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd"])
def test_no_path_leaves_the_workspace(tmp_path, path):
    with pytest.raises(StoreError, match="leaves the workspace"):
        Folder(str(tmp_path)).write(path, b"")


def test_rows_survive_parquet_with_nested_records_and_give_the_same_bytes():
    stats = ObjectStats(
        object_id=0, label="dog", detection_score=0.5, mask_score=0.25, visible_frac=1, mean_area_frac=0.125, drift=0
    )
    rows = [
        MaskRow(key="b", parent="v", masks=Blob(path="x", sha256="0" * 64, size_bytes=7), objects=[stats], n_frames=9),
        MaskRow.failure_row("a", "v", "MediaError", "no frames", 2),
    ]
    content = to_parquet(rows, MaskRow)
    assert to_parquet(rows[::-1], MaskRow) == content
    assert from_parquet(content, MaskRow) == sorted(rows, key=lambda row: row.key)


def test_where_a_video_lies_is_not_what_it_is():
    here, there = VideoRow(key="v", uri="file:///a", sha256="1"), VideoRow(key="v", uri="file:///b", sha256="1")
    assert row_digest(here) == row_digest(there)
    assert row_digest(here) != row_digest(VideoRow(key="v", uri="file:///a", sha256="2"))


def test_every_ingredient_of_a_key_counts():
    base = settings_digest("cut", 1, Small(), {"w": "1"})
    others = [
        settings_digest("detect", 1, Small(), {"w": "1"}),
        settings_digest("cut", 2, Small(), {"w": "1"}),
        settings_digest("cut", 1, Small(size=4), {"w": "1"}),
        settings_digest("cut", 1, Small(), {"w": "2"}),
    ]
    assert len({base, *others}) == 5
    assert part_key(base, {"cut": "1"}) != part_key(base, {"cut": "2"})


def test_another_layout_is_refused(tmp_path):
    (tmp_path / "workspace.json").write_text('{"layout": 99}')
    with pytest.raises(StoreError, match="layout 99, this version reads 1"):
        Workspace(str(tmp_path))


def test_damaged_parquet_is_a_store_error():
    with pytest.raises(StoreError, match="ClipRow cannot be read"):
        from_parquet(b"PAR1 nonsense", ClipRow)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"source_url": "half a pair \ud83d"}, "UnicodeEncodeError"),
        ({"n_frames": 2**63}, "OverflowError"),
        ({"n_frames": -(2**63)}, ""),
        ({"n_frames": "nine"}, "Arrow"),
        ({"source_url": "a fox \U0001f98a", "value": None}, ""),
        ({"clip": Blob(path="a", sha256="b", size_bytes=2**64)}, "OverflowError"),
        ({"clip": Blob(path="a", sha256="b", size_bytes=7)}, ""),
    ],
)
def test_what_no_table_holds_is_named(fields, problem):
    """The quick check must not pass what Arrow refuses."""
    row = ClipRow(key="k", parent="p").model_copy(update=fields)
    found = find_misfit([row], ClipRow)
    assert bool(found) == bool(problem)
    assert problem in found
    if not problem:
        assert _fits(ClipRow)(row)
        assert from_parquet(to_parquet([row], ClipRow), ClipRow) == [row]
