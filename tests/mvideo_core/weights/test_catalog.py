"""Names, places and messages of the weights catalog."""

import re
from urllib.parse import urlparse

import pytest
import typer
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cli import weights as weights_commands
from mvideo_core.weights import check, entries, entry, find, weights_dir


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))


def test_entries_are_complete():
    names = [item.name for item in entries()]
    assert {"groundingdino-mini", "groundingdino-swint-ogc", "groundingdino-swinb-cogcoor"} <= set(names)
    assert {f"sam2.1-hiera-{size}" for size in ("tiny", "small", "base-plus", "large")} <= set(names)
    for item in entries():
        for file in item.files:
            assert not file.path.startswith("/")
            assert ".." not in file.path
            assert file.sha256 is None or len(file.sha256) == 64
            assert file.pinned_by or item.shipped or (file.sha256, file.size_bytes) == (None, None), (
                f"{item.name}: {file.path} has a figure without a source"
            )
            assert not file.url or urlparse(file.url).scheme == "https"
            assert item.shipped or item.repository or file.url or file.text is not None, (
                f"{item.name}: no way to get {file.path}"
            )
        if item.repository:
            commit = re.fullmatch("[0-9a-f]{40}", item.repository.revision)
            assert bool(commit) == bool(item.repository.revision_by), f"{item.name}: a commit needs its source"
            assert commit or item.repository.revision == "main"


def test_alias_needs_its_kind():
    assert entry("mini", kind="detector").name == "groundingdino-mini"
    assert entry("swint-ogc").name == "groundingdino-swint-ogc"
    with pytest.raises(ConfigError, match=r"'swin-x' is not a detector in the weights catalog; .*groundingdino-mini"):
        entry("swin-x", kind="detector")


def test_absent_weights_say_what_whence_and_where(tmp_path):
    with pytest.raises(ModelError) as caught:
        find("swint-ogc", kind="detector")
    text = str(caught.value)
    assert str(tmp_path / "groundingdino-swint-ogc" / "groundingdino_swint_ogc.pth") in text
    assert "(694 MB, from https://github.com/IDEA-Research/" in text
    assert "mvideo weights fetch groundingdino-swint-ogc" in text


def test_present_weights_are_found_and_checked(tmp_path):
    folder = tmp_path / "groundingdino-swint-ogc"
    (folder / "bert").mkdir(parents=True)
    for name in ("groundingdino_swint_ogc.pth", "bert/vocab.txt", "config.json"):
        (folder / name).write_bytes(b"12345")
    with pytest.raises(ModelError, match=r"swint_ogc\.pth is unusable: 5 bytes, expected 693997677\. Run"):
        find("swint-ogc")
    problems = {state.path.name: state.problem for state in check("swint-ogc")}
    assert problems["groundingdino_swint_ogc.pth"] == "5 bytes, expected 693997677"
    assert problems["vocab.txt"] == "5 bytes, expected 231508"
    assert problems["config.json"] == "not a JSON object (int)"
    (folder / "config.json").write_text('{"embed_dim": 1}')
    assert check("swint-ogc")[2].problem == "not the content that this project writes"
    (folder / "config.json").write_text("{}\n")
    assert [state.problem for state in check("swint-ogc")][2] == ""
    assert [state.problem for state in check("sam2.1-hiera-tiny")] == ["missing"]


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert find(str(tmp_path)) == tmp_path
    with pytest.raises(ModelError, match="no folder"):
        find(str(tmp_path / "none"))


def test_default_place(monkeypatch):
    monkeypatch.delenv("MVIDEO_WEIGHTS")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(weights_dir()) == "/home/somebody/.cache/mvideo/weights"


def test_files_without_a_known_digest_are_called_so(tmp_path):
    states = {state.path.name: state for state in check("amt-s")}
    assert {state.problem for state in states.values()} == {"missing"}
    assert {state.pinned for state in check("swint-ogc")} == {True}
    assert not states["amt-s.pth"].pinned
    (tmp_path / "amt-s").mkdir()
    (tmp_path / "amt-s/amt-s.pth").write_bytes(b"1")
    said = CliRunner().invoke(command(), ["weights", "check", "amt-s"])
    assert said.exit_code == 0
    assert said.output.count("complete (no known digest, content not compared)") == 1


def command():
    app = typer.Typer()
    weights_commands.add_to(app)
    return app


def test_gated_weights_say_so_with_their_license(tmp_path):
    shown = CliRunner().invoke(weights_commands.weights_app, ["list"]).output
    lines = {line.split()[1]: line for line in shown.splitlines() if line.startswith("segmenter")}
    assert lines["sam3"].endswith("SAM License, gated")
    assert lines["edgetam"].endswith("not here  Apache-2.0")
    with pytest.raises(ModelError) as caught:
        find("sam3", kind="segmenter")
    assert str(caught.value).endswith(
        ". It is gated (SAM License): first accept its terms at https://huggingface.co/facebook/sam3 and set HF_TOKEN"
    )
    with pytest.raises(ModelError) as caught:
        find("edgetam", kind="segmenter")
    assert "It is gated" not in str(caught.value)
