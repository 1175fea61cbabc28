"""Every system of an evaluation has a name of its own, or the evaluation is refused in one line."""

from pathlib import Path

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.evaluation.inputs import parse_input, read_inputs
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.systems import load_system


def folder(place: Path, *names: str) -> Path:
    place.mkdir(parents=True)
    for name in names or ("a cat.mp4",):
        (place / name).write_bytes(b"x")
    return place


def test_folders_of_one_base_name_are_refused_and_named(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "a" / "out"), folder(tmp_path / "b" / "out", "a dog.mp4")
    with pytest.raises(ConfigError) as refused:
        read_inputs([str(one), str(two)])
    assert str(refused.value) == (f"{one} and {two}: both would be named 'out'; name the systems: A={one} B={two}")
    items = read_inputs([f"ours={one}", f"theirs={two}"])
    assert [(item.system, item.id, item.video) for item in items] == [
        ("ours", "a cat", str(one / "a cat.mp4")), ("theirs", "a dog", str(two / "a dog.mp4")),
    ]  # fmt: skip
    assert [item.system for item in read_inputs([f"ours={one}", str(two)])] == ["ours", "out"]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["A={one}", "A={two}"], "two inputs are named 'A'"),
        (["A={one}", "B={one}"], "given twice"),
        (["={one}"], "expected NAME=PATH"),
        (["A="], "expected NAME=PATH"),
        (["A={tmp}/nowhere"], "no such manifest"),
        (["A={many}"], r"has 2 systems \(x, y\), so 'A' cannot name it"),
        (["{bare}", "{bare2}"], "neither gives its system a name"),
        (["{one}", "{same}"], "both would be named 'one'"),
        (["{declared}", "{declared2}"], "both have id 'i' in system 's'"),
    ],
)
def test_what_cannot_be_kept_apart_is_refused(tmp_path: Path, texts: list[str], told: str) -> None:
    known = {"tmp": tmp_path, "one": folder(tmp_path / "one"), "two": folder(tmp_path / "two")}
    for name, systems in (
        ("many", ["x", "y"]), ("bare", [""]), ("bare2", [""]), ("same", ["one"]), ("declared", ["s"]),
        ("declared2", ["s"]),
    ):  # fmt: skip
        items = [EvalItem(id="i", system=system, video="v.mp4") for system in systems]
        known[name] = write_manifest(items, tmp_path / f"{name}.jsonl")
    with pytest.raises(ConfigError, match=told) as refused:
        read_inputs([text.format(**known) for text in texts])
    assert "\n" not in str(refused.value)


def test_a_manifest_of_one_system_is_renamed_and_parts_of_a_system_stay_one(tmp_path: Path) -> None:
    one = write_manifest([EvalItem(id="i", system="s", video="v.mp4")], tmp_path / "one.jsonl")
    two = write_manifest([EvalItem(id="j", system="s", video="w.mp4")], tmp_path / "two.jsonl")
    assert [item.system for item in read_inputs([f"A={one}", str(two)])] == ["A", "s"]
    assert [item.system for item in read_inputs([str(one), str(two)])] == ["s", "s"]  # as both manifests say


def test_a_path_with_an_equals_sign_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder(tmp_path / "alpha=1")
    assert parse_input(str(place)) == ("", str(place))
    assert parse_input("runs/alpha=1") == ("", "runs/alpha=1")
    monkeypatch.chdir(tmp_path)
    assert parse_input("alpha=1") == ("", "alpha=1")
    assert parse_input(f"ours={place}") == ("ours", str(place))


def test_a_folder_as_a_system_is_called_as_the_folder(tmp_path: Path) -> None:
    place = folder(tmp_path / "theirs")
    assert load_system("folder", {"folder": {"folder": str(place)}}).name == "theirs"
    assert load_system("folder", {"name": "x", "folder": {"folder": str(place)}}).name == "x"
    with pytest.raises(ConfigError, match="name is empty"):
        load_system("cogvideox-2b", {"name": ""})
