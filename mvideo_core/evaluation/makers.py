"""Video generators: MVideo through this project's code, others through diffusers' own pipelines."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mvideo_core.base.devices import default_device
from mvideo_core.base.disk import Note
from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.base.options import digest
from mvideo_core.cogvideox.base import torch_dtype
from mvideo_core.cogvideox.fingerprint import folder_sha256
from mvideo_core.cogvideox.kernels import use_attention, use_kernels_of_diffusers
from mvideo_core.cogvideox.pixels import check_not_blank
from mvideo_core.cogvideox.schedule import sampler_of
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.systems import DiffusersSystem, MVideoSystem
from mvideo_core.generation.loading import Loaded, load_pipeline
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.sources import Source, SourceOptions, frames_of, on_grid, read_source
from mvideo_core.generation.step_log import StepLog
from mvideo_core.generation.video import make_video, masks_of_video
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.media.encode import write_mp4
from mvideo_core.weights import find
from mvideo_core.weights.reading import explain_failures

if TYPE_CHECKING:
    from PIL import Image

PARTS = ("transformer", "vae", "text_encoder", "scheduler", "tokenizer")
CRF = 14
WHITE, BLACK = 255, 0


class MVideoMaker:
    """Generates with a base model and an adapter, loaded once for all videos."""

    def __init__(self, system: MVideoSystem, loaded: Loaded):
        self.system = system
        self.loaded = loaded

    @classmethod
    def load(cls, system: MVideoSystem) -> Self:
        """Load base and adapter. Raises ModelError: base or adapter missing."""
        if not system.adapter:
            raise ModelError(
                "this system needs an adapter, and MVideo's are not published: train one (`mvideo train`, "
                "docs/training.md) and set its folder with --set mvideo.adapter=RUN/checkpoints/.../adapter"
            )
        loaded = load_pipeline(system.base, system.adapter, system.options, system.allow_other_base)
        return cls(system, loaded)

    def make(self, item: EvalItem, folder: Path) -> bool:
        """Generate one video clip by clip; an unfinished one resumes at its missing clip."""
        text = item.prompt_generation or item.prompt
        if not text:
            raise ConfigError(f"{item.id}: no prompt to generate from")
        masks = self.guide(item) if item.masks and self.system.masks else None
        made = make_video(self.loaded, text, masks, self._options(item), folder, origin={"item": item.id})
        return made.fresh

    def grid(self, item: EvalItem) -> dict[str, Any]:
        """Size and frame rate of the model, and the options that determine the length."""
        options = self._options(item)
        return {
            "format": self.loaded.pipeline.format.model_dump(mode="json"),
            "seconds": options.seconds,
            "mask_end": options.mask_end,
            "guided": self.system.masks,
        }

    def guide(self, item: EvalItem) -> MaskClip:
        """One mask per video frame; after the last mask, `mask_end` decides whether to hold it or stop."""
        options, grid = self._options(item), self.loaded.pipeline.format
        seconds = options.seconds
        if seconds is None and not self.system.masks:  # the model generates one clip
            seconds = grid.stride_frames / grid.fps
        wanted = self.system.masks and options.mask_end == "error"
        masks = masks_on(item, grid, seconds, whole=wanted)
        if not self.system.masks:
            return masks
        return masks_of_video(masks, options.model_copy(update={"objects": ()}), grid)

    def _options(self, item: EvalItem) -> GenerateOptions:
        return self.system.options.model_copy(
            update={"seed": item.seed or 0, "seconds": item.seconds or self.system.options.seconds}
        )


class DiffusersMaker:
    """Generates with a diffusers pipeline on the available device.

    Args:
        pipeline: an instance of `system.pipeline`.
        weights_sha256: digest of the weights, for provenance.
    """

    def __init__(self, system: DiffusersSystem, pipeline: Any, weights_sha256: str):
        self.system = system
        self.pipeline = pipeline
        self.weights_sha256 = weights_sha256
        use_kernels_of_diffusers(pipeline.transformer, system.execution)

    @classmethod
    def load(cls, system: DiffusersSystem) -> Self:
        """Load the pipeline. Raises ModelError: weights missing (the message says how to get them) or incompatible."""
        import diffusers

        folder = find(system.weights, "generator")
        kind = getattr(diffusers, system.pipeline)
        with explain_failures(folder, f"expected a complete {system.pipeline} in diffusers' layout"):
            pipeline = kind.from_pretrained(folder, dtype=torch_dtype(system.dtype), local_files_only=True)
        if system.scheduler:
            pipeline.scheduler = sampler_of(pipeline.scheduler, system.scheduler, system.spacing)
        pipeline.set_progress_bar_config(disable=None)
        if default_device() == "cuda" and system.offload:
            pipeline.enable_model_cpu_offload()
        else:
            pipeline.to(default_device())
        return cls(system, pipeline, folder_sha256(folder, PARTS))

    def make(self, item: EvalItem, folder: Path) -> bool:
        """Generate one video, written atomically."""
        text = item.prompt_generation or item.prompt
        if not text:
            raise ConfigError(f"{item.id}: no prompt to generate from")
        masks = None
        if self.system.control != "none":
            if not item.masks:
                raise ConfigError(f"{item.id}: {self.system.pipeline} needs masks, and the item has none")
            masks = self.guide(item)
        apart = {"weights", "offload"} | self.system.at_default("spacing", "execution")  # the last two were added later
        decides = {
            "prompt": text,
            "seed": item.seed or 0,
            "system": self.system.model_dump(mode="json", exclude=apart),
            "weights_sha256": self.weights_sha256,
            "masks": digest(masks.sequence.to_bytes().hex()) if masks is not None else "",
        }
        provenance = Note(folder / "provenance.json")
        if (folder / "video.mp4").is_file() and provenance.is_of(digest(decides)):
            return False
        frames_THWC = self._frames(text, item.seed or 0, masks)
        provenance.path.unlink(missing_ok=True)
        write_mp4(frames_THWC, folder / "video.mp4", self.system.fps, crf=CRF)
        versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers")}
        provenance.write(digest(decides), decides=decides, item=item.id, software=versions)
        return True

    def grid(self, item: EvalItem) -> dict[str, Any]:
        """Size, frame rate and length of the pipeline's videos."""
        s = self.system
        return {
            "size_px": [s.height_px, s.width_px], "fps": s.fps, "frames": s.frames, "guided": s.control != "none"
        }  # fmt: skip

    def guide(self, item: EvalItem) -> MaskClip:
        """The item's masks at the pipeline's size, frame rate and length."""
        s = self.system
        grid = VideoFormat(height_px=s.height_px, width_px=s.width_px, fps=s.fps)
        return masks_on(item, grid, s.seconds, whole=s.control != "none")

    def _frames(self, text: str, seed: int, masks: MaskClip | None) -> np.ndarray:
        """Frames (T, H, W, 3) uint8 of one video."""
        import torch

        s = self.system
        known: dict[str, Any] = {
            "prompt": text,
            "negative_prompt": s.negative_prompt or None,
            "height": s.height_px,
            "width": s.width_px,
            "num_inference_steps": s.steps,
            "guidance_scale": s.guidance,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "output_type": "np",
            "callback_on_step_end": _log_steps(s.steps),
        }
        if s.pipeline != "WanVACEPipeline":
            known["use_dynamic_cfg"] = s.dynamic_guidance
            known["max_sequence_length"] = self.pipeline.transformer.config.max_text_seq_length
        if s.pipeline != "CogVideoXFunControlPipeline":
            known["num_frames"] = s.frames
        if masks is not None:
            known |= self._control(control_frames(masks, s.control))
        with use_attention(self.system.execution):
            made = np.asarray(self.pipeline(**known).frames[0], np.float32)
        if not np.isfinite(made).all():
            raise ModelError(f"{s.pipeline} returned non-finite pixels for {text!r}; try dtype fp32 or bf16")
        frames_THWC = np.rint(made.clip(0, 1) * 255).astype(np.uint8)
        check_not_blank(frames_THWC, f"{s.pipeline}, prompt {text[:60]!r}")
        return frames_THWC

    def _control(self, drawn: "list[Image.Image]") -> dict[str, Any]:
        from PIL import Image

        if self.system.pipeline == "CogVideoXFunControlPipeline":
            return {"control_video": drawn}
        # VACE's `mask` marks the region to generate (white), not the object, so all of it is white.
        everywhere = [Image.new("L", drawn[0].size, WHITE)] * len(drawn)
        return {"video": drawn, "mask": everywhere}


def _log_steps(n_steps: int) -> Callable[..., dict[str, Any]]:
    """A diffusers callback that logs the denoising steps."""
    steps = StepLog(n_steps)

    def note_step(pipeline: Any, step: int, timestep: Any, given: dict[str, Any]) -> dict[str, Any]:
        steps.note(step + 1, f"step {step + 1} of {n_steps}")
        return given

    return note_step


def masks_on(item: EvalItem, grid: VideoFormat, seconds: float | None, whole: bool) -> MaskClip:
    """An item's masks at a size and frame rate, for a video this long; None = as long as the masks, in whole clips.

    Args:
        whole: the masks must cover the whole video.

    Raises:
        MediaError: they are shorter than the video. ConfigError: masks missing or empty.
    """
    options = SourceOptions.parse({"sample" if "#" in item.masks else "masks": item.masks})
    source: Source = read_source(options)
    assert source.masks is not None
    found = on_grid(source, options, grid, seconds).masks
    assert found is not None
    if whole and seconds is not None and found.sequence.n_frames < frames_of(seconds, grid):
        given = source.masks
        raise MediaError(
            f"{item.masks}: {given.sequence.n_frames} frames at {given.fps:g} fps cover "
            f"{(given.sequence.n_frames - 1) / given.fps:.2f} s, but the video is {seconds:g} s long; request shorter "
            "videos (--seconds), or drop short samples from the set (`mvideo testset --min-frames`)"
        )
    return found


def control_frames(masks: MaskClip, drawing: str) -> "list[Image.Image]":
    """White on black, RGB: the union of the objects ("filled"), or its outline two pixels wide ("outline")."""
    from PIL import Image

    found = []
    for frame in range(masks.sequence.n_frames):
        area = np.any(masks.sequence.frame(frame), axis=0)
        if drawing == "outline":
            area &= ~_erode(_erode(area))
        found.append(Image.fromarray(np.where(area, WHITE, BLACK).astype(np.uint8)).convert("RGB"))
    return found


def _erode(area_HW: np.ndarray) -> np.ndarray:
    """Erode by one pixel (4-neighborhood); pixels at the frame's edge count as border."""
    padded = np.pad(area_HW, 1)
    return padded[1:-1, 1:-1] & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
