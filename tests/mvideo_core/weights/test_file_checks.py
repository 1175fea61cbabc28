"""What is broken in a whole-repository folder is named by `check` and `list`, and refused where a stage looks."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mvideo_core.base.errors import ModelError
from mvideo_core.cli import weights as weights_commands
from mvideo_core.weights import check, find
from mvideo_core.weights.file_checks import content_problem, folder_problems, needs_of
from mvideo_core.weights.records import Fetched, WeightsFile, write_record
from tests.mvideo_core.weights.loopback_hub import cogvideox, needed, sha256

SHARD = "transformer/diffusion_pytorch_model-00002-of-00002.safetensors"
INDEX = "transformer/diffusion_pytorch_model.safetensors.index.json"
T5_INDEX = "text_encoder/model.safetensors.index.json"
VAE = "vae/diffusion_pytorch_model.safetensors"
SPIECE = "tokenizer/spiece.model"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4971\n"
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A whole cogvideox-5b, copied by hand: no record of a fetch says sizes or digests."""
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    place = tmp_path / "cogvideox-5b"
    for path, content in needed(cogvideox(42)).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    return place


def run(*arguments):
    app = typer.Typer()
    weights_commands.add_to(app)
    return CliRunner().invoke(app, ["weights", *arguments])


def test_a_whole_folder_has_nothing_wrong(folder):
    assert find("cogvideox-5b") == folder
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    n_files = len(needed(cogvideox(42)))
    for name in ("cogvideox-5b", f"{folder}/"):
        states = check(name)
        assert (len(states), {state.problem for state in states}) == (n_files, {""})
    (line,) = [line for line in run("list").output.splitlines() if "cogvideox-5b" in line]
    assert f" {total / 1e6:.1f} MB  unusable (" in line  # whole files, but their tensors are drawn at random


def edited(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


BROKEN = {
    "shard deleted": (SHARD, lambda p: p.unlink(), "missing"),
    "shard cut off": (SHARD, lambda p: p.write_bytes(p.read_bytes()[:-1]), r"truncated: 288\d{3} bytes, expected 288"),
    "shard cut in its header": (SHARD, lambda p: p.write_bytes(p.read_bytes()[:60]), "truncated inside its header: 60"),
    "shard is a pointer": (SHARD, lambda p: p.write_bytes(LFS), "a Git LFS pointer of 69 bytes instead of"),
    "shard is a web page": (SHARD, lambda p: p.write_bytes(HTML), r"a web page \(HTML, 49 bytes\) instead of"),
    "shard of another model": (
        SHARD,
        lambda p: p.write_bytes((p.parent / SHARD.replace("00002-", "00001-").split("/")[1]).read_bytes()),
        r"lacks 3 tensors that diffusion_pytorch_model\.safetensors\.index\.json names, such as block\.2\.0\.weight",
    ),
    "index deleted": (INDEX, lambda p: p.unlink(), "missing"),
    "index without a map": (INDEX, lambda p: p.write_text("{}"), "not an index of safetensors files"),
    "index leads outside": (
        INDEX,
        lambda p: p.write_text('{"weight_map": {"a": "../../secret.safetensors"}}'),
        "not an index of safetensors files",
    ),
    "index is garbage": (T5_INDEX, lambda p: p.write_text('{"weight_map": '), r"not JSON \(Expecting value"),
    "VAE deleted": (VAE, lambda p: p.unlink(), "missing"),
    "VAE empty": (VAE, lambda p: p.write_bytes(b""), "empty"),
    "VAE is a zip": (VAE, lambda p: p.write_bytes(b"PK\3\4" + b"\xff" * 99), r"not a safetensors file \(103 bytes\)"),
    "VAE link is broken": (VAE, lambda p: (p.unlink(), p.symlink_to("/gone/blob")), "a link to /gone/blob, which does"),
    "spiece.model deleted": (SPIECE, lambda p: p.unlink(), "missing"),
    "spiece.model is a pointer": (SPIECE, lambda p: p.write_bytes(LFS), "a Git LFS pointer"),
    "model_index.json is a web page": ("model_index.json", lambda p: p.write_bytes(HTML), "a web page"),
    "config.json cut off": ("text_encoder/config.json", lambda p: p.write_text('{"model_type": "t5"'), "not JSON"),
    "tokenizer extra is a web page": ("tokenizer/special_tokens_map.json", lambda p: p.write_bytes(HTML), "a web page"),
    "another model in the folder": (
        "transformer/config.json",
        lambda p: edited(p, lambda content: content | {"num_layers": 30}),
        "num_layers is 30, expected 42: the folder does not hold cogvideox-5b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_folders_are_named_by_check_and_list_and_refused(folder, kind):
    name, damage, pattern = BROKEN[kind]
    damage(folder / name)
    said = run("check", "cogvideox-5b")
    assert said.exit_code == 1
    (line,) = [line for line in said.output.splitlines() if line.startswith(f"{folder / name}: ")]
    assert_matches(line, pattern)
    assert "files are missing or damaged; run `mvideo weights fetch cogvideox-5b`" in said.output
    listed = run("list")
    assert listed.exit_code == 1
    (line,) = [line for line in listed.output.splitlines() if "cogvideox-5b" in line]
    assert_matches(line, rf"files missing or damaged \({name}: ")
    assert "0.0 MB" not in line
    with pytest.raises(ModelError) as caught:
        find("cogvideox-5b")
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind != "another model in the folder"])
def test_a_folder_outside_the_catalog_is_looked_at_alike(folder, kind):
    name, damage, pattern = BROKEN[kind]
    damage(folder / name)
    said = run("check", f"{folder.parent}/cogvideox-5b")
    assert said.exit_code == 1
    (line,) = [line for line in said.output.splitlines() if line.startswith(f"{folder / name}: ")]
    assert_matches(line, pattern)


def test_folders_that_are_no_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"has neither model_index\.json .* nor config\.json"):
        check(str(tmp_path))
    with pytest.raises(ModelError, match="no folder"):
        check(f"{tmp_path}/none")


def test_a_folder_of_transformers_needs_its_weights(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "sam2_video"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"PK")
    assert folder_problems(tmp_path, needs_of(tmp_path)) == {"config.json": "", "model.safetensors": "missing"}


def test_a_checkpoint_of_the_wrong_size_is_refused_where_it_is_used(tmp_path, monkeypatch):
    """A SAM2 file of 156 MB of which 5 bytes are here: named with both sizes, and no stage loads it."""
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    (tmp_path / "sam2.1-hiera-tiny").mkdir()
    path = tmp_path / "sam2.1-hiera-tiny/sam2.1_hiera_tiny.pt"
    path.write_bytes(b"PK\3\4x")
    with pytest.raises(ModelError, match=r"hiera_tiny\.pt is unusable: 5 bytes, expected 156008466\. Run"):
        find("sam2.1-hiera-tiny", "segmenter")
    assert "(sam2.1_hiera_tiny.pt: 5 bytes, expected 156008466)" in run("list").output


def test_other_weights_under_a_name_need_a_record_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    (tmp_path / "sam2.1-hiera-tiny").mkdir()
    (tmp_path / "sam2.1-hiera-tiny/sam2.1_hiera_tiny.pt").write_bytes(b"PK\3\4x")
    file = WeightsFile(path="sam2.1_hiera_tiny.pt", size_bytes=5, sha256=sha256(b"PK\3\4x"))
    record = Fetched(repository="drawn by a test", revision="1", commit="1", files=[file])
    write_record(tmp_path / "sam2.1-hiera-tiny", record)
    assert find("sam2.1-hiera-tiny") == tmp_path / "sam2.1-hiera-tiny"
    said = run("check", "sam2.1-hiera-tiny")
    assert "fetched.json: drawn by a test at 1" in said.output
    assert said.exit_code == 0
    (tmp_path / "sam2.1-hiera-tiny/sam2.1_hiera_tiny.pt").write_bytes(b"PK\3\4y")
    assert run("check", "sam2.1-hiera-tiny").exit_code == 1


@pytest.mark.parametrize("folder_name", ["base", "groundingdino", "sam2", "viclip", "imaging"])
def test_shipped_files_are_whole(folder_name):
    import mvideo_core.weights

    shipped = Path(mvideo_core.weights.__file__).parent / "mini" / folder_name
    assert {content_problem(path) for path in shipped.rglob("*") if path.is_file()} == {""}


def assert_matches(text, pattern):
    import re

    assert re.search(pattern, text), text
