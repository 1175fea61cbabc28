"""Bases: random, written, read back, missing."""

import json
import subprocess
import sys

import pytest
import torch
from diffusers import CogVideoXPipeline

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.base import BaseOptions, format_of, load_base, random_base, save_base
from mvideo_core.cogvideox.fingerprint import WHOLE_BELOW_BYTES, file_fingerprint, folder_sha256
from mvideo_core.cogvideox.mini_tokenizer import mini_words
from mvideo_core.cogvideox.sizes import SIZES
from mvideo_core.weights import entry


def options(folder) -> BaseOptions:
    return BaseOptions(weights=str(folder), dtype="fp32")


def same(one, other) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_folder_round_trip_also_in_diffusers(base, size, tmp_path):
    save_base(base, tmp_path)
    loaded = load_base(options(tmp_path))
    assert same(loaded.transformer, base.transformer)
    assert same(loaded.vae, base.vae)
    assert same(loaded.text_encoder, base.text_encoder)
    assert loaded.format == base.format == SIZES[size].format
    text = "A red dog runs in a park, then stops."
    assert loaded.tokenizer(text).input_ids == base.tokenizer(text).input_ids
    assert loaded.scheduler.config.snr_shift_scale == base.scheduler.config.snr_shift_scale
    assert not loaded.transformer.training
    plain_pipeline = CogVideoXPipeline.from_pretrained(tmp_path)
    assert type(plain_pipeline.transformer).__name__ == "CogVideoXTransformer3DModel"


def test_parts_and_fingerprints(tmp_path):
    save_base(random_base("tiny-sincos"), tmp_path / "a")
    save_base(random_base("tiny-sincos", seed=1), tmp_path / "b")
    first = load_base(options(tmp_path / "a"), parts=("vae",))
    assert first.vae is not None
    assert first.transformer is None
    assert first.text_encoder is None
    assert first.tokenizer is None
    whole = load_base(options(tmp_path / "a"))
    assert whole.weights_sha256 == first.weights_sha256
    other = load_base(options(tmp_path / "b"), parts=("vae",))
    assert other.weights_sha256 != first.weights_sha256
    assert all(other.part_sha256[part] != first.part_sha256[part] for part in ("vae", "text_encoder", "transformer"))


def test_random_is_reproducible_and_leaves_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = random_base("tiny-rope", parts=("transformer",))
    assert torch.equal(torch.rand(1), expected)
    assert same(one.transformer, random_base("tiny-rope").transformer)
    assert not same(one.transformer, random_base("tiny-rope", seed=1, parts=("transformer",)).transformer)
    by_name = load_base(BaseOptions(weights="random:tiny-rope", dtype="bf16"), parts=("transformer",))
    assert by_name.transformer.dtype == torch.bfloat16
    assert by_name.weights_sha256 == one.weights_sha256


def test_public_weights_absent_say_where_from(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match=r"cogvideox-2b is not on this machine: .*model_index\.json is missing.*fetch"):
        load_base(BaseOptions(weights="cogvideox-2b"))
    assert entry("cogvideox-5b").kind == "generator"


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        load_base(options(tmp_path / "none"))
    with pytest.raises(ModelError, match=r"model_index\.json is missing; expected a diffusers CogVideoX pipeline"):
        load_base(options(tmp_path))
    with pytest.raises(ConfigError, match="unet"):
        load_base(options(tmp_path), parts=("unet",))


@pytest.mark.parametrize("part", ["vae", "text_encoder", "transformer"])
def test_missing_weight_file_is_told(tmp_path, part):
    save_base(random_base("tiny-sincos"), tmp_path)
    (file,) = (tmp_path / part).glob("*.safetensors")
    file.unlink()
    with pytest.raises(ModelError, match=rf"{part}/.*\.safetensors: missing; copy the folder of .* again"):
        load_base(options(tmp_path))


def test_trained_base_is_not_written_as_a_plain_one(tmp_path):
    base = random_base("tiny-sincos")
    torch.nn.init.ones_(base.transformer.mask_proj.weight)
    with pytest.raises(ConfigError, match=r"mask_proj\.weight is trained"):
        save_base(base, tmp_path)
    with pytest.raises(ConfigError, match="vae, text_encoder not loaded"):
        save_base(random_base("tiny-sincos", parts=("transformer",)), tmp_path)


def test_format_of_a_public_folder():
    public = {"sample_height": 60, "sample_width": 90, "sample_frames": 49, "spatial_interpolation_scale": 1.875}
    form = format_of(public, stride_px=8)
    assert (form.height_px, form.width_px, form.clip_frames, form.fps) == (480, 720, 33, 8.0)
    assert (form.motion_height_px, form.motion_width_px) == (256, 384)


def test_format_of_a_folder_follows_its_vae(tmp_path):
    save_base(random_base("tiny-fine"), tmp_path)
    (tmp_path / "mvideo_format.json").unlink()
    form = load_base(options(tmp_path), parts=()).format
    assert (form.height_px, form.width_px, form.motion_height_px, form.motion_width_px) == (32, 64, 16, 32)


def test_own_format_file_wins(tmp_path):
    save_base(random_base("tiny-sincos"), tmp_path)
    path = tmp_path / "mvideo_format.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clip_frames": 17}))
    assert load_base(options(tmp_path), parts=()).format.clip_frames == 17
    path.write_text("{")
    with pytest.raises(ModelError, match=r"mvideo_format\.json: not JSON"):
        load_base(options(tmp_path), parts=())


def test_tokenizer_as_published_is_a_sentencepiece_file(tmp_path):
    import sentencepiece

    save_base(random_base("tiny-sincos"), tmp_path)
    folder = tmp_path / "tokenizer"
    (folder / "tokenizer.json").unlink()
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": "<pad>"}))
    words = mini_words()
    lines = [" ".join(words[start : start + 8]) for start in range(0, 400, 4)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(folder / "spiece"), vocab_size=300, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    direct = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    text = "a red dog is running to the park"
    tokenizer = load_base(options(tmp_path), parts=("text_encoder",)).tokenizer
    assert tokenizer(text).input_ids == [*direct.encode(text), 1]


def test_fingerprint_sees_head_tail_and_size(tmp_path):
    size = WHOLE_BELOW_BYTES + 1000
    path = tmp_path / "vae" / "weights.bin"
    path.parent.mkdir()
    seen = set()
    for place in (None, 5, size - 1):
        content = bytearray(size)
        if place is not None:
            content[place] = 1
        path.write_bytes(content)
        seen.add(file_fingerprint(path))
    path.write_bytes(bytes(size + 1))
    seen.add(file_fingerprint(path))
    assert len(seen) == 4
    whole = folder_sha256(tmp_path, ("vae",))
    path.rename(path.with_name("other.bin"))
    assert folder_sha256(tmp_path, ("vae",)) != whole


def test_options_are_cheap_to_import():
    code = (
        "import sys; import mvideo_core, mvideo_core.cogvideox.base, mvideo_core.cogvideox.adapter, "
        "mvideo_core.cogvideox.sizes, "
        "mvideo_core.cogvideox.conditions, mvideo_core.cogvideox.schedule, mvideo_core.cogvideox.teacher; "
        "print(sorted({'torch', 'diffusers', 'transformers', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_package_gives_model_classes_on_demand():
    import mvideo_core

    assert mvideo_core.MVideoTransformer3DModel.__name__ == "MVideoTransformer3DModel"
    assert mvideo_core.ModelMixin.__module__.startswith("diffusers")
    with pytest.raises(AttributeError, match="no_such"):
        _ = mvideo_core.no_such


def test_a_saved_folder_does_not_tell_where_its_parts_came_from(tmp_path):
    save_base(random_base("tiny-sincos"), tmp_path / "first")
    again = load_base(BaseOptions(weights=str(tmp_path / "first"), dtype="fp32"))
    save_base(again, tmp_path / "second")
    for config in (tmp_path / "second").rglob("*.json"):
        assert str(tmp_path) not in config.read_text(), config
