import json
import re
from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.manifest import (
    EvalItem,
    absolute_items,
    manifest_of_folder,
    prompt_of_name,
    read_manifest,
    write_manifest,
)


def test_what_is_written_is_read_and_paths_start_at_the_manifest(tmp_path: Path) -> None:
    items = [EvalItem(id="a", system="x", video="v/a.mp4", prompt="ein Pferd läuft", seed=3, masks="set#key")]
    path = write_manifest(items, tmp_path / "deep" / "manifest.jsonl")
    assert json.loads(path.read_text()) == {
        "id": "a", "system": "x", "video": "v/a.mp4", "prompt": "ein Pferd läuft", "seed": 3, "masks": "set#key",
    }  # fmt: skip
    found = read_manifest(tmp_path / "deep")
    assert found.items == tuple(items)
    (item,) = absolute_items(found)
    assert (item.video, item.masks) == (f"{tmp_path}/deep/v/a.mp4", f"{tmp_path}/deep/set#key")
    assert item.source_video == ""


def test_prompts_are_read_from_names_as_vbench_writes_them(tmp_path: Path) -> None:
    for name in ("a cat, running-0.mp4", "a cat, running-1.mp4", "1950-2000.mov", "notes.txt"):
        (tmp_path / name).touch()
    found = manifest_of_folder(tmp_path)
    assert [(item.id, item.prompt) for item in found.items] == [
        ("1950-2000", "1950"),  # as VBench: digits after the last dash are a number, whatever they mean
        ("a cat, running-0", "a cat, running"),
        ("a cat, running-1", "a cat, running"),
    ]
    assert prompt_of_name("day 3.mp4") == "day 3"


def test_a_prompt_without_its_video_stays_in_the_count(tmp_path: Path) -> None:
    (tmp_path / "one.mp4").touch()
    found = manifest_of_folder(tmp_path, {"one.mp4": "first", "two.mp4": "second"})
    assert [(item.video, item.prompt) for item in found.items] == [("one.mp4", "first"), ("two.mp4", "second")]


def test_folders_of_generated_videos_tell_prompt_seed_and_masks(tmp_path: Path) -> None:
    for name, masks in (("one", "abc"), ("two", "")):
        (tmp_path / "set" / name).mkdir(parents=True)
        decides = {"prompt": f"prompt {name}", "options": {"seed": 7}, "masks": masks}
        (tmp_path / "set" / name / "provenance.json").write_text(json.dumps({"decides": decides}))
    one, two = read_manifest(tmp_path / "set").items
    assert (one.id, one.system, one.prompt, one.seed) == ("one", "set", "prompt one", 7)
    assert (one.video, one.masks, two.masks) == ("one/video.mp4", "one/conditions/masks.masks", "")
    (alone,) = read_manifest(tmp_path / "set" / "two").items
    assert (alone.id, alone.video) == ("two", "video.mp4")


@pytest.mark.parametrize(
    "name", ["killed/clips/done.json", "killed/conditions/motion-0001.mp4", "other/video.mp4", "loose.mp4", "loose.gif"]
)
def test_a_video_that_generate_did_not_finish_is_not_dropped(tmp_path: Path, name: str) -> None:
    """A killed `mvideo generate` leaves clips and no provenance: the sample was neither missing nor failed."""
    place = tmp_path / "one"
    for path in (place / "video.mp4", place / "clips" / "0000.mp4", tmp_path / "out" / "report" / "one.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "out" / "result.json").touch()
    decides = {"prompt": "p", "options": {"seed": 7}, "masks": ""}
    (place / "provenance.json").write_text(json.dumps({"decides": decides}))
    assert [item.id for item in read_manifest(tmp_path).items] == ["one"]
    assert [item.id for item in read_manifest(place).items] == ["one"]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    told = f"{name.split('/')[0]!r} is or has a video without a provenance.json (1 in total)"
    with pytest.raises(ConfigError, match=re.escape(told)):
        read_manifest(tmp_path)


def test_generated_videos_say_which_masks_they_were_given(tmp_path: Path) -> None:
    """On two grids, from copies of one file: one sample. Another file, another object of it, or no record: not."""
    given = {
        "a": ({"kind": "masks", "path": "/x/m.masks", "sha256": "1"}, []),
        "copy": ({"kind": "masks", "path": "/y/m.masks", "sha256": "1"}, []),
        "other": ({"kind": "masks", "path": "/x/m.masks", "sha256": "2"}, []),
        "object": ({"kind": "masks", "path": "/x/m.masks", "sha256": "1"}, [1]),
        "sample": ({"kind": "dataset sample", "path": "/d", "key": "k"}, []),
        "moved": ({"kind": "dataset sample", "path": "/e", "key": "k"}, []),
        "silent": ({}, []),
    }
    for name, (masks_from, objects) in given.items():
        decides = {"prompt": "p", "options": {"seed": 7, "objects": objects}, "masks": f"grid {name}"}
        (tmp_path / name).mkdir()
        page = {"decides": decides, "masks_from": masks_from}
        (tmp_path / name / "provenance.json").write_text(json.dumps(page))
    found = {item.id: item.sample_masks_sha256 for item in read_manifest(tmp_path).items}
    assert found["a"] == found["copy"]
    assert found.pop("silent") == ""
    assert len(set(found.values())) == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "a", "promt": "x"}', "promt"),
        ("not json", "line 1: not a JSON object"),
        ('{"id": "a"}\n{"id": "a"}', "'a' occurs 2 times"),
        ("", "no item"),
    ],
)
def test_bad_manifests_say_what_and_where(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(line)
    with pytest.raises(ConfigError, match=told):
        read_manifest(path)


def test_an_empty_folder_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no videos"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a.gif", "'a.gif' is in an unsupported format (1 in total)"),
        ("clip/00001.png", "'clip' is a folder of images (1 in total)"),
        ("more/b.mp4", "'more' is a subfolder with videos (1 in total)"),
        ("more/b.webp", "'more' is a subfolder with videos (1 in total)"),
        ("more/deep/b.mp4", "'more' is a subfolder with videos (1 in total)"),
        ("more/clip/00001.png", "'more' is a folder of images (1 in total)"),
    ],
)
def test_videos_that_would_be_left_out_are_refused(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "one.mp4").touch()
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=re.escape(told)) as seen:
        manifest_of_folder(tmp_path)
    assert "\n" not in str(seen.value)


def test_what_is_no_video_is_nobodys_business(tmp_path: Path) -> None:
    ours = ("out/result.json", "out/report/media/one.mp4")
    for name in ("one.mp4", "one.jpg", "notes.txt", ".hidden.gif", "logs/run.txt", ".cache/x.mp4", *ours):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [item.id for item in manifest_of_folder(tmp_path).items] == ["one"]


def test_names_of_two_machines_are_one_item(tmp_path: Path) -> None:
    """macOS writes e + accent; ids and prompts are composed, and the file is found by either spelling."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (tmp_path / "mac").mkdir()
    (tmp_path / "mac" / f"{decomposed}-0.mp4").touch()
    (item,) = absolute_items(manifest_of_folder(tmp_path / "mac"))
    assert (item.id, item.prompt) == (f"{composed}-0", composed)
    assert Path(item.video).exists()
    (tmp_path / "m.jsonl").write_text(json.dumps({"id": decomposed, "video": f"mac/{composed}-0.mp4"}))
    (item,) = absolute_items(read_manifest(tmp_path / "m.jsonl"))
    assert item.id == composed
    assert Path(item.video).exists()
    (tmp_path / "mac" / f"{composed}-0.mp4").touch()
    with pytest.raises(ConfigError, match="occurs 2 times"):
        manifest_of_folder(tmp_path / "mac")
