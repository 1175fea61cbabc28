"""MVideoPipeline: one clip from text, masks and the previous clip (paper, figure 2 and section 3.3).

Importing this file imports torch, transformers and diffusers; `mvideo_core.MVideoPipeline` does it on first use.

Shape letters: B batch (always 1 here), T frames, F latent frames, C channels, H, W, L tokens.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor
from transformers import T5EncoderModel, T5Tokenizer

from mvideo_core.base.disk import obey_umask
from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.adapter import (
    conditioning_state,
    load_adapter,
    load_conditioning,
    save_adapter,
    without_adapters,
)
from mvideo_core.cogvideox.adapter_files import ADAPTER_FOLDER, CONFIG_FILE, check_adapter, find_adapter
from mvideo_core.cogvideox.base import FORMAT_FILE, Base, format_of
from mvideo_core.cogvideox.cache_options import CacheOptions
from mvideo_core.cogvideox.caching import cache_steps, check_call, noise_share
from mvideo_core.cogvideox.conditions import Conditions
from mvideo_core.cogvideox.cpu_convolutions import use_onednn
from mvideo_core.cogvideox.guidance import Guidance, guide, stack_conditions, stack_text
from mvideo_core.cogvideox.history import noisy_history
from mvideo_core.cogvideox.history_sigma import HISTORY_SIGMA
from mvideo_core.cogvideox.offload import Offloader
from mvideo_core.cogvideox.pixels import check_finite, frames_THWC, mask_CTHW, video_CTHW
from mvideo_core.cogvideox.schedule import Schedule, sampler_of, timesteps_of
from mvideo_core.cogvideox.transformer import MVideoTransformer3DModel
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.weights.reading import explain_failures

log = logging.getLogger(__name__)

Given = np.ndarray | Tensor | None
"""A condition of the previous clip: its frames, or latents that are already scaled (`Conditions`)."""
OnStep = Callable[["MVideoPipeline", int, int, Tensor], None]
"""Called after each step with (pipeline, step from 0, timestep, latents)."""


class MVideoPipeline(CogVideoXPipeline):
    """CogVideoX with masks and history; the rest (offloading, LoRA, saving) as in diffusers' CogVideoXPipeline.

    Args:
        transformer: MVideoTransformer3DModel; a plain CogVideoX is extended, and then generates CogVideoX's own videos.
        scheduler: DDIM (recommended for 2b) or DPM (recommended for 5b).
        format_config: fields of VideoFormat; None for the transformer's training size with 33 frames.
        Others: as in CogVideoXPipeline.
    """

    transformer: MVideoTransformer3DModel
    scheduler: CogVideoXDDIMScheduler | CogVideoXDPMScheduler

    def __init__(
        self,
        tokenizer: T5Tokenizer,
        text_encoder: T5EncoderModel,
        vae: AutoencoderKLCogVideoX,
        transformer: CogVideoXTransformer3DModel,
        scheduler: CogVideoXDDIMScheduler | CogVideoXDPMScheduler,
        format_config: dict[str, Any] | None = None,
    ):
        if transformer is not None and not isinstance(transformer, MVideoTransformer3DModel):
            transformer = MVideoTransformer3DModel.from_base(transformer)
        use_onednn(vae)
        super().__init__(tokenizer, text_encoder, vae, transformer, scheduler)
        self._offloader: Offloader | None = None
        if format_config:
            self._set_format(VideoFormat.parse(format_config))
        else:
            self._set_format(format_of(transformer.config, self.vae_scale_factor_spatial))

    def _set_format(self, format: VideoFormat) -> None:
        self.register_to_config(format_config=format.model_dump(mode="json"))
        self.format = format

    @classmethod
    def from_base(cls, base: Base) -> Self:
        """A pipeline for a loaded base, sharing its modules."""
        return cls(
            tokenizer=base.tokenizer,
            text_encoder=base.text_encoder,
            vae=base.vae,
            transformer=base.transformer,
            scheduler=base.scheduler,
            format_config=base.format.model_dump(mode="json"),
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options: Any) -> Self:
        """As in diffusers, from a folder of `save_pretrained`, `save_base` or a plain CogVideoX pipeline."""
        given = Path(folder)
        if (given / FORMAT_FILE).is_file() and "format_config" not in options:
            options["format_config"] = VideoFormat.model_validate_json(
                (given / FORMAT_FILE).read_text(encoding="utf-8")
            ).model_dump(mode="json")
        pipeline = super().from_pretrained(folder, **options)
        if (given / ADAPTER_FOLDER / CONFIG_FILE).is_file():
            load_adapter(pipeline.transformer, given / ADAPTER_FOLDER)  # saved together, perhaps in other precision
        if (given / "transformer").is_dir():
            pipeline.transformer.base_folder = str(given)
        return pipeline

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """As in diffusers; adapters go to `adapter/` next to the base, where `from_pretrained` finds them."""
        full = self.transformer
        adapted = bool(getattr(full, "peft_config", None))
        try:
            self.transformer = without_adapters(full) if adapted else full
            super().save_pretrained(folder, **options)
        finally:
            self.transformer = full
        obey_umask(folder)
        if adapted:
            save_adapter(Path(folder) / ADAPTER_FOLDER, full, self.format)

    def load_lora_weights(
        self, source: Any, adapter_name: str | None = None, *, allow_other_base: bool = False, **options: Any
    ) -> None:
        """As in diffusers, from disk only; from a training output, conditioning weights and format are loaded, too.

        Args:
            source: see `find_adapter`; or tensors by name.
            allow_other_base: only warn if the base weights are not those of the training.

        Raises:
            ModelError: files missing, damaged or for another model, or other base weights.
            ConfigError: no such path, or it was trained with a different configuration.
        """
        if not isinstance(source, (str, Path)):
            super().load_lora_weights(source, adapter_name, **options)
            return
        files = find_adapter(Path(source) / options.pop("weight_name", ""))
        check_adapter(files, self.transformer.config)
        if files.ours:
            format = load_conditioning(self.transformer, files.folder, allow_other_base)
            if format != self.format:
                log.info("%s: using the clip format of its training: %s (was %s)", source, format, self.format)
                self._set_format(format)
        with explain_failures(files.lora):
            super().load_lora_weights(
                str(files.folder), adapter_name, weight_name=files.lora.name, use_safetensors=True, **options
            )

    def unload_lora_weights(self) -> None:
        """Return to the base model: adapters removed, conditioning zero."""
        super().unload_lora_weights()
        self.transformer.adapter_about = None
        parameters = dict(self.transformer.named_parameters())
        with torch.no_grad():
            for name in conditioning_state(self.transformer):
                parameters[name].zero_()

    def use_scheduler(self, name: Literal["ddim", "dpm"], spacing: str = "") -> None:
        """Sample with another sampler on the same noise schedule; see `sampler_of`."""
        self.scheduler = sampler_of(self.scheduler, name, spacing)

    def take_turns(self, device: torch.device, away: torch.device) -> None:
        """Keep only one of VAE and transformer on `device` at a time; the transformer's trained part stays there."""
        self.vae.requires_grad_(False)
        self._offloader = Offloader({"vae": self.vae, "transformer": self.transformer}, device, away)

    @property
    def _execution_device(self) -> torch.device:
        return self._offloader.device if self._offloader else super()._execution_device

    def _on_device(self, name: str) -> AbstractContextManager[None]:
        return self._offloader.use(name) if self._offloader else nullcontext()

    @torch.no_grad()
    def encode_video(self, frames: np.ndarray, height: int | None = None, width: int | None = None) -> Tensor:
        """Scaled latents (1, F, C, h, w), fp32: the mean of the VAE's distribution, so nothing is random.

        Args:
            frames: (T, H, W, 3) uint8 RGB, T = 1 or 8n + 1.
            height, width: px to resize to (antialiased); the format's if None.

        Raises:
            ConfigError: wrong shape, dtype or number of frames.
        """
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8:
            raise ConfigError(f"frames: {frames.dtype} of shape {frames.shape}; expected uint8 of shape (T, H, W, 3)")
        size = (height or self.format.height_px, width or self.format.width_px)
        return self._encode(video_CTHW(frames, *size, self._execution_device))

    @torch.no_grad()
    def encode_mask(self, mask: np.ndarray) -> Tensor:
        """Scaled latents (1, F, C, h, w), fp32, of masks drawn white on black.

        Args:
            mask: (T, H, W) bool or integer, above 0 inside; T = 1 or 8n + 1.

        Raises:
            ConfigError: wrong shape or number of frames.
        """
        if mask.ndim != 3:
            raise ConfigError(f"mask: shape {mask.shape}; expected (T, H, W), the union of the objects")
        return self._encode(mask_CTHW(mask, self.format.height_px, self.format.width_px, self._execution_device))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Frames (T, H, W, 3) uint8 RGB of scaled latents (1, F, C, h, w)."""
        with self._on_device("vae"):
            video_BCTHW = self.decode_latents(latents.to(self.vae.dtype))
        return frames_THWC(video_BCTHW[0])

    def embed_text(self, prompt: str) -> Tensor:
        """T5 embedding (1, L, C) of a prompt, padded to the transformer's length; "" is the empty prompt.

        Raises:
            ModelError: it is not finite.
        """
        tokens = self.transformer.config.max_text_seq_length
        embeds = self._get_t5_prompt_embeds([prompt], 1, tokens, self._execution_device, self.transformer.dtype)
        check_finite(embeds, f"the text encoder, given {prompt[:60]!r}, gave")
        return embeds

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        prompt: str | None,
        mask: np.ndarray | None = None,
        appearance_frame: Given = None,
        motion_frames: Given = None,
        *,
        negative_prompt: str = "",
        num_inference_steps: int = 50,
        guidance_scale: float = 6.0,
        mask_guidance_scale: float = 1.0,
        dynamic_guidance: bool = False,
        history_sigma: float = HISTORY_SIGMA,
        generator: Generator | None = None,
        latents: Tensor | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        callback_on_step_end: OnStep | None = None,
        cache: CacheOptions | None = None,
    ) -> np.ndarray:
        """One clip.

        Args:
            prompt: text; None if `prompt_embeds` (1, L, C) is passed.
            mask: (T, H, W) bool or integer, T = clip_frames; None: no mask, which differs from an empty one.
            appearance_frame: (H, W, 3) uint8, or scaled latents (1, 1, C, h, w): the previous clip's last frame.
            motion_frames: (T, H, W, 3) uint8, T = 8n + 1, downscaled here, or low-resolution latents (1, F, C, h, w).
            negative_prompt: what the text guidance steers away from.
            num_inference_steps: preferably a divisor of the schedule's length (1000).
            guidance_scale: on the text; 1 turns it off and halves the cost.
            dynamic_guidance: the text's scale changes with the step (`guidance.py`).
            mask_guidance_scale: on the mask (`guidance.py`); values other than 1 need a third pass.
            history_sigma: noise added to appearance and motion, and their timestep; 0: none (`history.py`).
            generator: for all noise, on CPU for the same clip on any device.
            latents: (1, F, C, h, w) initial noise instead of a draw.
            callback_on_step_end: called after each step.
            cache: partly computed steps; None: none, or what `transformer.enable_cache` turned on.

        Returns:
            Frames (clip_frames, H, W, 3), uint8 RGB.

        Raises:
            ConfigError: arguments that do not match the format or each other.
            ModelError: embeddings, latents or frames are not finite.
        """
        self._check_call(mask, appearance_frame)
        positive = self._positive(prompt, prompt_embeds)
        guidance = Guidance(guidance_scale, mask_guidance_scale, dynamic_guidance)
        negative = negative_prompt_embeds
        if guidance.text != 1 and negative is None:
            negative = self.embed_text(negative_prompt)
        latents = self._initial(latents, generator)
        conditions = self._conditions(mask, appearance_frame, motion_frames, history_sigma, generator)
        with self._on_device("transformer"), cache_steps(self.transformer, cache or CacheOptions()):
            latents = self._denoise(
                latents, positive, negative, conditions, guidance, num_inference_steps, generator, callback_on_step_end
            )
        frames = self.decode(latents)
        self.maybe_free_model_hooks()
        return frames

    def _denoise(
        self,
        latents: Tensor,
        positive: Tensor,
        negative: Tensor | None,
        conditions: Conditions,
        guidance: Guidance,
        steps: int,
        generator: Generator | None,
        on_step: OnStep | None,
    ) -> Tensor:
        """x_0 from x_T, in fp32 between the transformer's calls."""
        dtype = self.transformer.dtype
        branches = guidance.branches(conditions.mask_BFCHW is not None)
        text = stack_text(branches, positive, negative).to(dtype)
        batched = stack_conditions(branches, conditions).to(dtype)
        timesteps = timesteps_of(self.scheduler, steps, self._execution_device)
        check_call(self.transformer, len(branches), steps)
        extra = self.prepare_extra_step_kwargs(generator, 0.0)
        clean_before = None
        with self.progress_bar(total=steps) as bar:
            for n, t in enumerate(timesteps):
                self._current_timestep, now = t, int(t)
                x_t = latents.repeat(len(branches), 1, 1, 1, 1).to(dtype)
                with self.transformer.cache_context("branches", **self._place(n, len(timesteps), t)):
                    velocity = self.transformer(
                        hidden_states=x_t, encoder_hidden_states=text, timestep=t.expand(len(x_t)), conditions=batched,
                        return_dict=False,
                    )[0]  # fmt: skip
                velocity = guide(guidance.at(branches, now, steps), velocity.float())
                if isinstance(self.scheduler, CogVideoXDPMScheduler):
                    before = timesteps[n - 1] if n else None
                    latents, clean_before = self.scheduler.step(
                        velocity, clean_before, t, before, latents, return_dict=False, **extra
                    )
                else:
                    latents = self.scheduler.step(velocity, t, latents, return_dict=False, **extra)[0]
                latents = latents.float()
                check_finite(latents, f"denoising step {n + 1} of {steps} (timestep {now}) gave")
                if on_step:
                    on_step(self, n, now, latents)
                bar.update()
        self._current_timestep = None
        return latents

    def _place(self, n: int, steps: int, t: Tensor) -> dict[str, Any]:
        """The position in the loop, for hooks that cache between steps."""
        sigma = noise_share(float(self.scheduler.alphas_cumprod[int(t)]))
        return {"step_index": n, "num_inference_steps": steps, "timestep": t, "sigma": sigma}

    def _conditions(
        self, mask: np.ndarray | None, appearance: Given, motion: Given, sigma: float, generator: Generator | None
    ) -> Conditions:
        small = (self.format.motion_height_px, self.format.motion_width_px)
        conditions = Conditions(
            mask_BFCHW=None if mask is None else self.encode_mask(mask),
            appearance_BFCHW=self._encode_history(appearance),
            motion_BFCHW=self._encode_history(motion, *small),
        )
        return noisy_history(conditions, Schedule.of(self.scheduler), sigma, generator)

    def _encode_history(self, given: Given, *size: int) -> Tensor | None:
        if isinstance(given, np.ndarray):
            return self.encode_video(given if given.ndim == 4 else given[None], *size)
        return None if given is None else given.to(self._execution_device, torch.float32)

    def _encode(self, video_CTHW: Tensor) -> Tensor:
        frames = video_CTHW.shape[1]
        if frames != 1 and frames % 8 != 1:
            raise ConfigError(
                f"{frames} frames; the VAE needs 1 or 8n + 1 frames: cut to {max(1, (frames - 1) // 8 * 8 + 1)}"
            )
        with self._on_device("vae"):
            mean_BCFHW = self.vae.encode(video_CTHW[None].to(self.vae.dtype)).latent_dist.mode()
        check_finite(mean_BCFHW, "the VAE's encoder gave")
        return mean_BCFHW.permute(0, 2, 1, 3, 4).float() * self.vae.config.scaling_factor

    def _initial(self, given: Tensor | None, generator: Generator | None) -> Tensor:
        stride = self.vae_scale_factor_spatial
        sides = (self.format.height_px // stride, self.format.width_px // stride)
        shape = (1, self.format.latent_frames, self.transformer.config.in_channels, *sides)
        if given is not None and tuple(given.shape) != shape:
            raise ConfigError(f"latents: shape {tuple(given.shape)}; expected {shape}")
        if given is None:
            given = randn_tensor(shape, generator=generator, device=self._execution_device, dtype=torch.float32)
        return given.to(self._execution_device, torch.float32) * self.scheduler.init_noise_sigma

    def _positive(self, prompt: str | None, embeds: Tensor | None) -> Tensor:
        if isinstance(prompt, str) and embeds is None:
            return self.embed_text(prompt)
        if prompt is None and embeds is not None:
            return embeds
        raise ConfigError("pipeline: pass either one prompt (a string: a call makes one clip) or prompt_embeds")

    def _check_call(self, mask: np.ndarray | None, appearance: Given) -> None:
        if mask is not None and len(mask) != self.format.clip_frames:
            raise ConfigError(
                f"mask: {len(mask)} frames; expected {self.format.clip_frames}, one per frame of the clip"
            )
        if isinstance(appearance, np.ndarray) and appearance.ndim != 3:
            raise ConfigError(f"appearance_frame: shape {appearance.shape}; expected one frame (H, W, 3)")
