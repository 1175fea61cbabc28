"""Listing videos from folders, HD-VILA lists and manifests."""

import json
import os

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.ingest.hdvila import LICENCE, parse_line, seconds
from mvideo_core.curation.ingest.naming import path_of
from mvideo_core.curation.ingest.sources import SourceOptions, list_sources

LINE = {
    "video_id": "QMi8x8o55Ns",
    "url": "https://www.youtube.com/watch?v=QMi8x8o55Ns",
    "clip": [
        {"clip_id": "QMi8x8o55Ns.0.mp4", "span": ["00:00:17.759", "00:00:23.279"]},
        {"clip_id": "QMi8x8o55Ns.1.mp4", "span": ["01:02:03", "01:02:04.5"]},
    ],
}


def listed(**options):
    return list(list_sources(SourceOptions(**options)))


def touch(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()


def test_folder_order_depends_on_names_only(tmp_path):
    touch(tmp_path, b"b.mp4", b"a/z.MKV", b"a.mp4", b"a b.webm", b"\xff.mp4", b"notes.txt")
    items = listed(folder=str(tmp_path), license="CC-BY")
    names = [os.fsencode(path_of(item.uri))[len(os.fsencode(tmp_path)) + 1 :] for item in items]
    assert names == [b"a/z.MKV", b"a b.webm", b"a.mp4", b"b.mp4", b"\xff.mp4"]
    assert len({item.video_id for item in items}) == 5
    assert items[3].video_id == "b"
    assert {item.licence for item in items} == {"CC-BY"}
    assert listed(folder=str(tmp_path), licence="CC-BY") == items


def test_folder_patterns_and_depth(tmp_path):
    touch(tmp_path, b"a.mp4", b"sub/b.mp4", b"sub/c.mov")
    assert len(listed(folder=str(tmp_path), recursive=False)) == 1
    assert len(listed(folder=str(tmp_path), patterns=["*.mov"])) == 1
    assert len(listed(folder=str(tmp_path), patterns=["sub/*.mp4"])) == 1


def test_same_stem_gives_two_ids(tmp_path):
    touch(tmp_path, b"a.mp4", b"a.mkv")
    first, second = (item.video_id for item in listed(folder=str(tmp_path)))
    assert first != second


def test_linked_folders_are_not_entered(tmp_path):
    touch(tmp_path, b"in/a.mp4", b"out/b.mp4")
    os.symlink(tmp_path / "out", tmp_path / "in" / "link")
    assert [item.video_id for item in listed(folder=str(tmp_path / "in"))] == ["a"]


def test_exactly_one_source():
    for options in ({}, {"folder": "a", "manifest": "b"}, {"hdvila": "a"}):
        with pytest.raises(ValueError, match=r"exactly one|files\) together"):
            SourceOptions(**options)


def test_hdvila_line_by_hand():
    item = parse_line(json.dumps(LINE), "x:1")
    assert item.video_id == "QMi8x8o55Ns"
    assert item.spans_s == [[17.759, 23.279], [3723.0, 3724.5]]
    assert seconds("00:01:02.5") == 62.5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (repr(LINE), r"part\.jsonl:2: not JSON.*json\.dumps\(ast\.literal_eval"),
        (json.dumps({"video_id": "a"}), r"part\.jsonl:2: expected video_id"),
        (json.dumps(LINE | {"video_id": "../../etc/passwd"}), r"part\.jsonl:2: video id"),
        (json.dumps(LINE | {"clip": [{"span": ["17.7", "23"]}]}), r"part\.jsonl:2: time '17\.7'"),
        (json.dumps(LINE | {"clip": [{"span": ["00:00:09", "00:00:01"]}]}), "not \\[start, end\\]"),
        (json.dumps(LINE | {"video_id": "ok"}), "occurs twice"),
        ("[1, 2]", "expected video_id"),
    ],
)
def test_hdvila_bad_lines_name_their_place(tmp_path, line, said):
    good = json.dumps(LINE | {"video_id": "ok"})
    (tmp_path / "part.jsonl").write_text(good + "\n" + line + "\n")
    with pytest.raises(ConfigError, match=said):
        listed(hdvila=str(tmp_path / "part.jsonl"), hdvila_videos=str(tmp_path))


def test_hdvila_joins_files_and_keeps_what_is_missing(tmp_path):
    lists, videos = tmp_path / "lists", tmp_path / "videos"
    lists.mkdir()
    touch(videos, b"two.webm")
    for name, ids in (("b.jsonl", ["three"]), ("a.jsonl", ["one", "two"])):
        (lists / name).write_text("".join(json.dumps(LINE | {"video_id": one}) + "\n" for one in ids))
    items = listed(hdvila=str(lists), hdvila_videos=str(videos))
    assert [item.video_id for item in items] == ["one", "two", "three"]
    assert [bool(item.uri) for item in items] == [False, True, False]
    assert path_of(items[1].uri) == str(videos / "two.webm")
    assert items[0].licence == LICENCE


@pytest.mark.parametrize("column", ["license", "licence"])
def test_manifests(tmp_path, column):
    touch(tmp_path, b"a.mp4", b"sub/b.mp4")
    (tmp_path / "m.csv").write_text(
        f"path,video_id,source_url,{column},title,extra\n"
        f'a.mp4,,https://example.org/a,CC0,"A, first",1\n{tmp_path}/sub/b.mp4,bee,,,,\ngone.mp4,gone,,,,\n'
    )
    items = listed(manifest=str(tmp_path / "m.csv"), license="default")
    assert [item.video_id for item in items] == ["a", "bee", "gone"]
    assert [item.licence for item in items] == ["CC0", "default", "default"]
    assert items[0].title == "A, first"
    assert items[2].uri == ""
    (tmp_path / "m.jsonl").write_text(json.dumps({"uri": items[1].uri, "video_id": "x"}) + "\n")
    assert path_of(listed(manifest=str(tmp_path / "m.jsonl"))[0].uri) == str(tmp_path / "sub/b.mp4")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "file\na.mp4\n", "needs a `path`"),
        ("m.csv", "path,video_id\na.mp4,x\nb.mp4,x\n", r"m\.csv:3.*occurs twice"),
        ("m.jsonl", "{\n", r"m\.jsonl:1: not JSON"),
        ("m.jsonl", '{"path": "a.mp4", "video_id": "a/b"}\n', r"m\.jsonl:1: video id"),
    ],
)
def test_bad_manifests(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        listed(manifest=str(tmp_path / name))
