import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.ingest.manifest import list_manifest
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.evaluation.testsets import (
    ComplexMotionOptions,
    TestCandidate,
    list_complex_motion,
    pick_named,
    write_manifest,
)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "videos"
    (root / "dance").mkdir(parents=True)
    for name in ("flip.mp4", "dance/two people.MOV", "notes.txt", "dance/two-people.mov"):
        (root / name).write_bytes(b"x")
    return root


def test_files_and_their_objects(folder, tmp_path):
    table = tmp_path / "objects.csv"
    table.write_text(
        "file,objects,prompt,source_url,license\n"
        "dance/two people.MOV,Person | dog,Two people dance,https://x.example/1,Pexels\n"
    )
    videos = list_complex_motion(ComplexMotionOptions(folder=str(folder), objects_csv=str(table)))
    assert [(one.title, one.objects) for one in videos] == [
        ("Two people dance", ["person", "dog"]), ("", ["person"]), ("", ["person"]),
    ]  # fmt: skip
    assert len({one.video_id for one in videos}) == 3
    assert videos[2].video_id == "flip"


def test_ingest_reads_the_manifest(folder, tmp_path):
    videos = list_complex_motion(ComplexMotionOptions(folder=str(folder)))
    write_manifest(videos, tmp_path / "manifest.jsonl")
    items = list(list_manifest(SourceOptions(manifest=str(tmp_path / "manifest.jsonl"))))
    assert [one.video_id for one in items] == [one.video_id for one in videos]
    assert all(one.uri.startswith("file://") for one in items)


def test_wrong_folders_and_tables_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"no such folder.*pexels\.com"):
        list_complex_motion(ComplexMotionOptions(folder=str(tmp_path / "absent")))
    for text, words in {
        "file,objects\nabsent.mp4,dog\n": "no video 'absent.mp4'",
        "file,objects\nflip.mp4, |\n": "no objects given for 'flip.mp4'",
        "name\nflip.mp4\n": "columns file and objects required; got: name",
    }.items():
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(ConfigError, match=words):
            list_complex_motion(ComplexMotionOptions(folder=str(folder), objects_csv=str(tmp_path / "t.csv")))
    with pytest.raises(ConfigError, match="cannot read this table"):
        list_complex_motion(ComplexMotionOptions(folder=str(folder), objects_csv=str(tmp_path / "absent.csv")))


def test_the_longest_clip_with_a_named_object_is_picked():
    def clip(key, video, frames, *labels):
        return TestCandidate(key, video, "", tuple(enumerate(labels)), ("text", ""), frames)

    offered = [
        clip("a_1", "a", 65, "person"), clip("a_2", "a", 97, "dog", "person"), clip("b_1", "b", 97, "dog"),
        clip("c_1", "c", 17, "person"), clip("d_1", "d", 97, "person"),
    ]  # fmt: skip
    objects = {"a": ["person"], "b": ["person"], "c": ["person"]}
    chosen = pick_named(offered, objects, ComplexMotionOptions())
    assert [(one.key, one.label, one.object_ids) for one in chosen.samples] == [("a_2", "person", [1])]
    assert chosen.left_out == {"not_in_manifest": 1, "object_not_found": 1, "too_short": 1, "video_has_enough": 1}
    assert chosen.held_out == ["a"]
