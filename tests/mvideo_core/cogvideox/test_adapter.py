"""What is trained, what is written, and that it comes back the same."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors import safe_open

import mvideo_core
from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.adapter import (
    LoraOptions,
    add_lora,
    list_trainable,
    load_adapter,
    save_adapter,
    without_adapters,
)
from mvideo_core.cogvideox.adapter_files import CONDITIONING_FILE, CONFIG_FILE, LORA_FILE
from mvideo_core.cogvideox.adapter_header import CardOptions, Training, architecture
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base, save_base
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.cogvideox.weights_digest import base_sha256
from mvideo_core.generation.loading import load_pipeline
from tests.mvideo_core.cogvideox.conftest import Inputs

LORA = LoraOptions(rank=4, alpha=2)


def trained(transformer, seed: int = 0):
    """Random values in everything trainable, as if trained."""
    add_lora(transformer, LORA)
    source = torch.Generator().manual_seed(seed)
    for parameter in list_trainable(transformer).values():
        torch.nn.init.normal_(parameter, std=0.1, generator=source)
    return transformer


def output(transformer, inputs: Inputs):
    with torch.no_grad():
        return transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample


def contents(path):
    """Metadata, and tensors as nested lists, of a safetensors file."""
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        return file.metadata(), {name: file.get_tensor(name).tolist() for name in names}


def test_only_adapters_and_conditioning_get_gradients(transformer, inputs: Inputs):
    add_lora(transformer, LORA)
    names = set(list_trainable(transformer))
    # 2 blocks, 4 projections, A and B each; mask convolution and segment offsets
    assert len(names) == 2 * 4 * 2 + 2
    assert {name for name in names if "lora" not in name} == {"mask_proj.weight", "segment_embed"}
    transformer(inputs.latents, inputs.text, inputs.timestep, inputs.conditions).sample.square().mean().backward()
    with_grad = {name for name, parameter in transformer.named_parameters() if parameter.grad is not None}
    assert with_grad == names


def test_adapters_are_fp32_over_a_half_precision_base(transformer):
    add_lora(transformer.to(torch.bfloat16), LORA)
    assert {parameter.dtype for parameter in list_trainable(transformer).values()} == {torch.float32}
    assert transformer.proj_out.weight.dtype == torch.bfloat16


def test_the_same_adapter_gives_the_same_bytes(transformer, tmp_path):
    """safetensors writes its metadata in an order of chance; five equal files by chance: one in 32."""
    trained(transformer)
    files = set()
    for n in range(6):
        save_adapter(tmp_path / str(n), transformer, VideoFormat())
        files.add(tuple((tmp_path / str(n) / name).read_bytes() for name in (LORA_FILE, CONDITIONING_FILE)))
    assert len(files) == 1


def test_fresh_adapters_change_nothing(transformer, inputs: Inputs):
    before = output(transformer, inputs)
    add_lora(transformer, LORA)
    assert torch.equal(output(transformer, inputs), before)


@pytest.mark.parametrize("targets", [("to_q", "to_qq"), ("q_proj",)])
def test_target_that_matches_nothing(transformer, targets):
    with pytest.raises(ConfigError, match=r"matches no linear layer; the blocks have: .*attn1\.to_q"):
        add_lora(transformer, LoraOptions(target_modules=targets))
    assert not getattr(transformer, "peft_config", None)


def test_second_lora_is_refused(transformer):
    add_lora(transformer, LORA)
    with pytest.raises(ConfigError, match="already attached"):
        add_lora(transformer, LORA)


def test_feed_forward_targets_can_be_added(transformer):
    targets = (*LORA.target_modules, "ff.net.0.proj", "ff.net.2")
    add_lora(transformer, LoraOptions(rank=2, alpha=2, target_modules=targets))
    assert sum("ff.net" in name for name in list_trainable(transformer)) == 2 * 2 * 2


def test_round_trip(size, transformer, inputs: Inputs, tmp_path):
    form = VideoFormat(height_px=32, width_px=64, motion_height_px=16, motion_width_px=32, clip_frames=9)
    expected = output(trained(transformer), inputs)
    save_adapter(tmp_path / "adapter", transformer, form)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {LORA_FILE, CONDITIONING_FILE, CONFIG_FILE}
    again = random_base(size, parts=("transformer",)).transformer
    assert not torch.equal(output(again, inputs), expected)
    assert load_adapter(again, tmp_path / "adapter") == form
    assert torch.equal(output(again, inputs), expected)
    assert not list_trainable(again)
    resumed = random_base(size, parts=("transformer",)).transformer
    load_adapter(resumed, tmp_path / "adapter", train=True)
    assert set(list_trainable(resumed)) == set(list_trainable(transformer))
    save_adapter(tmp_path / "twice", resumed, form)
    for name in (LORA_FILE, CONDITIONING_FILE):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "adapter" / name).read_bytes()
    assert (tmp_path / "twice" / CONFIG_FILE).read_bytes() == (tmp_path / "adapter" / CONFIG_FILE).read_bytes()


TRAINING = Training("/models/cogvideox-2b", "da7a", seed=3, step=70, global_batch=8, peak_rate=2e-4, precision="fp32")


def test_headers_say_what_the_files_are(base, tmp_path):
    save_base(base, tmp_path / "base")
    options = BaseOptions(weights=str(tmp_path / "base"), dtype="fp32")
    transformer = trained(load_base(options, parts=("transformer",)).transformer)
    form = VideoFormat(height_px=32, width_px=64, motion_height_px=16, motion_width_px=32, clip_frames=9)
    about = TRAINING.keys() | CardOptions(license="Apache-2.0", trigger="a red kite", author="me").keys()
    save_adapter(tmp_path / "adapter", transformer, form, about)
    record = json.loads((tmp_path / "adapter" / CONFIG_FILE).read_text())
    for name, kind in ((LORA_FILE, "lora"), (CONDITIONING_FILE, "mvideo-conditioning")):
        header, _ = contents(tmp_path / "adapter" / name)
        positions = "rope" if record["base"]["use_rotary_positional_embeddings"] else "sincos"
        assert header["modelspec.architecture"] == f"cogvideox-2x32-{positions}/{kind}"
        assert header["modelspec.resolution"] == "64x32"
        assert header["modelspec.title"] == "MVideo LoRA over cogvideox-2b"
        assert (header["modelspec.license"], header["modelspec.author"]) == ("Apache-2.0", "me")
        assert header["mvideo.base_sha256"] == base_sha256(tmp_path / "base") == record["base"]["sha256"]
        assert header["mvideo.data_sha256"] == "da7a"
        assert header["mvideo.version"] == mvideo_core.__version__
        # By the specification: of all bytes behind the header.
        raw = (tmp_path / "adapter" / name).read_bytes()
        assert (
            header["modelspec.hash_sha256"]
            == "0x" + hashlib.sha256(raw[8 + int.from_bytes(raw[:8], "little") :]).hexdigest()
        )
    header, _ = contents(tmp_path / "adapter" / LORA_FILE)
    assert header["modelspec.trigger_phrase"] == "a red kite"
    ss = {key.removeprefix("ss_"): value for key, value in header.items() if key.startswith("ss_")}
    assert ss == {
        "base_model_version": f"cogvideox-2x32-{positions}", "network_dim": "4", "network_alpha": "2",
        "network_dropout": "0.0", "output_name": "MVideo LoRA over cogvideox-2b", "resolution": "(64, 32)",
        "seed": "3", "steps": "70", "total_batch_size": "8", "learning_rate": "0.0002", "mixed_precision": "no",
        "sd_model_name": "cogvideox-2b",
    }  # fmt: skip
    again = load_base(options, parts=("transformer",)).transformer
    load_adapter(again, tmp_path / "adapter")
    save_adapter(tmp_path / "twice", again, form)
    assert contents(tmp_path / "twice" / LORA_FILE)[0] == header


def test_published_sizes_have_their_names():
    names = {"cogvideox-2b": (30, 30, False), "cogvideox-5b": (42, 48, True)}
    for name, (layers, heads, rotary) in names.items():
        sizes = {"num_layers": layers, "num_attention_heads": heads, "attention_head_dim": 64}
        assert architecture(sizes | {"use_rotary_positional_embeddings": rotary}) == name


def test_alpha_is_in_the_lora_file(transformer, tmp_path):
    save_adapter(tmp_path, trained(transformer), VideoFormat())
    with safe_open(tmp_path / LORA_FILE, "pt") as file:
        metadata = json.loads(file.metadata()["lora_adapter_metadata"])
        names = list(file.keys())
    assert all("lora" in name for name in names)
    assert (metadata["transformer.r"], metadata["transformer.lora_alpha"]) == (4, 2)


@pytest.mark.parametrize("name", [LORA_FILE, CONDITIONING_FILE, CONFIG_FILE])
def test_missing_file_is_named(size, transformer, tmp_path, name):
    save_adapter(tmp_path, trained(transformer), VideoFormat())
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=name):
        load_adapter(random_base(size, parts=("transformer",)).transformer, tmp_path)


def test_adapter_of_another_model_is_refused(tmp_path):
    save_adapter(tmp_path, trained(random_base("tiny-rope", parts=("transformer",)).transformer), VideoFormat())
    sincos = random_base("tiny-sincos", parts=("transformer",)).transformer
    with pytest.raises(ConfigError, match="use_rotary_positional_embeddings: True, the model has False"):
        load_adapter(sincos, tmp_path)
    off = MVideoTransformer3DModel.from_base(
        random_base("tiny-rope", parts=("transformer",)).transformer, history_offset_frames=-1
    )
    with pytest.raises(ConfigError, match="history_offset_frames: 0, the model has -1"):
        load_adapter(off, tmp_path)


def test_adapter_over_other_weights_of_the_same_shape_is_refused_unless_allowed(size, tmp_path, caplog):
    for seed in (0, 1):
        save_base(random_base(size, seed), tmp_path / f"base{seed}")
    first, other = (BaseOptions(weights=str(tmp_path / f"base{seed}"), dtype="fp32") for seed in (0, 1))
    transformer = load_base(first, parts=("transformer",)).transformer
    save_adapter(tmp_path / "adapter", trained(transformer), VideoFormat())
    shutil.copytree(tmp_path / "base0", tmp_path / "copy")
    copy = first.model_copy(update={"weights": str(tmp_path / "copy")})
    load_adapter(load_base(copy, parts=("transformer",)).transformer, tmp_path / "adapter")
    with pytest.raises(
        ModelError, match=r"trained with different base weights \(sha256 \w{12}; loaded: \w{12}\).*--allow-other"
    ):
        load_adapter(load_base(other, parts=("transformer",)).transformer, tmp_path / "adapter")
    load_adapter(load_base(other, parts=("transformer",)).transformer, tmp_path / "adapter", allow_other_base=True)
    assert "trained with different base weights" in caplog.text
    with pytest.raises(ModelError, match="trained with different base weights"):
        load_pipeline(other, str(tmp_path / "adapter"))
    assert load_pipeline(other, str(tmp_path / "adapter"), allow_other_base=True).adapter_sha256


def test_saving_without_adapter_is_refused(transformer, tmp_path):
    with pytest.raises(ConfigError, match="0 adapters"):
        save_adapter(tmp_path, transformer, VideoFormat())


def test_without_adapters_keeps_conditioning(transformer, inputs: Inputs):
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    stripped = without_adapters(trained(transformer))
    state = stripped.state_dict()
    assert set(state) == set(before)
    assert torch.equal(state["mask_proj.weight"], transformer.mask_proj.weight)
    assert torch.equal(state["proj_out.weight"], before["proj_out.weight"])
    assert getattr(transformer, "peft_config", None)


def test_an_adapter_over_a_plain_folder_of_fewer_channels_fits_its_own_base(tmp_path):
    """A plain CogVideoX says nothing about masks: they have as many channels as its latents, 8 here."""
    save_base(random_base("tiny-fine"), tmp_path / "base")
    base = BaseOptions(weights=str(tmp_path / "base"), dtype="fp32")
    form = random_base("tiny-fine", parts=()).format
    save_adapter(tmp_path / "adapter", trained(load_base(base, parts=("transformer",)).transformer), form)
    pipeline = load_pipeline(base, str(tmp_path / "adapter")).pipeline
    assert pipeline.transformer.mask_proj.weight.shape == (32, 8, 4, 4)
