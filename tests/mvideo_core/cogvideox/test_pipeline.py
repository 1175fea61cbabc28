"""MVideoPipeline: generation, saving, LoRA in both directions."""

import logging

import numpy as np
import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXFunControlPipeline,
    CogVideoXPipeline,
)
from PIL import Image

from mvideo_core import MVideoPipeline
from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import add_lora, save_adapter
from mvideo_core.cogvideox.base import BaseOptions, load_base, random_base, save_base
from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.fun_control import to_fun_control
from mvideo_core.cogvideox.pipeline import noisy_history
from mvideo_core.cogvideox.schedule import Schedule, timesteps_of
from tests.mvideo_core.cogvideox.test_adapter import LORA, trained

PROMPT = "A red dog runs to the right."
T, H, W = 9, 32, 64


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pipeline(base) -> MVideoPipeline:
    return quiet(MVideoPipeline.from_base(base))


@pytest.fixture
def conditions() -> dict:
    """A square that moves right, and a random clip before."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (T, H, W, 3), dtype=np.uint8)
    mask = np.zeros((T, H, W), np.bool_)
    for t in range(T):
        mask[t, 8:24, 4 * t : 4 * t + 16] = True
    return {"mask": mask, "appearance_frame": frames[-1], "motion_frames": frames}


def make(pipeline, seed: int = 1, steps: int = 2, **more) -> np.ndarray:
    return pipeline(PROMPT, num_inference_steps=steps, generator=seeded(seed), **more)


def test_one_clip(pipeline, conditions):
    clip = make(pipeline, **conditions)
    assert (clip.shape, clip.dtype) == ((T, H, W, 3), np.uint8)
    assert np.array_equal(make(pipeline, **conditions), clip)
    assert not np.array_equal(make(pipeline, seed=2, **conditions), clip)
    without_history = make(pipeline, mask=conditions["mask"])
    assert not np.array_equal(without_history, clip)
    # The mask convolution is zero, so masks do nothing yet, guided or not.
    assert np.array_equal(without_history, make(pipeline))


def test_a_vae_of_less_compression(conditions, tmp_path):
    """4x instead of 8x, 8 channels instead of 16, patches of 4: masks and history in, the same file out and in."""
    save_base(random_base("tiny-fine"), tmp_path)
    (tmp_path / "mvideo_format.json").unlink()
    for pipeline in (
        quiet(MVideoPipeline.from_base(random_base("tiny-fine"))),
        quiet(MVideoPipeline.from_pretrained(tmp_path)),
    ):
        assert tuple(pipeline.encode_mask(conditions["mask"]).shape) == (1, 3, 8, 8, 16)
        pipeline._set_format(pipeline.format.model_copy(update={"clip_frames": T}))
        torch.nn.init.constant_(pipeline.transformer.mask_proj.weight, 0.05)
        clip = make(pipeline, **conditions)
        assert clip.shape == (T, H, W, 3)
        assert not np.array_equal(make(pipeline, appearance_frame=conditions["appearance_frame"]), clip)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("sampler", "spacing"), [("ddim", ""), ("ddim", "linspace"), ("dpm", "trailing")])
def test_equals_diffusers_without_conditions(base, pipeline, sampler: str, spacing: str, dynamic: bool):
    theirs = quiet(CogVideoXPipeline(base.tokenizer, base.text_encoder, base.vae, base.transformer, base.scheduler))
    kind = {"ddim": CogVideoXDDIMScheduler, "dpm": CogVideoXDPMScheduler}[sampler]
    theirs.scheduler = kind.from_config(base.scheduler.config, **({"timestep_spacing": spacing} if spacing else {}))
    frames = theirs(
        PROMPT, height=H, width=W, num_frames=T, num_inference_steps=3, guidance_scale=6.0, generator=seeded(),
        max_sequence_length=16, output_type="np", use_dynamic_cfg=dynamic,
    ).frames[0]  # fmt: skip
    expected = (frames * 255).round().astype(np.uint8)
    pipeline.use_scheduler(sampler, spacing)
    assert np.abs(make(pipeline, steps=3, dynamic_guidance=dynamic).astype(int) - expected).max() <= 1


def test_save_load_generate_equal_with_lora(pipeline, conditions, tmp_path):
    trained(pipeline.transformer)
    expected = make(pipeline, **conditions)
    pipeline.save_pretrained(tmp_path)
    loaded = quiet(MVideoPipeline.from_pretrained(tmp_path))
    assert type(loaded.transformer).__name__ == "MVideoTransformer3DModel"
    assert loaded.format == pipeline.format
    assert np.array_equal(make(loaded, **conditions), expected)
    assert getattr(pipeline.transformer, "peft_config", None)


def test_save_load_generate_equal_without_lora(pipeline, conditions, tmp_path):
    torch.nn.init.normal_(pipeline.transformer.mask_proj.weight, std=0.1)
    expected = make(pipeline, **conditions)
    pipeline.save_pretrained(tmp_path)
    loaded = quiet(MVideoPipeline.from_pretrained(tmp_path))
    assert np.array_equal(make(loaded, **conditions), expected)


def test_lora_of_training_loads_here_and_in_diffusers(base, size, conditions, tmp_path):
    save_base(base, tmp_path / "base")
    mine = quiet(MVideoPipeline.from_base(base))
    free = make(mine)
    trained(base.transformer)
    expected, expected_free = make(mine, **conditions), make(mine)
    save_adapter(tmp_path / "adapter", base.transformer, base.format)

    loaded = quiet(MVideoPipeline.from_pretrained(tmp_path / "base"))
    assert loaded.format == base.format
    loaded.load_lora_weights(tmp_path / "adapter")
    assert np.array_equal(make(loaded, **conditions), expected)
    loaded.unload_lora_weights()
    assert np.array_equal(make(loaded), free)
    assert not loaded.transformer.mask_proj.weight.any()

    theirs = quiet(CogVideoXPipeline.from_pretrained(tmp_path / "base"))
    theirs.load_lora_weights(str(tmp_path / "adapter"))
    (config,) = theirs.transformer.peft_config.values()
    assert (config.r, config.lora_alpha) == (4, 2)
    frames = theirs(
        PROMPT, height=H, width=W, num_frames=T, num_inference_steps=2, generator=seeded(), max_sequence_length=16,
        output_type="np",
    ).frames[0]  # fmt: skip
    assert np.abs((frames * 255).round().astype(int) - expected_free).max() <= 1
    assert not np.array_equal(expected_free, free)


def test_generates_while_adapters_train_in_fp32(size, conditions):
    base = load_base(BaseOptions(weights=f"random:{size}", dtype="bf16"))
    add_lora(base.transformer, LORA)
    assert base.transformer.dtype == torch.bfloat16
    assert base.transformer.segment_embed.dtype == torch.float32
    assert make(quiet(MVideoPipeline.from_base(base)), **conditions).shape == (T, H, W, 3)


def test_masks_mean_the_same_in_diffusers_control_pipeline(base, conditions):
    torch.nn.init.normal_(base.transformer.mask_proj.weight, std=0.2, generator=seeded())
    mine = quiet(MVideoPipeline.from_base(base))
    expected = make(mine, mask=conditions["mask"])
    theirs = quiet(
        CogVideoXFunControlPipeline(
            base.tokenizer, base.text_encoder, base.vae, to_fun_control(base.transformer), base.scheduler
        )
    )
    white_on_black = [Image.fromarray(frame.astype(np.uint8) * 255).convert("RGB") for frame in conditions["mask"]]
    frames = theirs(
        PROMPT, control_video=white_on_black, height=H, width=W, num_inference_steps=2, guidance_scale=6.0,
        generator=seeded(), max_sequence_length=16, output_type="np",
    ).frames[0]  # fmt: skip
    assert np.abs((frames * 255).round().astype(int) - expected).max() <= 1
    assert np.abs(make(mine).astype(int) - expected).max() > 20


def test_format_comes_with_the_adapter(base, tmp_path, caplog):
    trained(base.transformer)
    longer = base.format.model_copy(update={"clip_frames": 17})
    save_adapter(tmp_path, base.transformer, longer)
    pipeline = MVideoPipeline.from_base(random_base(base.name.removeprefix("random:")))
    with caplog.at_level(logging.INFO):
        pipeline.load_lora_weights(tmp_path)
    assert pipeline.format.clip_frames == 17
    assert "using the clip format of its training" in caplog.text


def test_plain_pipeline_folder_is_widened(base, tmp_path):
    save_base(base, tmp_path)
    (tmp_path / "mvideo_format.json").unlink()
    loaded = MVideoPipeline.from_pretrained(tmp_path)
    assert type(loaded.transformer).__name__ == "MVideoTransformer3DModel"
    assert loaded.format.clip_frames == 33
    assert (loaded.format.height_px, loaded.format.motion_height_px) == (32, 16)


def test_mask_guidance_changes_the_clip_once_masks_count(pipeline, conditions):
    torch.nn.init.normal_(pipeline.transformer.mask_proj.weight, std=0.1)
    mask = conditions["mask"]
    once, twice = make(pipeline, mask=mask), make(pipeline, mask=mask, mask_guidance_scale=2.0)
    assert not np.array_equal(once, make(pipeline))
    assert not np.array_equal(once, twice)
    assert not np.array_equal(make(pipeline, mask=np.zeros_like(mask)), make(pipeline))


def test_dpm_sampler(pipeline):
    ddim, shift = make(pipeline), pipeline.scheduler.config.snr_shift_scale
    pipeline.use_scheduler("dpm")
    assert type(pipeline.scheduler).__name__ == "CogVideoXDPMScheduler"
    assert pipeline.scheduler.config.snr_shift_scale == shift
    dpm = make(pipeline)
    assert np.array_equal(make(pipeline), dpm)
    assert not np.array_equal(dpm, ddim)
    with pytest.raises(ConfigError, match="ddim, dpm"):
        pipeline.use_scheduler("euler")


def test_latents_are_scaled_means(pipeline, conditions):
    latents = pipeline.encode_video(conditions["motion_frames"])
    assert latents.shape == (1, 3, 16, 4, 8)
    assert torch.equal(latents, pipeline.encode_video(conditions["motion_frames"]))
    video = torch.from_numpy(conditions["motion_frames"]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        mean = pipeline.vae.encode(video).latent_dist.mean
    torch.testing.assert_close(latents, mean.permute(0, 2, 1, 3, 4) * 0.7)
    assert pipeline.encode_video(conditions["motion_frames"], 16, 32).shape == (1, 3, 16, 2, 4)
    assert pipeline.encode_mask(conditions["mask"]).shape == (1, 3, 16, 4, 8)
    assert pipeline.decode(latents).shape == (T, H, W, 3)


def test_empty_mask_is_not_no_mask(pipeline):
    assert pipeline.encode_mask(np.zeros((T, H, W), np.bool_)).abs().max() > 0
    assert torch.equal(
        pipeline.encode_mask(np.ones((1, H, W), np.uint8) * 255), pipeline.encode_mask(np.ones((1, H, W), np.bool_))
    )


def test_history_is_brought_to_its_noise_level(base):
    schedule = Schedule.of(base.scheduler)
    clean = Conditions(None, torch.ones(1, 1, 16, 4, 8), torch.zeros(1, 3, 16, 2, 4))
    assert noisy_history(clean, schedule, 0) is clean
    assert noisy_history(Conditions(), schedule, 0.14) == Conditions()
    noisy = noisy_history(clean, schedule, schedule.sigma_T[20].item(), seeded())
    assert noisy.timestep_B.tolist() == [20]
    sigma = schedule.sigma_T[20].item()
    assert noisy.motion_BFCHW.std().item() == pytest.approx(sigma, rel=0.15)
    assert noisy.appearance_BFCHW.mean().item() == pytest.approx(schedule.signal_T[20].item(), abs=sigma / 4)
    with pytest.raises(ConfigError, match=r"history_sigma: 1\.0; expected 0 .* to below 1 "):
        noisy_history(clean, schedule, 1.0)


def test_steps_are_reported(pipeline):
    seen = []
    make(pipeline, steps=4, callback_on_step_end=lambda p, n, t, x: seen.append((n, t, tuple(x.shape))))
    assert [(n, t) for n, t, _ in seen] == [(0, 999), (1, 749), (2, 499), (3, 249)]
    assert seen[0][2] == (1, 3, 16, 4, 8)


def test_uneven_step_numbers_are_warned_of(pipeline, caplog):
    with caplog.at_level(logging.WARNING):
        timesteps_of(pipeline.scheduler, 50)
        assert not caplog.text
        timesteps_of(pipeline.scheduler, 7)
    assert "7 steps do not divide 1000" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.zeros((5, H, W), np.bool_)}, "mask: 5 frames; expected 9"),
        ({"appearance_frame": np.zeros((2, H, W, 3), np.uint8)}, "one frame"),
        ({"motion_frames": np.zeros((12, H, W, 3), np.uint8)}, "12 frames; the VAE needs 1 or 8n .* cut to 9"),
        ({"motion_frames": np.zeros((9, H, W, 3), np.float32)}, "float32 .* uint8 of shape"),
        ({"latents": torch.zeros(1, 3, 16, 4, 4)}, r"latents: shape \(1, 3, 16, 4, 4\)"),
        ({"num_inference_steps": 0}, "expected 1 to 1000"),
        ({"prompt_embeds": torch.zeros(1, 16, 32)}, "either one prompt"),
    ],
)
def test_wrong_arguments_are_told(change, message):
    pipeline = quiet(MVideoPipeline.from_base(random_base("tiny-sincos")))
    with pytest.raises(ConfigError, match=message):
        pipeline(PROMPT, **({"num_inference_steps": 1} | change))
