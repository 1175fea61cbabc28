"""`generate --adapter`: what is refused, in one line and before the base is loaded; what a path may lead to."""

import hashlib
import json
import logging
import shutil
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cli.main import main
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable, save_adapter
from mvideo_core.cogvideox.adapter_files import CONDITIONING_FILE, CONFIG_FILE, LORA_FILE, adapter_for, find_adapter
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base, save_base
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.generation.loading import load_pipeline
from tests.mvideo_core.generation.conftest import TINY, tiny_adapter
from tests.mvideo_core.weights.conftest import hub
from tests.mvideo_core.weights.loopback_hub import Repo

__all__ = ["hub"]

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4971\n"


def lora(edit):
    """Change the LoRA's tensors; metadata stay."""

    def change(folder):
        path = folder / LORA_FILE
        with safe_open(path, "pt") as file:
            noted = file.metadata()
        values = load_file(path)
        save_file(edit(values) or values, path, metadata=noted)

    return change


def halved(values):
    for name in sorted(values)[::2]:
        del values[name]


def layers_of_30(values):
    for name in list(values):
        for n in range(2, 30):
            values[name.replace("blocks.0.", f"blocks.{n}.")] = values[name].clone()


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def poisoned(values):
    values[sorted(values)[0]].view(-1)[5] = float("nan")


def set_config(**values):
    def change(folder):
        path = folder / CONFIG_FILE
        record = json.loads(path.read_text())
        for part, fields in values.items():
            record[part] |= fields
        path.write_text(json.dumps(record))

    return change


BROKEN = {
    "config missing": (
        lambda f: (f / CONFIG_FILE).unlink(), 1,
        f"{CONFIG_FILE} is missing; {LORA_FILE} and {CONDITIONING_FILE} are there"),
    "conditioning missing": (lambda f: (f / CONDITIONING_FILE).unlink(), 1, f"{CONDITIONING_FILE} is missing"),
    "LoRA missing": (lambda f: (f / LORA_FILE).unlink(), 1, f"{LORA_FILE} is missing"),
    "half of the tensors": (lora(halved), 1, "8 of 16 tensors are missing, such as transformer.transformer_blocks.0."),
    "30 layers over 2": (
        lora(layers_of_30), 1, "16 of 240 of its tensors belong to a layer of the model, transformer."),
    "30 layers by its config": (set_config(base={"num_layers": 30}), 2, "num_layers: 30, the model has 2"),
    "no key that matches": (
        lora(lambda v: {f"unet.{n}": t for n, t in v.items()}), 1, "none of its tensors belong to a layer"),
    "another rank": (
        set_config(lora={"rank": 8}), 1, "has A and B of shape [4, 32] and [32, 4]; expected [8, 32] and [32, 8]"),
    "another alpha": (set_config(lora={"alpha": 64}), 1, "alpha 2 in its metadata, 64 in mvideo_config.json"),
    "LFS pointer": (lambda f: (f / LORA_FILE).write_bytes(LFS), 1, f"{LORA_FILE}: a Git LFS pointer of 69 bytes"),
    "conditioning cut off": (lambda f: cut(f / CONDITIONING_FILE), 1, f"{CONDITIONING_FILE}: truncated: "),
    "LoRA cut off": (lambda f: cut(f / LORA_FILE), 1, f"{LORA_FILE}: truncated: "),
    "LoRA empty": (lambda f: (f / LORA_FILE).write_bytes(b""), 1, f"{LORA_FILE}: empty"),
    "config is garbage": (lambda f: (f / CONFIG_FILE).write_text("{"), 1, f"{CONFIG_FILE}: not JSON"),
    "NaN": (lora(poisoned), 1, "has non-finite values (NaN or infinity); use another"),
    "LoRA of another run": (lora(lambda v: {n: t + 1 for n, t in v.items()}), 1, "sha256 of its tensors is "),
    "folder without an adapter": (
        lambda f: [path.unlink() for path in f.iterdir()], 1, f"no {LORA_FILE} here or in adapter/"),
    "nothing there": (shutil.rmtree, 2, "no such file or folder; use a training output folder"),
}  # fmt: skip


def write_bases(place):
    """Two tiny bases of the same shape, and one with its transformer's weights gone."""
    for seed in (0, 1):
        save_base(random_base("tiny-sincos", seed), place / f"base{seed}")
    shutil.copytree(place / "base0", place / "gone")
    (place / "gone/transformer/diffusion_pytorch_model.safetensors").unlink()


def write_adapter(bases):
    """An adapter over the first base; its folder."""
    loaded = load_base(BaseOptions(weights=str(bases / "base0"), dtype="fp32"), parts=("transformer",))
    add_lora(loaded.transformer, LoraOptions(rank=4, alpha=2))
    for value in list_trainable(loaded.transformer).values():
        torch.nn.init.normal_(value, std=0.1, generator=torch.manual_seed(2))
    save_adapter(bases / "adapter", loaded.transformer, loaded.format)
    return bases / "adapter"


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """The bases on disk."""
    place = tmp_path_factory.mktemp("bases")
    write_bases(place)
    return place


@pytest.fixture(scope="module")
def whole(bases):
    """The adapter."""
    return write_adapter(bases)


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it to break."""
    return shutil.copytree(whole, tmp_path / "adapter")


@pytest.fixture
def mvideo(monkeypatch, capsys):
    """The command line in this process: (exit code, what it said)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mvideo", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        said = capsys.readouterr()
        return caught.value.code, said.out + said.err

    return run


@pytest.mark.parametrize("kind", BROKEN)
def test_each_fault_is_one_line_before_the_base_is_loaded(mvideo, bases, folder, tmp_path, kind):
    """The base is broken, too: a message about the adapter shows that nothing of the base was read before."""
    damage, code, words = BROKEN[kind]
    damage(folder)
    started = time.monotonic()
    seen, said = mvideo(
        "generate", "--out", tmp_path / "out", "--prompt", "a kite", "--base", bases / "gone", "--adapter", folder
    )
    assert seen == code, said
    assert words in said
    assert str(folder) in said
    assert len(said.strip().splitlines()) == 1, said
    assert not [word for word in ("Traceback", "safe to ignore", "weights_only", "Repo id") if word in said]
    assert not (tmp_path / "out").exists()
    assert time.monotonic() - started < 60


def test_a_hub_id_is_not_guessed_from_a_path(mvideo, bases, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = ("generate", "--out", tmp_path / "out", "--prompt", "a kite", "--base", bases / "base0", "--adapter")
    code, said = mvideo(*common, "runs/adapter")
    assert (code, "adapter: runs/adapter: no such file or folder" in said) == (2, True)
    code, said = mvideo(*common, "hub:owner/name")
    assert (code, "there is no commit; write hub:owner/name@COMMIT" in said) == (2, True)


def test_an_adapter_that_changed_in_its_checkpoint_is_passed_over_or_refused(whole, tmp_path, caplog):
    run = tmp_path / "run"
    for step in (10, 20):
        folder = run / f"checkpoints/step-{step:08d}"
        shutil.copytree(whole, folder / "adapter")
        known = {
            f"adapter/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in (folder / "adapter").iterdir()
        }
        (folder / "state.json").write_text(json.dumps({"sha256": known}))
    newest, config = folder, folder / "adapter" / CONFIG_FILE
    assert find_adapter(run).folder == newest / "adapter"
    config.write_text(config.read_text().replace('"fps": 8', '"fps": 9'))
    assert find_adapter(run).folder == run / "checkpoints/step-00000010/adapter"
    assert f"{config} has changed since its checkpoint was written; using the previous checkpoint" in caplog.text
    for given in (newest, newest / "adapter"):
        with pytest.raises(ModelError, match=r"mvideo_config\.json has changed .*; use the previous checkpoint"):
            find_adapter(given)


def test_checkpoint_and_run_folders_are_understood(whole, tmp_path, caplog):
    run = tmp_path / "run"
    for step in (5, 20, 30):
        shutil.copytree(whole, run / f"checkpoints/step-{step:08d}/adapter")
        if step != 30:  # half-written
            (run / f"checkpoints/step-{step:08d}/state.json").write_text("{}")
    newest = run / "checkpoints/step-00000020"
    with caplog.at_level(logging.INFO):
        assert find_adapter(run).folder == newest / "adapter"
    assert "taking checkpoints/step-00000020/adapter" in caplog.text
    assert find_adapter(newest).folder == newest / "adapter"
    assert find_adapter(newest / "adapter" / LORA_FILE) == find_adapter(newest / "adapter")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").mkdir()
    with pytest.raises(ModelError, match="a run folder without a complete checkpoint"):
        find_adapter(run)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
def test_another_base_is_refused_unless_allowed(bases, whole, tmp_path, part, caplog):
    """Of the second base's parts one is exchanged at a time; the message names it."""
    mixed = shutil.copytree(bases / "base0", tmp_path / "mixed")
    shutil.rmtree(mixed / part)
    shutil.copytree(bases / "base1" / part, mixed / part)
    base = BaseOptions(weights=str(mixed), dtype="fp32")
    words = {"transformer": "base weights", "vae": "VAE weights", "text_encoder": "text encoder weights"}[part]
    with pytest.raises(ModelError, match=f"trained with different {words} .*--allow-other-base"):
        load_pipeline(base, str(whole))
    assert load_pipeline(base, str(whole), allow_other_base=True).adapter_sha256
    assert f"trained with different {words}" in caplog.text


def test_a_plain_lora_is_taken_but_sees_no_masks(whole, tmp_path):
    file = shutil.copy(whole / LORA_FILE, tmp_path / "mine.safetensors")
    loaded = load_pipeline(TINY, str(file))
    (config,) = loaded.pipeline.transformer.peft_config.values()
    assert (config.r, config.lora_alpha) == (4, 2)
    assert load_pipeline(TINY, str(tmp_path)).adapter_sha256 == loaded.adapter_sha256
    with pytest.raises(ConfigError, match="is a plain LoRA: random:tiny-sincos alone ignores masks"):
        load_pipeline(TINY, str(file), masks=True)


def test_masks_without_an_adapter_are_refused(mvideo, bases, square, tmp_path):
    masks = save_masks(tmp_path / "square.masks", square, 8.0)
    for base, own in (("random:tiny-sincos", ()), (bases / "base0", ()), ("mini", ("--adapter", "none"))):
        code, said = mvideo(
            "generate", "--out", tmp_path / "out", "--prompt", "a kite", "--masks", masks, "--base", base, *own
        )
        assert code == 2
        assert f"there are masks, but there is no adapter: {base} alone ignores masks" in said


def test_an_adapter_of_random_weights_fits(tmp_path: Path):
    assert load_pipeline(TINY, str(tiny_adapter(tmp_path / "adapter")), masks=True).adapter_sha256


def test_an_adapter_of_the_hub_at_a_commit(hub, whole):
    commit = "5b" * 20
    held = {path.name: path.read_bytes() for path in whole.iterdir()}
    hub.repos["me/kites"] = Repo(commit, held | {"README.md": b"# kites", "other.bin": b"no"})
    files = find_adapter(f"hub:me/kites@{commit}")
    assert (files.ours, files.lora.read_bytes()) == (True, held[LORA_FILE])
    assert {path.name for path in files.folder.iterdir()} == {*held, "fetched.json"}
    asked = len(hub.requests)
    assert find_adapter(f"hub:me/kites@{commit}") == files
    assert len(hub.requests) == asked, "a whole adapter needs no network"
    hub.repos["me/plain"] = Repo(commit, {LORA_FILE: held[LORA_FILE]})
    assert not find_adapter(f"hub:me/plain@{commit}").ours
    hub.repos["me/empty"] = Repo(commit, {"README.md": b"# nothing"})
    for given, error, said in (
        ("hub:me/kites", ConfigError, "there is no commit; write hub:me/kites@COMMIT"),
        ("hub:me/kites@main", ConfigError, "'main' may move; write hub:me/kites@COMMIT"),
        ("hub:kites", ConfigError, "expected hub:owner/name@COMMIT"),
        (f"hub:me/empty@{commit}", ModelError, f"lacks {LORA_FILE}"),
        (f"hub:me/absent@{commit}", ModelError, "shows no repository me/absent"),
    ):
        with pytest.raises(error, match=said):
            find_adapter(given)


def test_the_mini_base_brings_its_own_adapter(mvideo, square, tmp_path, caplog):
    masks = save_masks(tmp_path / "square.masks", square, 8.0)
    assert (adapter_for("mini"), adapter_for("cogvideox-mini")) == ("mvideo-mini", "mvideo-mini")
    assert (adapter_for("cogvideox-2b"), adapter_for("random:mini"), adapter_for("./mini")) == ("", "", "")
    request = ("--prompt", "a kite", "--masks", masks, "--steps", "1")
    caplog.set_level(logging.INFO)
    for folder, adapter in (("own", ()), ("named", ("--adapter", "mvideo-mini"))):
        code, said = mvideo("generate", "--out", tmp_path / folder, *request, *adapter)
        assert code == 0, said
        assert ("adapter: mvideo-mini, the default for this base" in caplog.text) == (folder == "own")
        caplog.clear()
    made = [json.loads((tmp_path / folder / "provenance.json").read_text()) for folder in ("own", "named")]
    assert made[0]["decides"]["adapter_sha256"] == made[1]["decides"]["adapter_sha256"] != ""
