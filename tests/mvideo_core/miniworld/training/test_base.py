"""The chained training of a mini base: both halves by one call, each once."""

import json
from pathlib import Path

import pytest
import torch

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base
from mvideo_core.cogvideox.sizes import size_of
from mvideo_core.miniworld.training import base
from mvideo_core.miniworld.training.base import train_base
from mvideo_core.miniworld.training.base_text2video import Text2VideoOptions
from mvideo_core.miniworld.training.base_vae import VaeOptions, VaeTraining
from tests.mvideo_core.miniworld.training.base_drawn import write_clips

VAE = VaeOptions(minutes=0.01, bfloat16=False)
TEXT2VIDEO = Text2VideoOptions(minutes=0.01, batch=2, bfloat16=False)


@pytest.fixture
def out(tmp_path: Path, monkeypatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setattr("mvideo_core.miniworld.training.base_export.STEPS", 1)
    for split in ("val", "train"):
        write_clips(tmp_path / "data", split=split)
    return tmp_path


def last(out: Path, name: str, key: str) -> dict:
    lines = [json.loads(line) for line in (out / name).read_text().splitlines()]
    return [line for line in lines if key in line][-1]


def test_one_command_trains_vae_and_transformer_once(out: Path):
    train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)
    loaded = load_base(BaseOptions(weights=str(out / "model"), dtype="fp32"))
    assert len(loaded.vae.config.block_out_channels) == 3
    assert (loaded.transformer.config.in_channels, loaded.transformer.config.patch_size) == (8, 4)
    assert loaded.format.height_px == 32
    assert last(out, "vae.jsonl", "measured")["min"] >= 0.01
    steps, weights = last(out, "text2video.jsonl", "validation")["step"], (out / "vae" / "config.json").stat()
    train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)
    assert last(out, "text2video.jsonl", "validation")["step"] == steps
    assert (out / "vae" / "config.json").stat().st_mtime_ns == weights.st_mtime_ns


def test_a_vae_of_another_size_is_refused(out: Path):
    random_base("tiny-sincos", parts=("vae",)).vae.save_pretrained(out / "vae")
    with pytest.raises(ConfigError, match=r"8x compression with 16 latent channels; tiny-fine has 4x and 8"):
        train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)


def test_a_checkpoint_of_another_size_in_the_same_folder_is_one_line(out: Path, capsys):
    VaeTraining(out, size_of("tiny-sincos").vae, VAE).save()
    with pytest.raises(SystemExit) as ended, errors_in_one_line():
        train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)
    (said,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert said.startswith(f"ConfigError: {out}/vae.pt: a checkpoint of another size or training (")
    assert "size mismatch" in said or "Missing key" in said or "Unexpected key" in said


def test_a_wrong_option_of_the_command_is_one_line(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["base", "--out", str(tmp_path), "--vae", "minutes"])
    with pytest.raises(SystemExit) as ended, errors_in_one_line():
        base.main()
    (said,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert said.startswith("ConfigError: --vae minutes: expected NAME=VALUE with a JSON value")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_stopped_vae_goes_on_before_the_transformer_starts(out: Path, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(base, "train_text2video", stop)
    monkeypatch.setattr("mvideo_core.miniworld.training.base_vae_eval.measure", stop)
    with pytest.raises(KeyboardInterrupt):
        train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)
    assert (out / "vae.pt").is_file()
    assert not (out / "vae").exists()
    monkeypatch.undo()
    monkeypatch.setattr("mvideo_core.miniworld.training.base_export.STEPS", 1)
    train_base(out, "tiny-fine", 3, VAE, TEXT2VIDEO)
    assert (out / "model" / "model_index.json").is_file()
