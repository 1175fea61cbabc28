"""Rows of listed videos."""

import hashlib
import os

import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.naming import uri_of
from mvideo_core.curation.ingest.sources import SourceItem, SourceOptions, list_sources
from tests.mvideo_core.media import samples


def test_row_has_facts_digest_and_origin(tmp_path):
    path = samples.write(tmp_path / "a.mp4", n=20)
    item = SourceItem(
        video_id="a", uri=uri_of(path), source_url="https://example.org/a", licence="CC0", title="A", spans_s=[[0, 1]]
    )
    row = describe(item)
    assert row.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (row.key, row.size_bytes, row.width, row.duration_s) == ("a", path.stat().st_size, 96, 2.0)
    assert (row.source_url, row.licence, row.title, row.spans_s) == ("https://example.org/a", "CC0", "A", [[0, 1]])
    assert row.status == "ok"


def test_missing_download_and_links_out_of_the_tree(tmp_path):
    with pytest.raises(MediaError, match="x: listed, but its file is missing"):
        describe(SourceItem(video_id="x"))
    samples.write(tmp_path / "out.mp4", n=5)
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "out.mp4", tmp_path / "in" / "a.mp4")
    items = list(list_sources(SourceOptions(folder=str(tmp_path / "in"))))
    with pytest.raises(MediaError, match="leads out of"):
        describe(items[0])


def test_name_that_is_not_text(tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff.mp4"
    samples.write(tmp_path / "a.mp4", n=5).rename(os.fsdecode(name))
    rows = [describe(item) for item in list_sources(SourceOptions(folder=str(tmp_path)))]
    assert rows[0].width == 96
    assert rows[0].uri.endswith("/%FF.mp4")
