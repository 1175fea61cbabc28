"""SAM2 on single images: boxes of every frame in, masks of that frame out, no memory between frames.

Produces the masks of `SAM2ImagePredictor.predict(box=..., multimask_output=False)` (tested: to 1e-4 of a logit), using
the loaded network of a `Sam2Segmenter`, with many frames per pass and inputs of any size; no hole filling, threshold 0.

Shape letters: B frames of a pass, R (frame, box) pairs of a pass, S the network's input side.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.perception.segmentation.base import Segmenter, check_boxes
from mvideo_core.perception.segmentation.sam2_features import MEAN, STD
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter
from mvideo_core.perception.transfers import autocast, run_eager

if TYPE_CHECKING:
    import torch


class ImageFeatures(NamedTuple):
    """Feature maps of B frames: the coarse embedding and the two fine levels, each (B, C, h, w)."""

    embedding: "torch.Tensor"
    fine: list["torch.Tensor"]


class Sam2ImageMode:
    """Predicts masks for boxes on single frames.

    Args:
        segmenter: provides the network, its device and precision, and `max_objects_per_pass`.
        frames_per_pass: frames encoded at once; affects memory only.

    Raises:
        ConfigError: another type of segmenter.
    """

    def __init__(self, segmenter: Segmenter, frames_per_pass: int = 8):
        if not isinstance(segmenter, Sam2Segmenter):
            raise ConfigError(f"{segmenter.model_name}: image mode works only with the segmenter 'sam2'; use that")
        self.segmenter = segmenter
        self.network: Any = segmenter.network
        self.frames_per_pass = frames_per_pass

    def segment(self, frames_THWC: np.ndarray, boxes: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the masks of each frame's boxes, bool (N_t, H, W).

        Args:
            frames_THWC: RGB uint8.
            boxes: per frame float (N_t, 4) xyxy in pixels; a frame without boxes costs nothing.

        Raises:
            MediaError: wrong frame type, or wrong number or shape of boxes.
        """

        if frames_THWC.ndim != 4 or frames_THWC.dtype != np.uint8 or len(frames_THWC) != len(boxes):
            raise MediaError(
                f"{frames_THWC.dtype}{list(frames_THWC.shape)} and boxes of {len(boxes)} frames: "
                "expected uint8 (T, H, W, 3) and T lists of boxes"
            )
        height, width = frames_THWC.shape[1:3]
        for start in range(0, len(frames_THWC), self.frames_per_pass):
            held = [check_boxes(one) for one in boxes[start : start + self.frames_per_pass]]
            asked = [number for number, one in enumerate(held) if len(one)]
            found = {number: np.zeros((0, height, width), np.bool_) for number in range(len(held))}
            if asked:
                with self._modes():
                    features = self._features(frames_THWC[start : start + self.frames_per_pass][asked])
                    for number, masks in zip(asked, self._masks(features, [held[n] for n in asked], height, width),
                                             strict=True):  # fmt: skip
                        found[number] = masks
            yield from (found[number] for number in range(len(held)))

    def box_at(self, frame_HWC: np.ndarray, point_xy: Sequence[float]) -> np.ndarray | None:
        """Box (4) of the object under a click, the best of the network's three answers; None if that mask is empty.

        Same as `SAM2ImagePredictor.predict(point_coords=..., point_labels=[1], multimask_output=True)`, thresholded
        after upscaling.
        """
        import torch
        import torch.nn.functional as F

        height, width = frame_HWC.shape[:2]
        side = self.network.image_size
        scaled = [[[point_xy[0] * side / width, point_xy[1] * side / height]]]
        with self._modes():
            features = self._features(frame_HWC[None])
            point_R12 = torch.tensor(scaled, dtype=torch.float32, device=self.segmenter.device)
            logits, ious = self._decode(features, torch.zeros(1, dtype=torch.int64), point_R12, [1], several=True)
            best = logits[:, int(ious.float().argmax())][:, None].float()
            pixels = F.interpolate(best, size=(height, width), mode="bilinear", align_corners=False)
        mask = (pixels[0, 0] > 0).cpu().numpy()
        if not mask.any():
            return None
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)

    def _features(self, frames_BHWC: np.ndarray) -> ImageFeatures:
        """Same as `SAM2ImagePredictor.set_image_batch`."""
        images = normalize_images(frames_BHWC, self.network.image_size, self.segmenter.device)
        _, levels, _, sizes = self.network._prepare_backbone_features(self.network.forward_image(images))
        if self.network.directly_add_no_mem_embed:
            levels[-1] = levels[-1] + self.network.no_mem_embed
        maps = [
            level.permute(1, 2, 0).reshape(len(images), -1, *size) for level, size in zip(levels, sizes, strict=True)
        ]
        return ImageFeatures(maps[-1], maps[:-1])

    def _masks(
        self, features: ImageFeatures, boxes: Sequence[np.ndarray], height: int, width: int
    ) -> Iterator[np.ndarray]:
        import torch
        import torch.nn.functional as F

        frame_R = torch.repeat_interleave(torch.arange(len(boxes)), torch.tensor([len(one) for one in boxes]))
        points = self.segmenter._prompts(np.concatenate(boxes), height, width)
        parts = []
        for rows in torch.arange(len(frame_R)).split(self.segmenter.options.max_objects_per_pass):
            logits = self._logits(features, frame_R[rows].to(points.device), points[rows.to(points.device)])
            pixels = F.interpolate(logits.float(), size=(height, width), mode="bilinear", align_corners=False)
            parts.append((pixels[:, 0] > 0).cpu().numpy())
        masks_RHW = np.concatenate(parts)
        stops = np.cumsum([len(one) for one in boxes])
        for start, stop in zip([0, *stops[:-1]], stops, strict=True):
            yield masks_RHW[start:stop]

    def _logits(self, features: ImageFeatures, frame_R: "torch.Tensor", points_R22: "torch.Tensor") -> "torch.Tensor":
        """Mask logits (R, 1, S / 4, S / 4) of boxes given as corner points; same as `SAM2ImagePredictor._predict`."""
        return self._decode(features, frame_R, points_R22, [2, 3])[0]

    def _decode(
        self, features: ImageFeatures, frame_R: "torch.Tensor", points_RP2: "torch.Tensor", kinds: list[int],
        several: bool = False,
    ) -> tuple["torch.Tensor", "torch.Tensor"]:  # fmt: skip
        """Logits and predicted IoU of points of these kinds (1 click, 2 and 3 corners); `several`: three masks each."""
        import torch

        labels = torch.tensor([kinds], dtype=torch.int32, device=points_RP2.device).expand(len(points_RP2), -1)
        sparse, dense = self.network.sam_prompt_encoder(points=(points_RP2, labels), boxes=None, masks=None)
        logits, ious, _, _ = self.network.sam_mask_decoder(
            image_embeddings=features.embedding[frame_R],
            image_pe=self.network.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            repeat_image=False,
            high_res_features=[level[frame_R] for level in features.fine],
        )
        return logits, ious

    @contextmanager
    def _modes(self) -> Iterator[None]:
        import torch

        options = self.segmenter.options
        with torch.inference_mode(), autocast(self.segmenter.device, options.precision), run_eager(options.compile):
            yield


def normalize_images(frames_BHWC: np.ndarray, side: int, device: str) -> "torch.Tensor":
    """Network input of the image predictor: fp32 (B, 3, side, side), antialiased bilinear, like torchvision's Resize.

    The video predictor (`sam2_features.normalize_image`) resizes with Pillow's bicubic filter; both follow the package.
    """
    import torch
    import torch.nn.functional as F

    images = torch.from_numpy(np.ascontiguousarray(frames_BHWC)).to(device).permute(0, 3, 1, 2).float() / 255
    images = F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
