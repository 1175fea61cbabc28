"""groundingdino-py -> transformers: the same network with different names.

`to_transformers(state)` renames a package state dict (GroundingDINO, text enhancer and fusion on) to the keys of
`transformers.GroundingDinoForObjectDetection`, one to one, with four exceptions:

* packed attention: `in_proj` (package attention) and `qkv` (Swin) are split into query, key and value;
* `relative_position_index` is computed by both and dropped; Swin's final norm and BERT's pooler, which only one side
  has and neither uses, are dropped or kept;
* boxes within 1e-3 of the frame's edge: the package clamps there when it refines a box (inverse_sigmoid),
  transformers at 1e-5; such a box may differ by up to 1e-3 of the frame, all others agree to rounding;
* the box head shared by all decoder layers is stored once per layer on both sides.

`transformers_config(arch)` returns the config with which both compute the same function.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.disk import new_folder, obey_umask
from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.perception.detection.arch import GroundingDinoArch
from mvideo_core.weights.reading import bars_on_terminals_only

if TYPE_CHECKING:
    from mvideo_core.perception.detection.groundingdino import GroundingDinoDetector

RULES: tuple[tuple[str, str], ...] = (
    (r"^backbone\.0\.patch_embed\.", "model.backbone.conv_encoder.model.swin.embeddings."),
    (r"swin\.embeddings\.proj\.", "swin.embeddings.patch_embeddings.projection."),
    (r"^backbone\.0\.norm1\.", "model.backbone.conv_encoder.model.hidden_states_norms.stage2."),
    (r"^backbone\.0\.norm2\.", "model.backbone.conv_encoder.model.hidden_states_norms.stage3."),
    (r"^backbone\.0\.norm3\.", "model.backbone.conv_encoder.model.hidden_states_norms.stage4."),
    (r"^backbone\.0\.layers\.", "model.backbone.conv_encoder.model.swin.encoder.layers."),
    (r"(swin\.encoder.*)\.norm1\.", r"\1.layernorm_before."),
    (r"(swin\.encoder.*)\.norm2\.", r"\1.layernorm_after."),
    (r"(swin\.encoder.*)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(swin\.encoder.*)\.attn\.qkv\.", r"\1.attention.qkv."),
    (r"\.attn\.relative_position_bias_table$", ".attention.relative_position_bias.relative_position_bias_table"),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map\.", "model.text_projection."),
    (r"^input_proj\.", "model.input_proj_vision."),
    (r"^transformer\.level_embed$", "model.level_embed"),
    (r"^transformer\.tgt_embed\.", "model.query_position_embeddings."),
    (r"^transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"^transformer\.(enc_output|enc_output_norm)\.", r"model.\1."),
    (r"^transformer\.encoder\.layers\.(\d+)\.", r"model.encoder.layers.\1.deformable_layer."),
    (r"^transformer\.encoder\.text_layers\.(\d+)\.", r"model.encoder.layers.\1.text_enhancer_layer."),
    (r"^transformer\.encoder\.fusion_layers\.(\d+)\.", r"model.encoder.layers.\1.fusion_layer."),
    (r"^transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
    (r"^transformer\.decoder\.", "model.decoder."),
    (r"(deformable_layer)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(deformable_layer)\.norm2\.", r"\1.final_layer_norm."),
    (r"(text_enhancer_layer)\.norm1\.", r"\1.layer_norm_before."),
    (r"(text_enhancer_layer)\.norm2\.", r"\1.layer_norm_after."),
    (r"(deformable_layer|text_enhancer_layer|decoder\.layers\.\d+)\.linear([12])\.", r"\1.fc\2."),
    (r"fusion_layer\.gamma_v$", "fusion_layer.vision_param"),
    (r"fusion_layer\.gamma_l$", "fusion_layer.text_param"),
    (r"fusion_layer\.layer_norm_v\.", "fusion_layer.layer_norm_vision."),
    (r"fusion_layer\.layer_norm_l\.", "fusion_layer.layer_norm_text."),
    (r"fusion_layer\.attn\.(values_|out_)?v_proj\.", r"fusion_layer.attn.\1vision_proj."),
    (r"fusion_layer\.attn\.(values_|out_)?l_proj\.", r"fusion_layer.attn.\1text_proj."),
    (r"(decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"(decoder\.layers\.\d+)\.norm1\.", r"\1.encoder_attn_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"(decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    (r"(decoder\.layers\.\d+)\.ca_text\.", r"\1.encoder_attn_text."),
    (r"(decoder\.layers\.\d+)\.catext_norm\.", r"\1.encoder_attn_text_layer_norm."),
)
"""(pattern, replacement), applied in order, wherever they match."""
UNUSED = re.compile(r"swin\.layernorm\.(weight|bias)$")
"""A norm that transformers' Swin has and GroundingDINO does not use."""


def save_transformers(detector: "GroundingDinoDetector", folder: Path) -> None:
    """Write the folder that detector "transformers-groundingdino" reads: config.json, model.safetensors, vocab.txt.

    Raises:
        ModelError: sizes that transformers does not support, or an unmatched weight.
        StoreError: the folder already exists or cannot be written.
    """
    if folder.exists():
        raise StoreError(f"{folder}: already exists; use a new folder")
    from transformers import GroundingDinoForObjectDetection

    model = GroundingDinoForObjectDetection(transformers_config(detector.arch)).eval()
    report = model.load_state_dict(to_transformers(detector.model.state_dict()), strict=False)
    odd = [name for name in (*report.missing_keys, *report.unexpected_keys) if not UNUSED.search(name)]
    if odd:
        raise ModelError(f"{len(odd)} weights have no match in transformers' GroundingDino, e.g. {odd[0]}")
    vocabulary = detector.tokenizer.get_vocab()
    words = "".join(f"{word}\n" for word in sorted(vocabulary, key=vocabulary.__getitem__))
    with new_folder(folder) as part, bars_on_terminals_only():
        model.save_pretrained(part)
        (part / "vocab.txt").write_text(words, encoding="utf-8")
        obey_umask(part)


def to_transformers(state: dict[str, Any]) -> dict[str, Any]:
    """Convert the package's state dict (complete, including shared names) to `GroundingDinoForObjectDetection`."""
    converted: dict[str, Any] = {}
    for name, value in state.items():
        if name.endswith("relative_position_index") or name.startswith("bert.pooler."):
            continue
        for pattern, replacement in RULES:
            name = re.sub(pattern, replacement, name)
        for part_name, part in _unpack_attention(name, value):
            converted[part_name] = part
    return converted


def transformers_config(arch: GroundingDinoArch) -> Any:
    """`GroundingDinoConfig` of the same network.

    Raises:
        ModelError: sizes that transformers does not support.
    """
    from transformers import BertConfig, GroundingDinoConfig, SwinConfig

    if not (arch.use_text_enhancer and arch.use_fusion_layer) or arch.hidden_dim != 256:
        raise ModelError(
            f"this model has use_text_enhancer {arch.use_text_enhancer}, use_fusion_layer {arch.use_fusion_layer}, "
            f"hidden_dim {arch.hidden_dim}; transformers' GroundingDino always has text enhancer and fusion layers, "
            "and is 256 wide here: use it with the detector groundingdino, without conversion"
        )
    swin = SwinConfig(
        embed_dim=arch.embed_dim, depths=list(arch.depths), num_heads=list(arch.num_heads),
        window_size=arch.window_size,
        out_features=["stage2", "stage3", "stage4"],  # type: ignore[call-arg]  # transformers' generated signature hides it
    )  # fmt: skip
    return GroundingDinoConfig(
        backbone_config=swin, text_config=BertConfig(**arch.bert.model_dump()), d_model=arch.hidden_dim,
        encoder_layers=arch.enc_layers, decoder_layers=arch.dec_layers, encoder_ffn_dim=arch.dim_feedforward,
        decoder_ffn_dim=arch.dim_feedforward, encoder_attention_heads=arch.nheads, dropout=0.0,
        decoder_attention_heads=arch.nheads, num_queries=arch.num_queries, num_feature_levels=arch.num_feature_levels,
        encoder_n_points=arch.enc_n_points, decoder_n_points=arch.dec_n_points, max_text_len=arch.max_text_len,
        embedding_init_target=arch.embed_init_tgt, two_stage=True, two_stage_bbox_embed_share=False,
        decoder_bbox_embed_share=True, disable_custom_kernels=True,
    )  # fmt: skip


def _unpack_attention(name: str, value: Any) -> list[tuple[str, Any]]:
    """Split packed attention weights into three entries; anything else is unchanged."""
    if ".attention.qkv." in name:
        parts, head = ("q_proj", "k_proj", "v_proj"), name.replace(".qkv.", ".{}.")
    elif name.endswith((".in_proj_weight", ".in_proj_bias")):
        parts, head = ("query", "key", "value"), name.replace(".in_proj_", ".{}.")
    else:
        return [(name, value)]
    return [(head.format(part), piece) for part, piece in zip(parts, value.chunk(3), strict=True)]
