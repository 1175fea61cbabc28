"""Nodes that read, extract, edit, combine, convert, show and save masks."""

from typing import Any, ClassVar

import numpy as np

from mvideo.deployments.comfyui._host import CATEGORY, input_path, new_output, state_of
from mvideo.deployments.comfyui._tensors import lines, parse_objects, to_clip, to_frames, to_image, to_mask
from mvideo_core.base.errors import ConfigError
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.options import BoxOptions
from mvideo_core.perception.segmentation import SEGMENTERS

MASKS = "MVIDEO_MASKS"
Inputs = dict[str, dict[str, Any]]
_FPS = {"default": 8.0, "min": 0.0, "max": 240.0, "step": 0.01}


class Node:
    """What ComfyUI reads of every node. `TITLE` is ours: the name in its menu."""

    CATEGORY: ClassVar[str] = CATEGORY
    FUNCTION: ClassVar[str] = "run"
    TITLE: ClassVar[str]
    DESCRIPTION: ClassVar[str]
    RETURN_TYPES: ClassVar[tuple[str, ...]] = (MASKS,)
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("masks",)
    OUTPUT_NODE: ClassVar[bool] = False


class MVideoLoadMasks(Node):
    """A file, a folder, or a dataset's sample."""

    TITLE = "Load Masks"
    DESCRIPTION = "Loads masks from a file (.masks, .npz, .npy, mask video), a folder of images, or DATASET#KEY."
    RETURN_TYPES = (MASKS, "STRING", "FLOAT")
    RETURN_NAMES = ("masks", "caption", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Path; frame rate of files without one; `--as` of docs/reference/masks.md."""
        return {
            "required": {"path": ("STRING", {"default": "horse.masks"})},
            "optional": {"fps": ("FLOAT", _FPS | {"default": 0.0}), "form": ("STRING", {"default": ""})},
        }

    @classmethod
    def IS_CHANGED(cls, path: str | None, **_: Any) -> str:
        """Read again when the file has changed."""
        return state_of(path)

    def run(self, path: str, fps: float = 0.0, form: str = "") -> tuple[MaskClip, str, float]:
        """Masks, caption ("" for files), frames per second."""
        from mvideo_core.editing.mask_files import clip_of, read_masks

        place = input_path(path)
        found = read_masks(place, MaskForm.parse(form))
        clip = clip_of(found, place, fps or None)
        return clip, found.caption, clip.fps


class MVideoLoadSample(Node):
    """A sample of a dataset with its clip."""

    TITLE = "Load Dataset Sample"
    DESCRIPTION = "Loads clip, masks and caption of a sample. Without a key, loads the first sample of the split."
    RETURN_TYPES = ("IMAGE", MASKS, "STRING", "FLOAT")
    RETURN_NAMES = ("images", "masks", "caption", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Folder or URL of the dataset."""
        return {
            "required": {
                "dataset": ("STRING", {"default": "ws/datasets/KEY"}),
                "key": ("STRING", {"default": ""}),
                "split": (["train", "test"], {"default": "train"}),
            }
        }

    def run(self, dataset: str, key: str, split: str) -> tuple[Any, MaskClip, str, float]:
        """Frames, masks of the kept objects, caption, frames per second."""
        from mvideo_core.editing.mask_files import load_masks
        from mvideo_core.shards.dataset import MaskVideoDataset

        root = dataset if "://" in dataset else input_path(dataset)
        found = MaskVideoDataset(root, split)
        places = np.flatnonzero(found.keys == key) if key.strip() else range(len(found))
        if not len(places):
            raise ConfigError(f"{root}: no sample {key!r} in split {split}; index.parquet lists all keys")
        sample = found.sample(int(places[0]))
        clip = load_masks(f"{root}#{sample.key}")
        return to_image(sample.frames()), clip, sample.text, clip.fps


class MVideoExtractMasks(Node):
    """Masks of named objects of a video."""

    TITLE = "Extract Masks"
    DESCRIPTION = "Finds the named objects in a video file, or in images, and tracks them."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Models by their names in the registries; a file or images."""
        return {
            "required": {
                "objects": ("STRING", {"default": "horse"}),
                "detector": (DETECTORS.names(), {"default": "groundingdino"}),
                "detector_weights": ("STRING", {"default": "mini"}),
                "segmenter": (SEGMENTERS.names(), {"default": "sam2"}),
                "segmenter_weights": ("STRING", {"default": "mini"}),
                "box_threshold": (
                    "FLOAT",
                    {"default": BoxOptions.model_fields["box_threshold"].default, "min": 0.0, "max": 1.0, "step": 0.01},
                ),
                "per_name": ("INT", {"default": 1, "min": 1, "max": 64}),
                "fps": ("FLOAT", _FPS | {"min": 0.01}),
            },
            "optional": {"images": ("IMAGE",), "video": ("STRING", {"default": ""})},
        }

    @classmethod
    def IS_CHANGED(cls, video: str | None = "", **_: Any) -> str:
        """Extract again when the file has changed."""
        return state_of(video) if video else ""

    def run(
        self, objects: str, detector: str, detector_weights: str, segmenter: str, segmenter_weights: str,
        box_threshold: float, per_name: int, fps: float, images: Any = None, video: str = "",
    ) -> tuple[MaskClip]:  # fmt: skip
        """Masks at `fps`, objects in the order of their names. Images are frames at `fps`."""
        from mvideo_core.editing.extract import ExtractOptions, extract_masks
        from mvideo_core.media.encode import write_mp4
        from mvideo_core.store.scratch import scratch_folder

        names = [one.strip() for one in objects.split(",") if one.strip()]
        options = ExtractOptions(
            detector=detector, detector_options={"weights": detector_weights}, segmenter=segmenter,
            segmenter_options={"weights": segmenter_weights}, box_threshold=box_threshold, per_name=per_name, fps=fps,
        )  # fmt: skip
        if (images is None) == (not video.strip()):
            raise ConfigError("extract: connect images, or name a video file; one of the two")
        if images is None:
            return (extract_masks(input_path(video), names, options).clip,)
        with scratch_folder("comfyui") as folder:
            write_mp4(to_frames(images), folder / "images.mp4", fps, crf=0)
            return (extract_masks(folder / "images.mp4", names, options).clip,)


class MVideoEditMasks(Node):
    """A list of edits."""

    TITLE = "Edit Masks"
    DESCRIPTION = (
        "Edits masks. One edit per line (docs/reference/masks.md), such as zoom: {to: 1.4}; # begins a comment line."
    )

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Edits as text."""
        edits = ("STRING", {"default": "zoom: {to: 1.4}", "multiline": True})
        return {"required": {"masks": (MASKS,), "edits": edits}}

    def run(self, masks: MaskClip, edits: str) -> tuple[MaskClip]:
        """The masks after all edits, in order."""
        from mvideo_core.editing.edits import apply_edits, parse_edits

        return (apply_edits(masks, parse_edits(lines(edits))),)


class MVideoCombineMasks(Node):
    """Two clips in one picture."""

    TITLE = "Combine Masks"
    DESCRIPTION = "Puts masks in front of other masks. For more layers, chain several of these nodes."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Two layers."""
        seconds = {"default": 0.0, "min": -600.0, "max": 600.0, "step": 0.01}
        return {
            "required": {
                "back": (MASKS,), "front": (MASKS,), "front_start_s": ("FLOAT", seconds),
                "front_tail": (["hide", "hold", "loop", "bounce"], {"default": "hide"}),
                "occlude": ("BOOLEAN", {"default": True}),
                "length": (["longest", "shortest", "first"], {"default": "longest"}),
            }
        }  # fmt: skip

    def run(
        self, back: MaskClip, front: MaskClip, front_start_s: float, front_tail: Any, occlude: bool, length: Any
    ) -> tuple[MaskClip]:
        """All objects, those at the back first."""
        from mvideo_core.editing.combine import CombineOptions, Layer, combine

        layers = [Layer(back), Layer(front, front_start_s, front_tail)]
        return (combine(layers, CombineOptions(occlude=occlude, length=length)),)


class MVideoMasksToMask(Node):
    """Into ComfyUI's own MASK."""

    TITLE = "Masks to MASK"
    DESCRIPTION = "Makes the union of the chosen objects (empty: all), for nodes that take a MASK."
    RETURN_TYPES = ("MASK", "FLOAT")
    RETURN_NAMES = ("mask", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Object numbers as text."""
        return {"required": {"masks": (MASKS,), "objects": ("STRING", {"default": ""})}}

    def run(self, masks: MaskClip, objects: str) -> tuple[Any, float]:
        """(T, H, W) float, and frames per second."""
        return to_mask(masks, parse_objects(objects)), masks.fps


class MVideoMaskToMasks(Node):
    """From ComfyUI's own MASK."""

    TITLE = "MASK to Masks"
    DESCRIPTION = "Turns the MASK of another node into masks of one object."

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Rate, threshold and name, which a MASK does not have."""
        return {
            "required": {
                "mask": ("MASK",), "fps": ("FLOAT", _FPS | {"min": 0.01}),
                "threshold": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
                "label": ("STRING", {"default": "object"}),
            }
        }  # fmt: skip

    def run(self, mask: Any, fps: float, threshold: float, label: str) -> tuple[MaskClip]:
        """One object."""
        return (to_clip(mask, fps, threshold, label),)


class MVideoPreviewMasks(Node):
    """Drawn masks."""

    TITLE = "Preview Masks"
    DESCRIPTION = "Draws masks with outlines and names, over images or over black."
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Images of the masks' size; their last one stays if they are fewer."""
        side = {"default": 720, "min": 16, "max": 4096}
        return {
            "required": {"masks": (MASKS,), "max_side_px": ("INT", side)}, "optional": {"images": ("IMAGE",)},
        }  # fmt: skip

    def run(self, masks: MaskClip, max_side_px: int, images: Any = None) -> tuple[Any]:
        """A picture per frame of the masks."""
        from mvideo_core.masks.draw import overlay_frames

        n_frames, _, height, width = masks.sequence.shape
        frames = np.zeros((1, height, width, 3), np.uint8) if images is None else to_frames(images)
        shown = (frames[min(number, len(frames) - 1)] for number in range(n_frames))
        names = [label or f"object {number}" for number, label in enumerate(masks.labels)]
        return (to_image(overlay_frames(shown, masks.sequence, names, max_side_px)),)


class MVideoSaveMasks(Node):
    """Into a file."""

    TITLE = "Save Masks"
    DESCRIPTION = "Writes a numbered .masks, .npz or .mp4 file or, if the name has no extension, a folder of PNGs."
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("path",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """Name below the output folder."""
        return {"required": {"masks": (MASKS,), "name": ("STRING", {"default": "mvideo/horse.masks"})}}

    def run(self, masks: MaskClip, name: str) -> dict[str, Any]:
        """The path, also shown on the node."""
        from mvideo_core.editing.mask_files import save_masks

        place = save_masks(new_output(name), masks.sequence, masks.fps, masks.labels)
        return {"ui": {"text": [str(place)]}, "result": (str(place),)}


MASK_NODES: tuple[type[Any], ...] = (
    MVideoLoadMasks, MVideoLoadSample, MVideoExtractMasks, MVideoEditMasks, MVideoCombineMasks, MVideoMasksToMask,
    MVideoMaskToMasks, MVideoPreviewMasks, MVideoSaveMasks,
)  # fmt: skip
