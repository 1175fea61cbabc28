"""EdgeTAM with transformers' `EdgeTamVideoModel`: SAM2's interface with a small image encoder and a compressed memory.

About a third of the parameters of the smallest SAM2. Source: Zhou et al. 2025 (arXiv:2501.07256).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.transformers_sam2 import (
    TransformersVideoSegmenter,
    check_type,
    load_folder,
)

if TYPE_CHECKING:
    from transformers import EdgeTamVideoConfig


class EdgeTamOptions(Options):
    """Which weights."""

    weights: str = Field(
        default="edgetam",
        description='"edgetam" (Apache-2.0, not gated), or a folder in transformers\' format with model_type '
        "edgetam_video",
    )


@SEGMENTERS.register("edgetam")
class EdgeTamSegmenter(TransformersVideoSegmenter):
    """Boxes on the first frame -> masks of all frames, with an `EdgeTamVideoModel`."""

    Options: ClassVar[type[Options]] = EdgeTamOptions
    session_class = "EdgeTamVideoInferenceSession"

    @staticmethod
    def check_weights(folder: Path) -> None:
        """Before a run: ModelError if the folder holds another kind of model."""
        check_type(folder, ("edgetam_video",))

    @classmethod
    def load(cls, options: EdgeTamOptions, device: str = "cpu") -> Self:
        """Load the segmenter with weights from disk; nothing is downloaded.

        Raises:
            ModelError: weights missing, unreadable or of another architecture.
        """
        from mvideo_core.weights import find

        folder = find(options.weights, kind="segmenter")
        model, sha256 = load_folder(folder, "EdgeTamVideoModel", ("edgetam_video",))
        return cls(model, device, f"edgetam/{folder.name}", sha256)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Random weights, 64 px input, for tests."""
        import torch
        from transformers import EdgeTamVideoModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = EdgeTamVideoModel(tiny_config())
        return cls(model, model_name="edgetam/random-tiny")


def tiny_config(side: int = 64, width: int = 128) -> "EdgeTamVideoConfig":
    """Every part of the public network, small; transformers fixes the memory at 64 channels."""
    from transformers import EdgeTamVideoConfig

    sizes = [side // 4, side // 8, side // 16]
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 2,
        "model_args": {
            "in_chans": 3,
            "features_only": True,
            "out_indices": [0, 1, 2, 3],
            "embed_dim": [8, 16, 32, 64],
            "depth": [1, 1, 1, 1],
        },
    }
    vision: dict[str, Any] = {
        "model_type": "edgetam_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[size, size] for size in sizes],
        "fpn_hidden_size": width,
    }
    return EdgeTamVideoConfig(
        image_size=side,
        num_maskmem=3,
        max_object_pointers_in_encoder=4,
        vision_config=vision,
        prompt_encoder_config={"hidden_size": width, "image_size": side},
        mask_decoder_config={
            "hidden_size": width,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
        memory_attention_hidden_size=width,
        memory_attention_num_layers=1,
        memory_attention_mlp_hidden_size=32,
        memory_attention_rope_feat_sizes=[sizes[-1], sizes[-1]],
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_mlp_intermediate_size=32,
        perceiver_resampler_num_layers=1,
        memory_encoder_hidden_size=width,
        mask_downsampler_embed_dim=width,
        memory_fuser_intermediate_dim=32,
        memory_fuser_embed_dim=width,
    )
