"""The mini base's transformer and text encoder: what a batch is, exact resuming, the folder that comes out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base, save_base
from mvideo_core.miniworld.training.base_data import Clips
from mvideo_core.miniworld.training.base_export import Exporter
from mvideo_core.miniworld.training.base_latents import (
    Windows,
    cache_latents,
    caption_tokens,
    object_cover,
    wordings,
)
from mvideo_core.miniworld.training.base_text2video import (
    AT_LATENTS,
    Text2Video,
    Text2VideoOptions,
    draw_batch,
    load_vae,
    named_parameters,
    plain_transformer,
    spread_timesteps,
)
from tests.mvideo_core.miniworld.training.base_drawn import write_clips

OPTIONS = Text2VideoOptions(minutes=1.0, bfloat16=False, warmup_steps=1, batch=4, rate=3e-3)
F, C, H, W = 3, 16, 4, 8


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vae():
    return random_base("tiny-sincos", parts=("vae",)).vae


@pytest.fixture(scope="module")
def samples():
    """Four windows of latents, and tokens that say which window and wording they are."""
    draws = torch.Generator().manual_seed(3)
    tokens = torch.arange(12).view(4, 3, 1).expand(4, 3, 16).contiguous().int() + 5
    objects = torch.rand(4, F, H, W, generator=draws).half()
    return Windows(torch.randn(4, F, C, H, W, generator=draws).half(), tokens, objects)


def test_a_batch_holds_windows_with_one_of_their_texts(samples):
    empty = torch.zeros(1, 16, dtype=torch.int32)
    batch = draw_batch(samples, empty, torch.Generator().manual_seed(0), OPTIONS)
    for latents, text, objects in zip(*batch, strict=True):
        if text[0] != 0:
            window = (int(text[0]) - 5) // 3
            assert torch.equal(latents, samples.latents_NFChw[window].float())
            assert torch.equal(objects, samples.objects_NFhw[window].float())
    always = OPTIONS.model_copy(update={"text_dropout": 1.0})
    assert not draw_batch(samples, empty, torch.Generator().manual_seed(0), always).tokens_BL.any()


def test_the_cover_of_a_latent_is_the_share_of_its_pixels():
    masks = np.zeros((9, 8, 16), bool)
    masks[0, :4, :2] = True
    masks[3, 4:, 12:] = True
    cover = object_cover(masks, (2, 4))
    assert cover.shape == (3, 2, 4)
    expected = np.zeros((3, 2, 4), np.float16)
    expected[0, 0, 0], expected[1, 1, 3] = 0.5, 0.25
    np.testing.assert_array_equal(cover, expected)


def test_validation_says_the_error_on_objects(tmp_path: Path, vae, samples):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    everywhere = samples._replace(objects_NFhw=torch.ones_like(samples.objects_NFhw))
    bins, on_objects = run.validate(everywhere)
    assert on_objects == bins
    nowhere = samples._replace(objects_NFhw=torch.zeros_like(samples.objects_NFhw))
    assert run.validate(nowhere) == (bins, [0.0] * 10)
    half = torch.zeros_like(samples.objects_NFhw)
    half[:, :, : H // 2] = 1
    upper, lower = (run.validate(samples._replace(objects_NFhw=part))[1] for part in (half, 1 - half))
    np.testing.assert_allclose((np.array(upper) + lower) / 2, bins, atol=2e-4)


def test_each_part_of_the_schedule_gets_one_timestep():
    draws = torch.Generator().manual_seed(0)
    drawn = torch.stack([spread_timesteps(draws, 4, 1000) for _ in range(2000)])
    assert torch.equal(drawn // 250, torch.arange(4).expand(2000, 4))
    assert drawn.min() == 0
    assert drawn.max() == 999
    assert float(drawn.float().mean()) == pytest.approx(499.5, abs=3)


def test_muon_trains_the_matrices_of_the_blocks_and_nothing_else(tmp_path: Path, vae):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    muon = {id(value) for group in run.optimizer.parts[0].param_groups for value in group["params"]}
    adamw = {id(value) for group in run.optimizer.parts[1].param_groups for value in group["params"]}
    assert len(muon) + len(adamw) == len(run.parameters) == len(muon | adamw)
    kinds = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ff.net.0.proj", "ff.net.2")
    names = [f"transformer.transformer_blocks.{block}.{kind}.weight" for block in (0, 1) for kind in kinds]
    assert muon == {id(run.parameters[name]) for name in names}


def test_training_learns_and_resumes_exactly(tmp_path: Path, vae, samples):
    straight = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    losses = [straight._step(samples)["loss"] for _ in range(40)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    first = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    for _ in range(2):
        first._step(samples)
    first.save()
    second = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    assert second.resume()
    assert [second._step(samples)["loss"] for _ in range(2)] == pytest.approx(losses[2:4], rel=1e-5)


def test_a_start_copies_all_but_the_layers_at_the_latents(tmp_path: Path, vae):
    old = random_base("tiny-fine", seed=3)
    save_base(old, tmp_path / "old")
    options = OPTIONS.model_copy(update={"start": str(tmp_path / "old")})
    run = Text2Video(tmp_path, "tiny-sincos", options, vae)
    before = {name: value.detach().clone() for name, value in run.parameters.items()}
    run.start()
    found = named_parameters(old.text_encoder, plain_transformer(old))
    for name, value in run.parameters.items():
        expected = before[name] if name.startswith(AT_LATENTS) else found[name]
        torch.testing.assert_close(value, expected, msg=name, atol=1e-3, rtol=1e-3)
        assert torch.equal(run.mean[name], value)


def test_a_start_from_another_width_is_one_line(tmp_path: Path, vae):
    options = OPTIONS.model_copy(update={"start": "mini"})
    with pytest.raises(ConfigError, match=r"start: mini has another width, depth or text encoder \(text_encoder.*\); "):
        Text2Video(tmp_path, "tiny-sincos", options, vae).start()


def test_the_text_encoder_is_trained_too(tmp_path: Path, vae, samples):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    before = run.text_encoder.shared.weight.detach().clone()
    run._step(samples)
    changed = (run.text_encoder.shared.weight.detach() != before).any(dim=1)
    assert changed[:17].any()


def test_validation_repeats_itself_and_harms_nothing(tmp_path: Path, vae, samples):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    before = {name: value.detach().clone() for name, value in run.parameters.items()}
    bins = run.validate(samples)
    assert [len(values) for values in bins] == [10, 10]
    assert bins == run.validate(samples)
    assert all(torch.equal(value, before[name]) for name, value in run.parameters.items())
    assert run.transformer.training


def test_rate_rises_and_falls(tmp_path: Path, vae):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS.model_copy(update={"warmup_steps": 10, "rate": 1.0}), vae)
    assert run.rate() == pytest.approx(0.1)
    run.step, run.seconds = 100, 30.0
    assert run.rate() == 1.0
    run.seconds = 60 * (1 - 0.15 / 2)
    assert run.rate() == pytest.approx(0.5)


def test_latents_are_cached_per_vae_and_captions_follow_windows(tmp_path: Path, vae):
    write_clips(tmp_path / "data")
    latents = cache_latents(vae, tmp_path / "data", tmp_path / "latents")
    assert latents.shape == (6, 5, 16, 4, 8)
    file = next((tmp_path / "latents").glob("*/train-00000.npy"))
    before = file.stat().st_mtime_ns
    assert torch.equal(cache_latents(vae, tmp_path / "data", tmp_path / "latents", n_windows=4), latents[:4])
    assert file.stat().st_mtime_ns == before
    other = random_base("tiny-sincos", seed=1, parts=("vae",)).vae
    cache_latents(other, tmp_path / "data", tmp_path / "latents")
    assert len(list((tmp_path / "latents").iterdir())) == 2
    tokenizer, clips = random_base("tiny-sincos", parts=("text_encoder",)).tokenizer, Clips(tmp_path / "data")
    tokens = caption_tokens(tokenizer, clips, 6, 16)
    assert tokens.shape == (6, 3, 16)
    assert torch.equal(tokens[0], tokens[2][[0, 1, 2]])
    assert not torch.equal(tokens[0, 1], tokens[1, 1])
    assert wordings("A.", "B.") == ("A.", "B.", "A. B.")


def test_the_folder_is_a_base_of_the_project(tmp_path: Path, vae, samples, monkeypatch):
    run = Text2Video(tmp_path, "tiny-sincos", OPTIONS, vae)
    run._step(samples)
    # Samples of the mini size would take the tiny networks seconds and show nothing.
    monkeypatch.setattr("mvideo_core.miniworld.training.base_export.STEPS", 1)
    Exporter(run, samples)()
    base = load_base(BaseOptions(weights=str(tmp_path / "model"), dtype="fp32"))
    for name, value in run.text_encoder.named_parameters():
        torch.testing.assert_close(
            dict(base.text_encoder.named_parameters())[name], run.mean[f"text_encoder.{name}"], atol=2e-3, rtol=1e-3
        )
        assert value.requires_grad
    assert "1 steps of 4 windows" in (tmp_path / "model" / "README.md").read_text()
    assert (tmp_path / "samples-000001.png").is_file()


def test_no_vae_says_what_to_run(tmp_path: Path):
    with pytest.raises(ModelError, match=r"training\.base_vae"):
        load_vae(tmp_path / "vae")
