"""Videos of held-out samples, made by MVideoPipeline with the settings of inference.

Each file shows three clips side by side: the sample's own (decoded from its latents), its mask, and what the model
generates from that mask, text and history. The ranks divide the samples evenly, so no rank waits long for another. The
VAE is loaded for this and freed afterwards; text embeddings come from the cache. Conditions pass through the VAE once
more than at inference, since the cache has no pixels.
"""

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.cogvideox.history_sigma import HISTORY_SIGMA, TIMESTEP_GONE
from mvideo_core.training.callbacks.base import Callback, is_due
from mvideo_core.training.callbacks.ema import Ema
from mvideo_core.training.callbacks.validation import SEED, evaluate_inside
from mvideo_core.training.draws import History
from mvideo_core.training.seeds import generator

if TYPE_CHECKING:
    from mvideo_core.cogvideox.pipeline import MVideoPipeline
    from mvideo_core.training.distributed import World
    from mvideo_core.training.latents.cache import LatentDataset, LatentSample
    from mvideo_core.training.loop import Trainer
    from mvideo_core.training.losses import MVideoObjective


class SampleOptions(Options):
    """Videos of held-out samples (data.holdout), with the settings of inference."""

    GONE: ClassVar[dict[str, str]] = {"history_timestep": TIMESTEP_GONE}

    every: int = Field(default=0, ge=0, description="steps between sample videos; 0 = never")
    count: int = Field(default=4, ge=1, le=64, description="held-out samples to show, over all ranks")
    inference_steps: int = Field(default=50, ge=1, le=1000, description="denoising steps")
    guidance_scale: float = Field(default=6.0, ge=1, description="text guidance; 1: off")
    scheduler: Literal["ddim", "dpm"] = Field(default="ddim", description="ddim for 2b, dpm for 5b")
    spacing: Literal["", "leading", "linspace", "trailing"] = Field(
        default="", description="which timesteps the sampler uses; empty: as the base's publisher set it"
    )
    dynamic_guidance: bool = Field(default=False, description="as `dynamic_guidance` of generation")
    history: bool = Field(default=True, description="pass appearance and motion; false: as for a first clip")
    history_sigma: float = Field(default=HISTORY_SIGMA, ge=0, lt=1, description="as `history_sigma` of generation")
    offload: bool = Field(
        default=False, description="VAE and transformer take turns on the GPU; less memory, but seconds more per video"
    )


class SampleVideos(Callback):
    """Writes samples/step-<step>/<key>.mp4.

    Args:
        folder: `samples/` of the run.
        objective: holds the transformer and the precision.
        base: where to load the VAE from.
        held: indices of the held-out samples.
        ema: use its mean instead of the weights.
    """

    def __init__(
        self,
        folder: Path,
        options: SampleOptions,
        objective: "MVideoObjective",
        base: BaseOptions,
        dataset: "LatentDataset",
        held: Sequence[int],
        ema: Ema | None = None,
    ):
        self.folder, self.options, self.objective, self.base = folder, options, objective, base
        self.dataset, self.held, self.ema = dataset, list(held)[: options.count], ema

    def on_step(self, trainer: "Trainer", metrics: dict[str, Any]) -> None:
        """Generate the videos if they are due or the run ends."""
        from mvideo_core.media.encode import write_mp4

        last = trainer.step >= trainer.steps and self.options.every > 0
        mine = self._mine(trainer.world)
        if not (is_due(trainer.step, self.options.every) or last) or not mine:
            return
        folder = self.folder / f"step-{trainer.step:08d}"
        fps = self.dataset.info.identity.format.fps
        with evaluate_inside(self.objective.transformer, self.ema):
            for index, frames in self._make(mine, self.options.inference_steps, trainer.world):
                write_mp4(frames, folder / f"{self.dataset.ids[index]}.mp4", fps)

    def histories(self, world: "World") -> set[History]:
        """Histories of the videos that this rank generates."""
        return set(self._kinds(world)) if self.options.every else set()

    def warm_up(self, world: "World") -> None:
        """Generate one video of each kind with one denoising step, to compile its graphs; nothing is written."""
        if self.options.every and (kinds := self._kinds(world)):
            with evaluate_inside(self.objective.transformer, self.ema):
                list(self._make(list(kinds.values()), 1, world))

    def _mine(self, world: "World") -> list[int]:
        return self.held[world.rank :: world.size]

    def _kinds(self, world: "World") -> dict[History, int]:
        """History and index of the first video of each kind."""
        kinds: dict[History, int] = {}
        for index in self._mine(world):
            kinds.setdefault("both" if self._with_history(self.dataset.get(index)) else "none", index)
        return kinds

    def _with_history(self, sample: "LatentSample") -> bool:
        return self.options.history and sample.motion_FCHW is not None

    def _make(self, indices: Sequence[int], steps: int, world: "World") -> Iterator[tuple[int, np.ndarray]]:
        """Index and frames of each video; the VAE is in memory meanwhile."""
        import torch

        from mvideo_core.cogvideox.offload import move_frozen

        mixed = self.objective.dtype != torch.float32
        pipeline = self._pipeline(world.device)
        for index in indices:
            with torch.autocast(world.device.type, torch.bfloat16, enabled=mixed):
                frames = self._frames(pipeline, self.dataset.get(index), index, steps)
            yield index, frames
        del pipeline  # and the VAE with it
        gc.collect()
        if world.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.options.offload:
            move_frozen(self.objective.transformer, world.device)

    def _pipeline(self, device: Any) -> "MVideoPipeline":
        import torch

        from mvideo_core.cogvideox.base import load_base
        from mvideo_core.cogvideox.pipeline import MVideoPipeline

        loaded = load_base(self.base, parts=("vae",))
        pipeline = MVideoPipeline(
            tokenizer=None,  # type: ignore[arg-type]  # text comes embedded
            text_encoder=None,  # type: ignore[arg-type]
            vae=loaded.vae if self.options.offload else loaded.vae.to(device),
            transformer=self.objective.transformer,
            scheduler=loaded.scheduler,
            format_config=self.dataset.info.identity.format.model_dump(mode="json"),
        )
        if self.options.offload:
            pipeline.take_turns(device, torch.device("cpu"))
        pipeline.use_scheduler(self.options.scheduler, self.options.spacing)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _frames(self, pipeline: "MVideoPipeline", sample: "LatentSample", index: int, steps: int) -> np.ndarray:
        """Sample, mask and generated clip side by side, (T, H, 3 W, 3) uint8."""
        device = self.objective.device

        def decode(latents: Any) -> np.ndarray:
            scaled = latents[None].float() * self.dataset.info.scaling_factor
            return pipeline.decode(scaled.to(device))

        mask = decode(sample.mask_FCHW)
        inside_THW = mask.mean(axis=3) > 127
        with_history = self._with_history(sample)
        made = pipeline(
            None,
            inside_THW,
            decode(sample.appearance_1CHW)[0] if with_history else None,
            decode(sample.motion_FCHW) if with_history else None,
            num_inference_steps=steps,
            guidance_scale=self.options.guidance_scale,
            dynamic_guidance=self.options.dynamic_guidance,
            history_sigma=self.options.history_sigma,
            generator=generator(SEED, "video", index),
            prompt_embeds=sample.text_LC[None].to(device),
            negative_prompt_embeds=self.dataset.empty_text_LC()[None].to(device),
        )
        white = np.repeat(255 * inside_THW[..., None].astype(np.uint8), 3, axis=3)
        return np.concatenate([decode(sample.target_FCHW), white, made], axis=2)
