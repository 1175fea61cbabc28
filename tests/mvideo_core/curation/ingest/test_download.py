"""The optional downloader: off by default, no shell, paced, resumable."""

import json
import os
import sys

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.curation.ingest.download import DownloadOptions, download, read_archive
from mvideo_core.curation.ingest.sources import SourceItem

COPY = "import sys; open(sys.argv[2], 'w').write(sys.argv[1])"
FAIL = "import sys; sys.exit('HTTP 429')"


def items(*ids, url="https://example.org/{}"):
    return [SourceItem(video_id=one, source_url=url.replace("{}", one)) for one in ids]


def options(folder, script=COPY, **more):
    command = [sys.executable, "-c", script, "{url}", "{output}"]
    return DownloadOptions(enabled=True, command=command, folder=str(folder), **more)


def test_off_by_default(tmp_path):
    with pytest.raises(ConfigError, match="off"):
        next(iter(download(items("a"), DownloadOptions())))


def test_writes_whole_files_and_keeps_the_pace(tmp_path):
    waits = []
    results = list(download(items("a", "b"), options(tmp_path, interval_s=30), sleep=waits.append))
    assert [result.status for result in results] == ["ok", "ok"]
    assert (tmp_path / "b.mp4").read_text() == "https://example.org/b"
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "archive.jsonl", "b.mp4"]
    assert waits[0] == 0
    assert 25 < waits[1] <= 30


def test_resumes_by_files_and_archive(tmp_path):
    list(download(items("a"), options(tmp_path)))
    list(download(items("b"), options(tmp_path, script=FAIL), sleep=lambda _: None))
    with open(tmp_path / "archive.jsonl", "a") as handle:
        handle.write('{"video_id": "c", "sta')  # killed while writing
    assert read_archive(tmp_path / "archive.jsonl") == {"a": "ok", "b": "failed"}
    again = list(download(items("a", "b"), options(tmp_path)))
    assert [result.status for result in again] == ["there", "skipped"]
    retried = list(download(items("b"), options(tmp_path, retry_failed=True)))
    assert retried[0].status == "ok"


def test_addresses_never_reach_a_shell_nor_become_options(tmp_path):
    evil = items("a", url="https://example.org/$(touch${IFS}hacked);{output}")
    assert next(iter(download(evil, options(tmp_path)))).status == "ok"
    assert (tmp_path / "a.mp4").read_text() == "https://example.org/$(touch${IFS}hacked);{output}"
    for bad in ("--exec=rm", "file:///etc/passwd", "", "https://a b"):
        result = next(iter(download(items("x", url=bad), options(tmp_path, retry_failed=True))))
        assert result.status == "failed"
        assert "no http(s) url" in result.message


def test_stops_when_everything_fails(tmp_path):
    with pytest.raises(StoreError, match=r"3 downloads in a row failed.*HTTP 429"):
        list(download(items(*"abcdef"), options(tmp_path, script=FAIL, max_failures_in_row=3), sleep=lambda _: None))
    assert len((tmp_path / "archive.jsonl").read_text().splitlines()) == 3


def test_a_command_that_writes_nothing_is_a_failure(tmp_path):
    result = next(iter(download(items("a"), options(tmp_path, script="pass"))))
    assert result.status == "failed"
    assert "wrote no {output}" in result.message
    assert json.loads((tmp_path / "archive.jsonl").read_text())["status"] == "failed"


def test_limit_on_attempts(tmp_path):
    assert len(list(download(items("a", "b", "c"), options(tmp_path, max_items=2), sleep=lambda _: None))) == 2
