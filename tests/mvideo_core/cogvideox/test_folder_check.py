"""A tiny CogVideoX folder, broken in many ways: each is named in one line, by `weights check` and before loading."""

import json
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mvideo_core.base.errors import ModelError
from mvideo_core.cli import weights as weights_commands
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base, save_base
from mvideo_core.cogvideox.expected import compute_shapes
from mvideo_core.cogvideox.folder_check import model_problems
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.generation.request import GenerateRequest, generate

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
T5 = "text_encoder/model.safetensors"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4971\n"
HTML = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>"
ADVICE = ("tiktoken", "weights_only", "ignore", "pip install", "pickle", "trust_remote_code", "Traceback")


def config(part, **values):
    def change(folder):
        path = folder / part
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def content(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def tensors(name, edit):
    def change(folder):
        held = load_file(folder / name)
        edit(held)
        save_file(held, folder / name)

    return change


def poison(held, name, place):
    held[name].view(-1)[place] = float("nan")


def other_vae(folder):
    """A whole VAE of 8 latent channels, as its own configuration says."""
    from diffusers import AutoencoderKLCogVideoX

    shutil.rmtree(folder / "vae")
    AutoencoderKLCogVideoX(**(SIZES["tiny-sincos"].vae | {"latent_channels": 8})).save_pretrained(folder / "vae")


def other_text_encoder(folder):
    """A whole T5 of another width."""
    from transformers import T5Config, T5EncoderModel

    shutil.rmtree(folder / "text_encoder")
    plan = SIZES["tiny-sincos"].text_encoder | {"vocab_size": 994, "d_model": 24}
    T5EncoderModel(T5Config(**plan)).save_pretrained(folder / "text_encoder")


def words_gone(folder):
    """A tokenizer.json of special tokens only: every word becomes <unk>."""
    path = folder / "tokenizer" / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["model"]["vocab"] = whole["model"]["vocab"][:4]
    path.write_text(json.dumps(whole))


BROKEN = {
    "tokenizer gone": (lambda f: (f / "tokenizer/tokenizer.json").unlink(), r"tokenizer/spiece\.model: missing"),
    "spiece.model is a pointer": (
        lambda f: ((f / "tokenizer/tokenizer.json").unlink(), (f / "tokenizer/spiece.model").write_bytes(LFS)),
        r"tokenizer/spiece\.model: a Git LFS pointer of 69 bytes",
    ),
    "spiece.model is garbage": (
        lambda f: ((f / "tokenizer/tokenizer.json").unlink(), (f / "tokenizer/spiece.model").write_bytes(b"\x07" * 99)),
        r"tokenizer/spiece\.model: no SentencePiece model; copy|tokenizer/spiece\.model: no SentencePiece model$",
    ),
    "tokenizer without words": (words_gone, r"tokenizer: 'a red kite over a meadow' becomes the tokens \["),
    "tokenizer larger than the table": (
        lambda f: (
            config("text_encoder/config.json", vocab_size=500)(f),
            tensors(T5, lambda held: held.update({"shared.weight": held["shared.weight"][:500].clone()}))(f),
        ),
        r"tokenizer: 994 tokens, vocab_size of text_encoder/config\.json is 500",
    ),
    "NaN in the transformer": (
        tensors(TRANSFORMER, lambda held: poison(held, "proj_out.weight", 3)),
        r"tensor proj_out\.weight has non-finite values",
    ),
    "NaN in the VAE": (
        tensors(VAE, lambda held: poison(held, "decoder.conv_out.conv.bias", 1)),
        r"tensor decoder\.conv_out\.conv\.bias has non-finite values",
    ),
    "NaN in T5": (
        tensors(T5, lambda held: poison(held, "shared.weight", -1)),
        r"tensor shared\.weight has non-finite values",
    ),
    "T5 tensor missing": (
        tensors(T5, lambda held: held.pop("encoder.final_layer_norm.weight")),
        r"do not match text_encoder/config\.json: 1 missing, such as encoder\.final_layer_norm\.weight",
    ),
    "T5 layers without tensors": (
        config("text_encoder/config.json", num_layers=3),
        r"18 missing, such as encoder\.block\.1\..* \(1 layers found, num_layers is 3\)",
    ),
    "T5 of another width": (other_text_encoder, r"text_embed_dim is 32, d_model of text_encoder/config\.json is 24"),
    "T5 is a pointer": (content(T5, LFS), r"model\.safetensors: a Git LFS pointer"),
    "T5 is a web page": (content(T5, HTML), r"model\.safetensors: a web page"),
    "T5 cut off": (lambda f: (f / T5).write_bytes((f / T5).read_bytes()[:-9]), r"model\.safetensors: truncated"),
    "VAE of 8 channels": (other_vae, r"in_channels is 16, latent_channels of vae/config\.json is 8"),
    "one tensor missing": (
        tensors(TRANSFORMER, lambda held: held.pop("norm_out.norm.weight")),
        r"do not match transformer/config\.json: 1 missing, such as norm_out\.norm\.weight",
    ),
    "more layers than tensors": (
        config("transformer/config.json", num_layers=3),
        r"\d+ missing, such as transformer_blocks\.2\.\S+ \(2 layers found, num_layers is 3\)",
    ),
    "fewer layers than tensors": (
        config("transformer/config.json", num_layers=1),
        r"\d+ too many, such as transformer_blocks\.1\.\S+ \(2 layers found, num_layers is 1\)",
    ),
    "sizes of another model": (
        config("transformer/config.json", num_attention_heads=4),
        r"\d+ with a wrong shape, such as \S+: [\dx]+, expected [\dx]+",
    ),
    "layers that are no number": (config("transformer/config.json", num_layers="x"), r"num_layers is 'x'; expected 1"),
    "image-to-video": (
        config("transformer/config.json", in_channels=32),
        r"in_channels is 32, latent_channels of vae/config\.json is 16 \(more input channels: an image-to-video",
    ),
    "CogVideoX 1.5": (config("transformer/config.json", patch_size_t=2), "so this is CogVideoX 1.5 or an image-to-"),
    "model_index.json is a web page": (content("model_index.json", HTML), r"model_index\.json: a web page"),
    "model_index.json is garbage": (content("model_index.json", b"[1, 2"), r"model_index\.json: not JSON"),
    "model_index.json is a list": (content("model_index.json", b"[1]"), r"_index\.json: not a JSON object \(list\)"),
    "another pipeline": (
        config("model_index.json", _class_name="CogVideoXImageToVideoPipeline"),
        r"model_index\.json: it is a CogVideoXImageToVideoPipeline; expected a text-to-video CogVideoXPipeline",
    ),
    "unknown scheduler": (
        config("scheduler/scheduler_config.json", _class_name="FancyScheduler"),
        r"scheduler 'FancyScheduler' is unknown; expected one of CogVideoXDDIMScheduler",
    ),
    "scheduler of another target": (
        config("scheduler/scheduler_config.json", prediction_type="epsilon"),
        r"prediction_type is 'epsilon'; CogVideoX predicts 'v_prediction'",
    ),
    "scheduler without sense": (
        config("scheduler/scheduler_config.json", beta_schedule="none"),
        r"scheduler_config\.json: cannot be loaded \(NotImplementedError: none",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny CogVideoX on disk."""
    folder = tmp_path_factory.mktemp("whole") / "tiny"
    save_base(random_base("tiny-sincos"), folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it to break."""
    return shutil.copytree(whole, tmp_path / "tiny")


def check(*arguments):
    app = typer.Typer()
    weights_commands.add_to(app)
    return CliRunner().invoke(app, ["weights", "check", *map(str, arguments)])


def test_a_whole_folder_has_nothing_wrong(folder):
    said = check(folder, "--deep")
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1].endswith("nothing wrong")
    assert model_problems(folder) == []


def test_the_shipped_base_has_nothing_wrong():
    assert check("cogvideox-mini", "--deep").exit_code == 0


@pytest.mark.parametrize("kind", BROKEN)
def test_each_fault_is_one_line_in_check_and_before_loading(folder, kind):
    damage, pattern = BROKEN[kind]
    damage(folder)
    said = check(folder)
    if kind != "another pipeline":  # whole, and for others to load
        assert said.exit_code == 1
        lines = [line for line in said.output.splitlines() if re.search(pattern, line)]
        assert len(lines) == 1, said.output
    with pytest.raises(ModelError, match=pattern) as caught:
        load_base(BaseOptions(weights=str(folder), dtype="fp32"))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert not [word for word in ADVICE if word in said.output + message]


def test_a_part_alone_is_not_asked_for_the_others_weights(folder):
    (folder / T5).unlink()
    (folder / VAE).unlink()
    assert load_base(BaseOptions(weights=str(folder), dtype="fp32"), parts=("transformer",)).transformer is not None


def test_one_bad_value_between_the_samples_is_found_deep_and_stops_a_generation(folder, tmp_path):
    name = "transformer_blocks.1.ff.net.0.proj.weight"
    tensors(TRANSFORMER, lambda held: poison(held, name, 1000))(folder)
    assert model_problems(folder) == []
    (problem,) = model_problems(folder, deep=True)
    assert name in problem.text
    assert check(folder).exit_code == 0
    assert check(folder, "--deep").exit_code == 1
    request = {"prompt": "a kite", "base": {"weights": str(folder), "dtype": "fp32"}, "options": {"steps": 2}}
    with pytest.raises(ModelError, match=r"denoising step 1 of 2 \(timestep \d+\) gave non-finite values"):
        generate(GenerateRequest.parse(request), str(tmp_path / "out"))
    assert not (tmp_path / "out" / "video.mp4").exists()


def test_a_video_of_one_color_is_no_result(folder, tmp_path):
    def silence(held):
        for name in ("decoder.conv_out.conv.weight", "decoder.conv_out.conv.bias"):
            held[name].zero_()

    tensors(VAE, silence)(folder)
    request = {"prompt": "a kite", "base": {"weights": str(folder), "dtype": "fp32"}, "options": {"steps": 1}}
    with pytest.raises(ModelError, match=r"clip 0: every pixel of 9 frames is the color \(128, 128, 128\)"):
        generate(GenerateRequest.parse(request), str(tmp_path / "out"))


@pytest.mark.parametrize("size", ["tiny-sincos", "mini-rope"])
def test_expected_shapes_are_those_of_the_models(size):
    """Against the real classes with memory: what is counted on from one block is what they build."""
    base = random_base(size)
    for part in ("transformer", "vae", "text_encoder"):
        model = getattr(base, part)
        built = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        built.pop("encoder.embed_tokens.weight", None)
        values = model.config.to_dict() if part == "text_encoder" else dict(model.config)
        assert compute_shapes(part, values) == built


def full_size(place: Path, name: str, tokenizer: Path) -> Path:
    """A folder in the layout and size of a public model whose values are zeros, as sparse files."""
    folder, plan = place / name, SIZES[name]
    for part in ("transformer", "vae", "text_encoder"):
        values = getattr(plan, part)
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(values))
        header, end = {}, 0
        for tensor, shape in compute_shapes(part, values).items():
            if tensor in ("mask_proj.weight", "segment_embed"):
                continue
            size = 2 * int(np.prod(shape))
            header[tensor] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [end, end + size]}
            end += size
        text = json.dumps(header).encode()
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        with (folder / part / f"{stem}.safetensors").open("wb") as stream:
            stream.write(struct.pack("<Q", len(text)) + text)
            stream.truncate(8 + len(text) + end)
    for item in ("tokenizer", "scheduler"):
        shutil.copytree(tokenizer / item, folder / item)
    shutil.copy(tokenizer / "model_index.json", folder)
    return folder


@pytest.mark.parametrize(("name", "rope"), [("cogvideox-2b", False), ("cogvideox-5b", True)])
def test_positions_of_the_public_models(whole, tmp_path, name, rope):
    folder = full_size(tmp_path, name, whole)
    assert model_problems(folder) == []
    renamed = folder.rename(tmp_path / "mine")
    config("transformer/config.json", use_rotary_positional_embeddings=not rope)(renamed)
    (problem,) = model_problems(renamed)
    assert problem.text.startswith(f"use_rotary_positional_embeddings is {not rope}, expected {rope} for a model of")


def test_5b_configuration_over_2b_weights_and_2b_in_a_folder_of_5b(whole, tmp_path):
    folder = full_size(tmp_path, "cogvideox-2b", whole).rename(tmp_path / "cogvideox-5b")
    texts = [problem.text for problem in model_problems(folder)]
    assert any("the folder is called cogvideox-5b but holds another model" in text for text in texts)
    (folder / "transformer/config.json").write_text(json.dumps(SIZES["cogvideox-5b"].transformer))
    (problem,) = model_problems(folder)
    assert "(30 layers found, num_layers is 42)" in problem.text


def test_a_model_of_no_known_kind_is_looked_at_for_values(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_file({"a": torch.tensor([1.0, float("inf")])}, tmp_path / "model.safetensors")
    said = check(f"{tmp_path}/")
    assert "model.safetensors: tensor a has non-finite values" in said.output
    assert said.exit_code == 1
