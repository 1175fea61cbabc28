"""Architecture of the mini SAM2: the tiny public one with narrower layers, small input and single-mask tracking."""

from typing import Any

BASE = "sam2.1_hiera_t"
IMAGE_SIZE = 256
TRACKED_SIZE = 288
"""Input side of the exported model, px: on the split "val", masks are better than at 256, the size of the last training
phases, and at 320 (mean J of 61 objects 0.830, 0.817, 0.824)."""
WIDTH = 64
MEMORY_WIDTH = 32

OVERRIDES: dict[str, Any] = {
    "image_size": IMAGE_SIZE,
    "image_encoder": {
        "trunk": {
            "embed_dim": 24,
            "num_heads": 1,
            "stages": [1, 1, 3, 1],
            # At 16 x 16 tokens, global attention costs the same as windows; a pooling block cannot be global.
            "global_att_blocks": [3, 4],
            "window_spec": [8, 8, 8, 8],
        },
        "neck": {
            "d_model": WIDTH,
            "backbone_channel_list": [192, 96, 48, 24],
            "position_encoding": {"num_pos_feats": WIDTH},
            # The fine levels also get the coarse ones' features: sharper edges than the public [2, 3] at this depth.
            "fpn_top_down_levels": [0, 1, 2, 3],
        },
    },
    "memory_attention": {
        "d_model": WIDTH,
        "num_layers": 2,
        "layer": {
            "d_model": WIDTH,
            "dim_feedforward": 256,
            "dropout": 0.0,
            "self_attention": {"embedding_dim": WIDTH, "feat_sizes": [16, 16], "dropout": 0.0},
            "cross_attention": {
                "embedding_dim": WIDTH,
                "feat_sizes": [16, 16],
                "kv_in_dim": MEMORY_WIDTH,
                "dropout": 0.0,
            },
        },
    },
    "memory_encoder": {
        "out_dim": MEMORY_WIDTH,
        "in_dim": WIDTH,
        "position_encoding": {"num_pos_feats": MEMORY_WIDTH},
        "mask_downsampler": {"embed_dim": WIDTH},
        "fuser": {"layer": {"dim": WIDTH, "layer_scale_init_value": 0.1}},
    },
    # One mask per frame: the multimask heads are untrained, so they must not be used.
    "multimask_output_in_sam": False,
    "multimask_output_for_tracking": False,
    "sam_mask_decoder_extra_args": {"dynamic_multimask_via_stability": False},
}


def config(image_size: int = IMAGE_SIZE) -> dict[str, Any]:
    """Content of the model folder's `config.json`."""
    return {"format": "sam2", "base": BASE, "overrides": {**OVERRIDES, "image_size": image_size}}
