"""Recursive generation: each clip is conditioned on the one before (paper, section 3.3).

Clips overlap by one frame: frame 0 of clip k repeats the last frame of clip k - 1 and is dropped. N clips of 33 frames
thus make 32 N + 1 frames; at 8 fps, 1, 2 and 4 clips last 4, 8 and 16 s. What a clip hands to the next is stored
without loss, so a resumed run sees what an uninterrupted one sees. Only one clip is in memory at a time, so memory does
not grow with length.

Generation stops with an error if values become non-finite or a clip has a single color.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.pixels import check_not_blank
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.generation.handover import LastClip
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.generation.step_log import StepLog
from mvideo_core.masks import MaskSequence
from mvideo_core.media.encode import write_mp4, write_png

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with the number of denoising steps done and in total; clips of an earlier run count as done."""


class ClipModel(Protocol):
    """Generates one clip: an `MVideoPipeline`."""

    format: VideoFormat

    def __call__(
        self,
        prompt: str,
        *,
        mask: np.ndarray | None,
        appearance_frame: Any,
        motion_frames: Any,
        generator: Any,
        **sampling: Any,
    ) -> np.ndarray:
        """Frames (T, H, W, 3) uint8 of one clip; the history is frames or latents, as `LastClip.history` gives it."""


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """One clip of a long video, with its half-open frame range: [start, start + clip_frames)."""

    index: int
    start: int
    seed: int


def plan_clips(n_frames: int, grid: VideoFormat, seed: int) -> list[ClipPlan]:
    """The clips of a video of at least `n_frames` frames; each draws its noise from (seed, clip number)."""
    seeds = np.random.SeedSequence(seed).spawn(grid.n_clips(n_frames))
    return [
        ClipPlan(index, index * grid.stride_frames, int(own.generate_state(1, np.uint64)[0] >> 1))
        for index, own in enumerate(seeds)
    ]


def length_frames(options: GenerateOptions, masks: MaskSequence | None, grid: VideoFormat) -> int:
    """Number of frames to generate: as requested, else as many as the masks, else one clip.

    Raises:
        ConfigError: masks that end too early, or have a different size than the model.
    """
    if masks is not None and (masks.height, masks.width) != (grid.height_px, grid.width_px):
        raise ConfigError(
            f"masks of {masks.height}x{masks.width} px for a model of {grid.height_px}x{grid.width_px}; "
            "`mvideo masks resample` resamples them for the model"
        )
    if options.seconds is not None:
        needed = round(options.seconds * grid.fps) + 1
    else:
        needed = masks.n_frames if masks is not None else grid.clip_frames
    if masks is not None and masks.n_frames < needed and options.mask_end == "error":
        raise ConfigError(
            f"the masks fill {masks.n_frames} frames at {grid.fps:g} fps and the video needs {needed}; make it "
            "shorter, loop or stretch the masks (`mvideo masks edit`), or set mask_end to hold or none"
        )
    return needed


def mask_of(
    masks: MaskSequence | None, plan: ClipPlan, grid: VideoFormat, options: GenerateOptions
) -> np.ndarray | None:
    """Union of the guiding objects over one clip, bool (T, H, W); None = no mask condition.

    If the last clip goes beyond the requested length, it repeats the last mask; its extra frames are dropped.
    """
    if masks is None or (options.mask_end == "none" and plan.start >= masks.n_frames):
        return None
    chosen = options.objects or tuple(range(masks.n_objects))
    if unknown := [n for n in chosen if not 0 <= n < masks.n_objects]:
        raise ConfigError(f"objects {unknown} are not in the masks, which have objects 0 to {masks.n_objects - 1}")
    union = np.zeros((grid.clip_frames, grid.height_px, grid.width_px), np.bool_)
    for t in range(grid.clip_frames):
        frame = min(plan.start + t, masks.n_frames - 1)
        for obj in chosen:
            union[t] |= masks.mask(frame, obj)
    return union


def generate_long(
    model: ClipModel,
    prompt: str,
    masks: MaskSequence | None,
    options: GenerateOptions,
    output: OutputFolder,
    progress: Progress | None = None,
) -> Path:
    """Generate the video, or what is still missing of it.

    Args:
        masks: at the model's size and frame rate; None = no mask guidance.
        output: finished clips in it are kept.
        progress: called after each denoising step, and once before the first.

    Returns:
        Path of the mp4.

    Raises:
        ConfigError: masks that do not fit.
        ModelError: a clip is not finite or has only one color.
        StoreError: the folder cannot be read or written.
    """
    grid = model.format
    n_frames = length_frames(options, masks, grid)
    clips = plan_clips(n_frames, grid, options.seed)
    whole = grid.n_frames(len(clips))
    if whole != n_frames:
        log.info("%d frames requested, %d generated (whole clips), last %d dropped", n_frames, whole, whole - n_frames)
    before = LastClip.of_arrays(output.last_clip()) if 0 < output.n_clips < len(clips) else None
    steps = _Steps(len(clips), options.steps, output.n_clips, progress)
    steps.note_clips(output.n_clips)
    for plan in clips[output.n_clips :]:
        started = time.monotonic()
        mask = mask_of(masks, plan, grid, options)
        frames = _make_clip(model, prompt, mask, before, plan, options, output, steps)
        before = LastClip.of(frames, steps.latents, options, before)
        new = slice(min(plan.index, 1), min(len(frames), n_frames - plan.start))
        took = round(time.monotonic() - started, 3)
        output.add(before.arrays(), new, grid.fps, options.crf, {"seed": plan.seed, "seconds": took})
        steps.note_clips(plan.index + 1)
    return output.video if output.video.exists() else output.finish(grid.fps)


class _Steps:
    """Reports progress: to a callback after every denoising step, in the log every few seconds."""

    def __init__(self, n_clips: int, n_steps: int, n_made: int, progress: Progress | None):
        self.n_clips, self.n_steps, self.progress = n_clips, n_steps, progress
        self.clip, self.log = n_made, StepLog(n_clips * n_steps, n_made * n_steps)
        self.latents: Any = None
        """Latents after the latest step; after a clip's last step, its own."""

    def note_clips(self, clips: int) -> None:
        """Record the number of complete clips."""
        self.clip = clips
        self._report(clips * self.n_steps)

    def __call__(self, pipeline: Any, step: int, timestep: int, latents: Any) -> None:
        """The pipeline's `callback_on_step_end`: step `step` of the current clip is done."""
        self.latents = latents
        done = self.clip * self.n_steps + step + 1
        self._report(done)
        self.log.note(done, f"clip {self.clip + 1} of {self.n_clips}: step {step + 1} of {self.n_steps}")

    def _report(self, done: int) -> None:
        if self.progress:
            self.progress(done, self.n_clips * self.n_steps)


def _make_clip(
    model: ClipModel,
    prompt: str,
    mask: np.ndarray | None,
    before: LastClip | None,
    plan: ClipPlan,
    options: GenerateOptions,
    output: OutputFolder,
    steps: "_Steps",
) -> np.ndarray:
    import torch

    appearance, motion = before.history(options, model.format) if before is not None else (None, None)
    _keep_conditions(output, plan.index, appearance, motion, model.format.fps)
    frames = model(
        prompt,
        mask=mask,
        appearance_frame=appearance,
        motion_frames=motion,
        generator=torch.Generator("cpu").manual_seed(plan.seed),
        negative_prompt=options.negative_prompt,
        num_inference_steps=options.steps,
        guidance_scale=options.guidance,
        dynamic_guidance=options.dynamic_guidance,
        mask_guidance_scale=options.mask_guidance,
        history_sigma=options.history_sigma,
        cache=options.cache,
        callback_on_step_end=steps,
    )
    check_not_blank(frames, f"clip {plan.index}")
    return frames


def _keep_conditions(output: OutputFolder, index: int, appearance: Any, motion: Any, fps: float) -> None:
    """Write them as pictures; latents have none."""
    folder = output.folder / "conditions"
    if isinstance(appearance, np.ndarray):
        write_png(folder / f"appearance-{index:04d}.png", appearance)
    if isinstance(motion, np.ndarray):
        write_mp4(motion, folder / f"motion-{index:04d}.mp4", fps)
