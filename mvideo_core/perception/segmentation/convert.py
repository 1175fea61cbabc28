"""Convert SAM2 weights from the sam2 package's network to transformers' `Sam2VideoModel`.

Both compute the same function; only names and the layout of a few embeddings differ. Settings that transformers' class
does not support (anything but those of SAM 2.1) are refused, so a conversion that succeeds is exact.
"""

import re
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sam2.sam2_video_predictor import SAM2VideoPredictor
    from transformers import Sam2VideoConfig, Sam2VideoModel

_MLP3 = {"0": "proj_in", "1": "layers.0", "2": "proj_out"}
_MLP2 = {"0": "proj_in", "1": "proj_out"}
_MASK_EMBED = {"0": "conv1", "1": "layer_norm1", "3": "conv2", "4": "layer_norm2", "6": "conv3"}
_UPSCALE = {"0": "upscale_conv1", "1": "upscale_layer_norm", "3": "upscale_conv2"}

_RULES: tuple[tuple[str, Any], ...] = (
    # three-layer and two-layer perceptrons
    (
        r"(iou_prediction_head|pred_obj_score_head|obj_ptr_proj|output_hypernetworks_mlps\.\d+)\.layers\.(\d)",
        lambda m: f"{m[1]}.{_MLP3[m[2]]}",
    ),
    (r"(\.mlp)\.layers\.(\d)", lambda m: f"{m[1]}.{_MLP2[m[2]]}"),
    # parts of the image encoder
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    # prompt encoder and mask decoder
    (r"mask_downscaling\.(\d)", lambda m: f"mask_embed.{_MASK_EMBED[m[1]]}"),
    (r"output_upscaling\.(\d)", lambda m: _UPSCALE[m[1]]),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    # memory encoder
    (r"mask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
    (
        r"mask_downsampler\.encoder\.(\d+)\.",
        lambda m: f"mask_downsampler.layers.{int(m[1]) // 3}.{('conv', 'layer_norm')[int(m[1]) % 3]}.",
    ),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"\.pix_feat_proj\.", ".feature_projection."),
    (r"\.fuser\.", ".memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv", ".pointwise_conv"),
    (r"\.gamma$", ".scale"),
    # tokens of the tracker
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    # any module
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm", ".layer_norm"),
)


def to_transformers(network: "SAM2VideoPredictor") -> "Sam2VideoModel":
    """transformers' model with the package network's weights, in eval mode.

    Raises:
        ModelError: settings that `Sam2VideoModel` does not support, or an unmatched weight.
    """
    import torch
    from transformers import Sam2VideoModel

    model = Sam2VideoModel(transformers_config(network))
    if network.mem_dim != 64:
        # transformers hard-codes the memory width of 64 only here.
        for layer in model.memory_attention.layers:
            attention: Any = layer.cross_attn_image
            attention.k_proj = torch.nn.Linear(network.mem_dim, attention.k_proj.out_features)
            attention.v_proj = torch.nn.Linear(network.mem_dim, attention.v_proj.out_features)
    try:
        model.load_state_dict(transformers_state(network.state_dict()), strict=True)
    except RuntimeError as error:
        raise ModelError(f"SAM2 weights do not fit transformers' model: {' '.join(str(error).split())[:600]}") from None
    return model.eval()


def transformers_state(state: dict[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Convert the package network's state dict to transformers' names."""
    import torch

    renamed = {}
    points = []
    for name, value in state.items():
        if found := re.fullmatch(r"sam_prompt_encoder\.point_embeddings\.(\d)\.weight", name):
            points.append((int(found[1]), value))
            continue
        for pattern, replacement in _RULES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    renamed["prompt_encoder.point_embed.weight"] = torch.cat([value for _, value in sorted(points)])
    position = "shared_embedding.positional_embedding"
    renamed["shared_image_embedding.positional_embedding"] = renamed[f"prompt_encoder.{position}"]
    return renamed


def transformers_config(network: "SAM2VideoPredictor") -> "Sam2VideoConfig":
    """transformers' configuration for the package's network.

    Raises:
        ModelError: a setting differs from what `Sam2VideoModel` hard-codes.
    """
    from transformers import Sam2VideoConfig

    _refuse_other_switches(network)
    attention, encoder = network.memory_attention, network.memory_encoder
    fuser, side = encoder.fuser.layers[0], network.image_size
    return Sam2VideoConfig(
        vision_config=_vision(network),
        prompt_encoder_config={"hidden_size": network.hidden_dim, "image_size": side},
        mask_decoder_config=_decoder(network),
        image_size=side,
        num_maskmem=network.num_maskmem,
        sigmoid_scale_for_mem_enc=network.sigmoid_scale_for_mem_enc,
        sigmoid_bias_for_mem_enc=network.sigmoid_bias_for_mem_enc,
        multimask_output_in_sam=network.multimask_output_in_sam,
        multimask_min_pt_num=network.multimask_min_pt_num,
        multimask_max_pt_num=network.multimask_max_pt_num,
        multimask_output_for_tracking=network.multimask_output_for_tracking,
        max_object_pointers_in_encoder=network.max_obj_ptrs_in_encoder,
        memory_attention_hidden_size=attention.d_model,
        memory_attention_num_layers=attention.num_layers,
        memory_attention_feed_forward_hidden_size=attention.layers[0].linear1.out_features,
        memory_attention_rope_feat_sizes=[side // 16, side // 16],
        memory_encoder_hidden_size=network.hidden_dim,
        memory_encoder_output_channels=network.mem_dim,
        mask_downsampler_embed_dim=network.hidden_dim,
        memory_fuser_num_layers=len(encoder.fuser.layers),
        memory_fuser_embed_dim=network.hidden_dim,
        memory_fuser_intermediate_dim=fuser.pwconv1.out_features,
    )


def _vision(network: "SAM2VideoPredictor") -> dict[str, Any]:
    trunk, neck, side = network.image_encoder.trunk, network.image_encoder.neck, network.image_size
    ends = trunk.stage_ends
    channels = trunk.channel_list[::-1]
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": channels[0],
        "num_attention_heads": trunk.blocks[0].attn.num_heads,
        "image_size": [side, side],
        "window_positional_embedding_background_size": list(trunk.window_pos_embed_bkg_spatial_size),
        "num_query_pool_stages": len(trunk.q_pool_blocks),
        "blocks_per_stage": [end - start for start, end in zip([-1, *ends[:-1]], ends, strict=True)],
        "embed_dim_per_stage": channels,
        "num_attention_heads_per_stage": [trunk.blocks[end].attn.num_heads for end in ends],
        "window_size_per_stage": list(trunk.window_spec),
        "global_attention_blocks": list(trunk.global_att_blocks),
    }
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": list(neck.backbone_channel_list),
        "backbone_feature_sizes": [[side // stride, side // stride] for stride in (4, 8, 16)],
        "fpn_hidden_size": neck.d_model,
        "fpn_top_down_levels": list(neck.fpn_top_down_levels),
    }


def _decoder(network: "SAM2VideoPredictor") -> dict[str, Any]:
    decoder = network.sam_mask_decoder
    return {
        "hidden_size": network.hidden_dim,
        "mlp_dim": decoder.transformer.mlp_dim,
        "num_attention_heads": decoder.transformer.num_heads,
        "num_hidden_layers": decoder.transformer.depth,
        "iou_head_hidden_dim": decoder.iou_prediction_head.layers[0].out_features,
        "dynamic_multimask_via_stability": decoder.dynamic_multimask_via_stability,
        "dynamic_multimask_stability_delta": decoder.dynamic_multimask_stability_delta,
        "dynamic_multimask_stability_thresh": decoder.dynamic_multimask_stability_thresh,
    }


def _refuse_other_switches(network: "SAM2VideoPredictor") -> None:
    wanted = {
        "binarize_mask_from_pts_for_mem_enc": True,
        "directly_add_no_mem_embed": True,
        "use_high_res_features_in_sam": True,
        "use_obj_ptrs_in_encoder": True,
        "add_tpos_enc_to_obj_ptrs": True,
        "proj_tpos_enc_in_obj_ptrs": True,
        "use_signed_tpos_enc_to_obj_ptrs": True,
        "only_obj_ptrs_in_the_past_for_eval": True,
        "pred_obj_scores": True,
        "fixed_no_obj_ptr": True,
        "soft_no_obj_ptr": False,
        "non_overlap_masks_for_mem_enc": False,
        "memory_temporal_stride_for_eval": 1,
    }
    for name, value in wanted.items():
        if getattr(network, name) != value:
            raise ModelError(f"SAM2 with {name}={getattr(network, name)}: transformers' model supports only {value}")
