import json
from pathlib import Path

import pytest

from mvideo_core.errors import ConfigError
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
    ("line", "told"),
    [
        ('{"id": "a", "promt": "x"}', "promt"),
        ("not json", "line 1: not a JSON object"),
        ('{"id": "a"}\n{"id": "a"}', "'a' stands 2 times"),
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
