"""Mask propagation: SAM2 from the sam2 package ("sam2") or transformers ("transformers-sam2"), EdgeTAM ("edgetam"),
SAM 3 ("sam3", by phrases), and the quality gate.

from mvideo_core.perception.segmentation import SEGMENTERS
segmenter = SEGMENTERS.get("sam2").load(options, device="cpu")
for frame_masks in segmenter.propagate(frames, 480, 720, boxes_xyxy): ...
"""

from mvideo_core.base.registry import Registry
from mvideo_core.perception.segmentation.base import FrameMasks, Segmenter

SEGMENTERS: Registry[type[Segmenter]] = Registry("segmenter", "mvideo_core.perception.segmentation")

__all__ = ["SEGMENTERS", "FrameMasks", "Segmenter"]
