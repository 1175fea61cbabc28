"""Nodes that load a model, generate long videos and save them."""

from typing import Any

from mvideo.deployments.comfyui._host import new_output, output_path, progress
from mvideo.deployments.comfyui._tensors import to_frames, to_image
from mvideo.deployments.comfyui.mask_nodes import MASKS, Inputs, Node
from mvideo_core.generation.loading import Loaded
from mvideo_core.masks.io.clip import MaskClip

MODEL = "MVIDEO_MODEL"
"""A pipeline of ours. ComfyUI's own MODEL is another class, which its samplers would misread."""


class MVideoLoadModel(Node):
    """CogVideoX with an adapter."""

    TITLE = "Load MVideo Model"
    DESCRIPTION = (
        "Loads a base (catalog name or diffusers folder of a CogVideoX) and an adapter (output of mvideo train; "
        "empty: the base's default)."
    )
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Weights and precision."""
        return {
            "required": {
                "base": ("STRING", {"default": "mini"}), "adapter": ("STRING", {"default": ""}),
                "dtype": (["auto", "bf16", "fp16", "fp32"], {"default": "auto"}),
            }
        }  # fmt: skip

    def run(self, base: str, adapter: str, dtype: str) -> tuple[Loaded]:
        """The loaded pipeline."""
        from mvideo_core.base.devices import default_device
        from mvideo_core.cogvideox.adapter_files import adapter_for
        from mvideo_core.cogvideox.base import BaseOptions
        from mvideo_core.generation.loading import load_pipeline
        from mvideo_core.generation.request import ALONE

        chosen = ("bf16" if default_device() == "cuda" else "fp32") if dtype == "auto" else dtype
        options = BaseOptions.parse({"weights": base.strip(), "dtype": chosen}, "base")
        found = "" if adapter.strip() == ALONE else adapter.strip() or adapter_for(options.weights)
        return (load_pipeline(options, found or ""),)


class MVideoSampler(Node):
    """Long video."""

    TITLE = "MVideo Sampler (long video)"
    DESCRIPTION = "Generates a video of any length from a prompt and masks, clip by clip; resumes if it was stopped."
    RETURN_TYPES = ("IMAGE", "STRING", "FLOAT")
    RETURN_NAMES = ("images", "path", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Seconds 0: as long as the masks, or one clip without masks."""
        guidance = {"default": 6.0, "min": 1.0, "max": 30.0, "step": 0.1}
        return {
            "required": {
                "model": (MODEL,), "prompt": ("STRING", {"default": "", "multiline": True}),
                "seconds": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 600.0, "step": 0.1}),
                "steps": ("INT", {"default": 50, "min": 1, "max": 1000}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**63 - 1}),
                "guidance": ("FLOAT", guidance), "mask_guidance": ("FLOAT", guidance | {"default": 1.0}),
                "scheduler": (["ddim", "dpm"], {"default": "ddim"}),
                "fit": (["crop", "letterbox", "stretch"], {"default": "crop"}),
                "folder": ("STRING", {"default": "mvideo/video"}),
            },
            "optional": {"masks": (MASKS,)},
        }  # fmt: skip

    def run(
        self, model: Loaded, prompt: str, seconds: float, steps: int, seed: int, guidance: float, mask_guidance: float,
        scheduler: Any, fit: Any, folder: str, masks: MaskClip | None = None,
    ) -> tuple[Any, str, float]:  # fmt: skip
        """All frames, the path of the mp4, frames per second."""
        from mvideo_core.base.errors import ConfigError
        from mvideo_core.editing.resample import ResampleOptions
        from mvideo_core.generation.options import GenerateOptions
        from mvideo_core.generation.sources import Source, SourceOptions, on_grid
        from mvideo_core.generation.video import make_video
        from mvideo_core.media.decode import read_clip

        if not prompt.strip():
            raise ConfigError("no prompt; enter one, or connect the caption of a dataset sample")
        if masks is not None and not model.adapter_sha256:
            raise ConfigError("masks, but the model has no adapter and would ignore them; set one in Load MVideo Model")
        options = GenerateOptions(
            seconds=seconds or None, steps=steps, seed=seed, guidance=guidance, mask_guidance=mask_guidance,
            scheduler=scheduler,
        )  # fmt: skip
        grid = model.pipeline.format
        source = SourceOptions(resample=ResampleOptions(fit=fit))
        used = on_grid(Source(masks, "", {}), source, grid, options.seconds).masks
        model.pipeline.use_scheduler(options.scheduler, options.spacing)
        place = output_path(folder) / _name(model, prompt, options, used)
        done = make_video(model, prompt, used, options, place, progress=progress())
        return to_image(read_clip(done.video)), done.video, grid.fps


def _name(model: Loaded, prompt: str, options: Any, masks: MaskClip | None) -> str:
    """A folder per request, so that a repeated request resumes, and a new one replaces nothing."""
    from mvideo_core.base.options import digest

    content = masks.sequence.to_bytes().hex() if masks is not None else ""
    return digest([model.base_sha256, model.adapter_sha256, prompt, options.model_dump(mode="json"), content])[:12]


class MVideoSaveVideo(Node):
    """Into an mp4."""

    TITLE = "Save Video (mp4)"
    DESCRIPTION = "Writes images to a numbered H.264 file below ComfyUI's output folder. Width and height must be even."
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Name below the output folder."""
        return {
            "required": {
                "images": ("IMAGE",), "fps": ("FLOAT", {"default": 8.0, "min": 0.01, "max": 240.0, "step": 0.01}),
                "name": ("STRING", {"default": "mvideo/horse.mp4"}),
                "crf": ("INT", {"default": 14, "min": 0, "max": 40}),
            }
        }  # fmt: skip

    def run(self, images: Any, fps: float, name: str, crf: int) -> dict[str, Any]:
        """The path, also shown on the node."""
        from mvideo_core.media.encode import write_mp4

        place = new_output(name if name.endswith(".mp4") else f"{name}.mp4")
        write_mp4(to_frames(images), place, fps, crf=crf)
        return {"ui": {"text": [str(place)]}, "result": (str(place),)}


VIDEO_NODES: tuple[type[Any], ...] = (MVideoLoadModel, MVideoSampler, MVideoSaveVideo)
