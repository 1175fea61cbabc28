"""What counts as a mention of a source, and what does not."""

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mvideo_core.curation.removal.mentions import CHUNK_BYTES, ContentIds, Finder, find_mentions
from mvideo_core.store.files import Folder

IDS = ContentIds({"video1"}, {"video1_000000000"}, {"https://host/watch?v=abc"}, {"ab" * 32})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("video10", ""), ("my-video1", ""), ("video1-b", ""), ("video1_extra", ""), ("video1_0000000001", ""),
        ("see video1.", "video1"), ("/data/video1.mp4", "video1"), ("video1_000000000.masks", "video1_000000000"),
        ("blobs/cut/ab/video1_000003250-0123456789ab.mp4", "video1_000003250"),
        ("https://host/watch?v=abc", "https://host/watch?v=abc"), ("https://host/watch?v=ab", ""),
        ("sha256:" + "ab" * 32, "ab" * 32), ("ab" * 33, ""), ("ba" * 32, ""),
    ],
)  # fmt: skip
def test_an_id_counts_as_a_whole(text: str, found: str) -> None:
    assert Finder(IDS).find(text.encode()) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("a dog runs", False), ('{"label": "dog"}', False), ('{"video_id": "dog"}', True), ("/data/dog.mp4", True),
     ("dog_000000000.txt", True), ("hot/dog/x", False)],
)  # fmt: skip
def test_a_source_called_by_an_ordinary_word_is_not_seen_in_captions(text: str, found: bool) -> None:
    assert bool(Finder(ContentIds({"dog"})).find(text.encode())) == found


def test_tables_and_tars_are_read_and_words_are_not(tmp_path) -> None:
    columns = {"key": ["x", "video1"], "caption": ["a", "b"]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", compression="zstd")
    pq.write_table(pa.table({"key": ["x"], "caption": ["video1"]}), tmp_path / "words.parquet")
    nested = [{"samples": [{"video_id": "video1", "caption": ""}]}]
    pq.write_table(pa.Table.from_pylist(nested), tmp_path / "nested.parquet")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, n in (("other.mp4", CHUNK_BYTES - 600), ("video1_000000000.txt", 3)):
            member = tarfile.TarInfo(name)
            member.size = n
            tar.addfile(member, io.BytesIO(bytes(n)))
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "x.mp4").write_bytes(b"video1")
    (tmp_path / "blobs" / "video1_000000000.mp4").write_bytes(b"")
    found = {one.path for one in find_mentions(Folder(str(tmp_path)), IDS)}
    assert found == {"rows.parquet", "nested.parquet", "a.tar", "blobs/video1_000000000.mp4"}
