"""Other programs find every layer of an exported adapter, add it at its strength, and give our model's output."""

import copy
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from benchmarks import adapter_keys
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cli.main import app
from mvideo_core.cogvideox.adapter import LoraOptions, add_lora, list_trainable, save_adapter
from mvideo_core.cogvideox.adapter_export import TARGETS, export_adapter
from mvideo_core.cogvideox.adapter_files import CONFIG_FILE, LORA_FILE
from mvideo_core.cogvideox.adapter_header import CardOptions
from mvideo_core.cogvideox.base import random_base
from tests.mvideo_core.cogvideox.adapter_readers import (
    READERS,
    comfyui_wrapper,
    read,
    strength,
    underscored,
    videox_fun,
)
from tests.mvideo_core.cogvideox.conftest import Inputs

ROOT = Path(__file__).parents[3]
RANK, ALPHA = 4, 2
WIDE = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2")
"""Names with numbers, dots and two levels."""


def output(transformer, inputs: Inputs):
    with torch.no_grad():
        return transformer(inputs.latents, inputs.text, inputs.timestep).sample


@pytest.fixture
def plain(size: str):
    """The base without adapters."""
    return random_base(size, parts=("transformer",)).transformer


@pytest.fixture
def adapter(size: str, tmp_path):
    """A transformer with random adapters, and the folder they are saved in."""
    base = random_base(size, parts=("transformer",))
    add_lora(base.transformer, LoraOptions(rank=RANK, alpha=ALPHA, target_modules=WIDE))
    for value in list_trainable(base.transformer).values():
        torch.nn.init.normal_(value, std=0.1, generator=torch.manual_seed(1))
    save_adapter(tmp_path / "adapter", base.transformer, base.format)
    return base.transformer, tmp_path / "adapter"


def merged(plain, added):
    """A copy of the base with a reader's weights added."""
    whole = copy.deepcopy(plain)
    with torch.no_grad():
        for layer, delta in added.items():
            whole.get_submodule(layer).weight += delta
    return whole


@pytest.mark.parametrize("name", READERS)
def test_a_reader_finds_every_layer_and_gives_our_output(name, adapter, plain, inputs: Inputs, tmp_path):
    trained, folder = adapter
    target, reader = READERS[name]
    made = export_adapter(folder, target, tmp_path / "out.safetensors")
    added = read(made.path, reader, plain)
    # 2 blocks of 4 projections and 2 feed-forward layers
    assert len(added) == made.layers == 12
    theirs, ours = output(merged(plain, added), inputs), output(trained, inputs)
    assert torch.allclose(theirs, ours, atol=1e-5)
    assert not torch.allclose(output(plain, inputs), ours, atol=1e-2)
    for module, delta in added.items():
        layer = trained.get_submodule(module)
        expected = ALPHA / RANK * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        assert torch.allclose(delta, expected, atol=1e-6)


def test_why_an_export_is_needed(adapter, plain):
    """VideoX-Fun finds nothing in diffusers' names, and without the prefix and an alpha it adds rank / alpha times."""
    _, folder = adapter
    written = load_file(folder / LORA_FILE)
    assert videox_fun(written, plain) == {}
    without_prefix = {name.removeprefix("transformer."): value for name, value in written.items()}
    twice = videox_fun(without_prefix, plain)
    right = {layer: delta / (RANK / ALPHA) for layer, delta in twice.items()}
    assert len(twice) == 12
    assert strength(twice, right) == pytest.approx(2)
    with pytest.raises(AssertionError, match="goes to diffusers"):
        comfyui_wrapper(written, plain)


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_adapter_gives_the_same_file(target, adapter, tmp_path):
    _, folder = adapter
    files = {export_adapter(folder, target, tmp_path / f"{n}.safetensors").path.read_bytes() for n in range(4)}
    assert len(files) == 1
    assert all(underscored(name) for name in load_file(tmp_path / "0.safetensors"))


def test_the_header_says_what_it_is(adapter, tmp_path):
    _, folder = adapter
    card = CardOptions(title="Kites", license="Apache-2.0", trigger="a red kite")
    made = export_adapter(folder, "kohya", tmp_path / "k.safetensors", card)
    with safe_open(made.path, "np") as file:
        header = file.metadata()
    assert header["modelspec.title"] == header["ss_output_name"] == "Kites"
    assert header["modelspec.license"] == "Apache-2.0"
    assert header["modelspec.trigger_phrase"] == "a red kite"
    assert header["modelspec.resolution"] == "64x32"
    assert (header["ss_network_dim"], header["ss_network_alpha"]) == ("4", "2")
    assert header["ss_network_module"] == "networks.lora"
    assert header["modelspec.hash_sha256"] == "0x" + header["sshs_model_hash"]


def test_what_a_target_cannot_load_is_one_line(adapter, tmp_path):
    _, folder = adapter
    out = tmp_path / "out.safetensors"
    done = CliRunner().invoke(app, ["adapter", "export", str(folder), "--for", "videox-fun", "--out", str(out)])
    assert done.exit_code == 0
    assert done.stdout == f"{out}: 12 layers, rank 4, alpha 2, for VideoX-Fun\n"
    (line,) = done.stderr.splitlines()
    assert line.startswith("mvideo_conditioning.safetensors is not included: VideoX-Fun does not support mask_proj")
    shown = CliRunner().invoke(app, ["adapter", "show", str(out)])
    assert "ss_network_alpha: '2'" in shown.stdout


def test_a_plain_lora_without_settings_has_its_rank_as_alpha(adapter, plain, tmp_path):
    """As in diffusers, which scales such a file by 1."""
    _, folder = adapter
    save_file(load_file(folder / LORA_FILE), tmp_path / "plain.safetensors")
    made = export_adapter(tmp_path / "plain.safetensors", "videox-fun", tmp_path / "out.safetensors")
    assert (made.alpha, made.left_out) == (RANK, "")
    with safe_open(made.path, "np") as file:
        header = file.metadata()
    assert header["modelspec.architecture"] == "cogvideox/lora"
    assert "modelspec.resolution" not in header


def test_half_a_pair_is_refused(adapter, tmp_path):
    _, folder = adapter
    tensors = load_file(folder / LORA_FILE)
    del tensors["transformer.transformer_blocks.1.attn1.to_k.lora_B.weight"]
    save_file(tensors, tmp_path / "half.safetensors")
    with pytest.raises(
        ModelError, match=r"half\.safetensors: transformer\.transformer_blocks\.1\.attn1\.to_k; expected pairs of"
    ):
        export_adapter(tmp_path / "half.safetensors", "kohya", tmp_path / "out.safetensors")


def test_the_table_in_the_docs_is_what_the_command_prints(capsys):
    assert adapter_keys.main() == 0
    assert capsys.readouterr().out in (ROOT / "docs" / "results" / "accuracy.md").read_text(encoding="utf-8")


def noted(folder, **settings):
    """Rewrite the LoRA file with other settings in its header."""
    path = folder / LORA_FILE
    tensors = load_file(path)
    with safe_open(path, "np") as file:
        header = file.metadata()
    known = json.loads(header["lora_adapter_metadata"])
    known |= {f"transformer.{name}": value for name, value in settings.items()}
    save_file(tensors, path, header | {"lora_adapter_metadata": json.dumps(known)})


REFUSED = {
    "another program": (lambda folder: None, "out.safetensors", "a1111", ConfigError, "use one of: videox-fun"),
    "another ending": (lambda folder: None, "out.ckpt", "kohya", ConfigError, r"must end with \.safetensors"),
    "rank-stabilized": (
        lambda folder: noted(folder, use_rslora=True), "out.safetensors", "kohya", ModelError, "use_rslora is True",
    ),
    "alpha by layer": (
        lambda folder: noted(folder, alpha_pattern={"to_q": 8}), "out.safetensors", "kohya", ModelError,
        "alpha_pattern is",
    ),
    "mixed files": (
        lambda folder: noted(folder, lora_alpha=8), "out.safetensors", "kohya", ModelError, r"alpha 8\.?0? in its",
    ),
    "a file is gone": (
        lambda folder: (folder / CONFIG_FILE).unlink(), "out.safetensors", "kohya", ModelError, "is missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_is_refused(case, adapter, tmp_path):
    change, out, target, kind, words = REFUSED[case]
    _, folder = adapter
    change(folder)
    with pytest.raises(kind, match=words):
        export_adapter(folder, target, tmp_path / out)
    assert not (tmp_path / out).exists()


def test_a_file_that_is_there_is_kept(adapter, tmp_path):
    _, folder = adapter
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match="already exists; use another name, or --overwrite"):
        export_adapter(folder, "kohya", out)
    assert out.read_bytes() == b"mine"
    export_adapter(folder, "kohya", out, overwrite=True)
    (n_bytes,) = struct.unpack("<Q", out.read_bytes()[:8])
    assert json.loads(out.read_bytes()[8 : 8 + n_bytes])["__metadata__"]["ss_network_dim"] == "4"
