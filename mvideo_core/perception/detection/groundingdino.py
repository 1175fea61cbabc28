"""GroundingDINO with groundingdino-py (Liu et al. 2023, arXiv:2303.05499), offline, at any size.

A model folder contains `config.json` (GroundingDinoArch), `model.safetensors` or the official `.pth`, and
`bert/{config.json,vocab.txt,tokenizer_config.json}`; BERT's weights are in the detector's file.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.disk import write_tensors
from mvideo_core.base.errors import ModelError
from mvideo_core.base.listing import read_lines
from mvideo_core.base.options import Options
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.arch import BertArch, GroundingDinoArch
from mvideo_core.perception.detection.base import (
    Detections,
    Frames,
    candidates,
    frames_as_list,
    indices_by_shape,
    merge,
)
from mvideo_core.perception.detection.prompt import Prompt, build_prompts, phrase_scores
from mvideo_core.perception.detection.state import load_state, read_state
from mvideo_core.perception.transfers import Precision, Upload, autocast
from mvideo_core.weights.reading import plain_words

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


class GroundingDinoOptions(Options):
    """Weights and batch size."""

    weights: str = Field(default="mini", description='"mini", a catalog name ("swint-ogc"), or a model folder')
    batch_size: int = Field(default=8, ge=1, description="frames per forward pass; affects memory, not results")
    score_floor: float = Field(default=0.05, ge=0, le=1, description="minimum score of returned candidates")
    precision: Precision = Field(default="fp32", description="bf16 = autocast on CUDA; CPUs always use fp32")


def build_groundingdino(arch: GroundingDinoArch, tokenizer: Any) -> Any:
    """Build the package's GroundingDINO with random weights, at any size, without a download.

    Args:
        arch: sizes. A `hidden_dim` other than 256 needs `use_text_enhancer=False`: the package hard-codes the width of
            that layer's position encoding.
        tokenizer: fast BERT tokenizer with `arch.bert.vocab_size` word pieces or fewer.

    Returns:
        torch.nn.Module in training mode.

    Raises:
        ModelError: the package is missing, or the sizes are inconsistent.
    """
    from transformers import BertConfig, BertModel

    from mvideo_core.perception.detection._bert_shim import TextEncoder, groundingdino_package

    package = groundingdino_package()
    if arch.use_text_enhancer and arch.hidden_dim != 256:
        raise ModelError(
            f"hidden_dim {arch.hidden_dim}: the package's text enhancer is 256 wide; disable it or use 256"
        )
    if len(tokenizer) > arch.bert.vocab_size:
        raise ModelError(f"vocabulary of {len(tokenizer)} pieces, bert.vocab_size {arch.bert.vocab_size}")
    args = _package_args(arch)
    bert = BertModel(BertConfig(**arch.bert.model_dump()))
    swin = package.SwinTransformer(
        embed_dim=arch.embed_dim, depths=list(arch.depths), num_heads=list(arch.num_heads),
        window_size=arch.window_size, drop_path_rate=arch.drop_path_rate, out_indices=(1, 2, 3),
    )  # fmt: skip
    backbone = package.Joiner(swin, package.build_position_encoding(args))
    backbone.num_channels = swin.num_features[1:]
    model = package.GroundingDINO(
        backbone, package.build_transformer(args), num_queries=arch.num_queries, aux_loss=True, iter_update=True,
        query_dim=4, num_feature_levels=arch.num_feature_levels, nheads=arch.nheads, two_stage_type="standard",
        dec_pred_bbox_embed_share=True, two_stage_bbox_embed_share=False, two_stage_class_embed_share=False,
        text_encoder_type=TextEncoder(tokenizer, bert), sub_sentence_present=True, max_text_len=arch.max_text_len,
    )  # fmt: skip
    if arch.hidden_dim != 256:
        # The package encodes a query's box in 4 x 128 channels regardless of the width, so the next layer must match.
        model.transformer.decoder.ref_point_head = package.MLP(512, arch.hidden_dim, arch.hidden_dim, 2)
    return model


def bert_tokenizer(vocab: Sequence[str]) -> Any:
    """Fast, lower-casing BERT tokenizer from a list of word pieces (including special tokens)."""
    from transformers import BertTokenizer

    return BertTokenizer(vocab={piece: index for index, piece in enumerate(vocab)}, do_lower_case=True)


def read_tokenizer(folder: Path) -> Any:
    """Load the tokenizer from a model folder's `bert/` (vocab.txt, one word piece per line).

    Raises:
        ModelError: no vocab.txt, or it lacks a special token.
    """
    path = folder / "vocab.txt"
    if not path.is_file():
        raise ModelError(f"{path}: missing; copy the vocab.txt of bert-base-uncased (or of this model) there")
    vocab = read_lines(path, "vocabulary")
    missing = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "?"} - set(vocab)
    if missing:
        raise ModelError(f"{path}: not a BERT vocabulary; missing {sorted(missing)}")
    return bert_tokenizer(vocab)


def preprocess(frames_BHWC: np.ndarray, arch: GroundingDinoArch, device: str) -> Any:
    """(B, 3, h, w) float tensor: resized (bilinear, antialiased), ImageNet-normalized."""
    import torch
    from torch.nn import functional

    images = Upload(np.ascontiguousarray(frames_BHWC), device).tensor().permute(0, 3, 1, 2).float().div_(255)
    size = arch.size_for(*frames_BHWC.shape[1:3])
    if size != tuple(images.shape[-2:]):
        images = functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))
    return (images - mean) / std


@DETECTORS.register("groundingdino")
class GroundingDinoDetector:
    """The package model behind the `Detector` protocol; public and mini weights use the same code path."""

    Options: ClassVar = GroundingDinoOptions

    def __init__(self, model: Any, tokenizer: Any, arch: GroundingDinoArch, options: GroundingDinoOptions,
                 device: str, model_name: str, weights_sha256: str):  # fmt: skip
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.arch = arch
        self.options = options
        self.device = device
        self.model_name = model_name
        self.weights_sha256 = weights_sha256

    @classmethod
    def load(cls, options: GroundingDinoOptions, device: str = "cpu") -> Self:
        """Load a detector from a model folder.

        Raises:
            ModelError: weights missing (the message says where to get them and where to put them) or incompatible.
        """
        from mvideo_core.weights import find

        folder = find(options.weights, kind="detector")
        arch = read_arch(folder)
        tokenizer = read_tokenizer(folder / "bert")
        path, state = read_state(folder)
        model = build_groundingdino(arch, tokenizer)
        load_state(model, state, path)
        digest = file_sha256(path)
        return cls(model, tokenizer, arch, options, device, f"groundingdino/{folder.name}", digest)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Random weights, two layers; knows the words of COCO-80."""
        import torch

        from mvideo_core.perception.detection.coco import COCO80
        from mvideo_core.perception.detection.state import parameters_sha256

        words = sorted({word for name in COCO80 for word in name.split()})
        vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words]
        arch = GroundingDinoArch.tiny(vocab_size=len(vocab))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_groundingdino(arch, bert_tokenizer(vocab))
            # Untrained logits reach +-16 and saturate; tests need distinct scores.
            torch.nn.init.constant_(model.transformer.decoder.norm.weight, 0.05)
        options = GroundingDinoOptions(score_floor=0.0)
        return cls(model, bert_tokenizer(vocab), arch, options, "cpu", "groundingdino/tiny", parameters_sha256(model))

    def detect(self, frames_BHWC: Frames, phrases: Sequence[str]) -> list[Detections]:
        """Candidates of each frame above `score_floor`; see `Detector.detect`."""
        frames = frames_as_list(frames_BHWC)
        prompts = build_prompts(phrases, self.tokenizer, self.arch.max_text_len)
        found: list[Detections | None] = [None] * len(frames)
        for indices in indices_by_shape(frames).values():
            for start in range(0, len(indices), self.options.batch_size):
                batch = indices[start : start + self.options.batch_size]
                images = preprocess(np.stack([frames[i] for i in batch]), self.arch, self.device)
                parts = [self._ask(images, prompt, frames[batch[0]].shape[:2]) for prompt in prompts]
                for place, i in enumerate(batch):
                    found[i] = merge([part[place] for part in parts])
        return [item for item in found if item is not None]

    def _ask(self, images_BCHW: Any, prompt: Prompt, size_hw: tuple[int, ...]) -> list[Detections]:
        import torch

        with torch.inference_mode():
            with autocast(self.device, self.options.precision):
                out = self.model(images_BCHW, captions=[prompt.caption] * len(images_BCHW))
            scores_BQK = phrase_scores(out["pred_logits"], prompt)
            boxes_BQ4 = out["pred_boxes"].float().cpu().numpy()
        height, width = size_hw[:2]
        return [
            candidates(boxes, scores, prompt.phrases, (height, width), self.options.score_floor)
            for boxes, scores in zip(boxes_BQ4, scores_BQK, strict=True)
        ]


def read_arch(folder: Path) -> GroundingDinoArch:
    """Read the sizes from a model folder's config.json.

    Raises:
        ModelError: missing or invalid.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; a model folder needs config.json, model.safetensors and bert/") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not JSON ({plain_words(error)}); copy the model folder again") from None
    return GroundingDinoArch.parse(values, where=str(path))


def write_model_folder(
    folder: Path, model: Any, arch: GroundingDinoArch, vocab: Sequence[str], half: bool = True
) -> None:
    """Write a model folder for `load`: config, weights (fp16 if `half`; loaded as fp32), vocabulary."""
    from mvideo_core.perception.detection.state import save_state

    (folder / "bert").mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(arch.model_dump(mode="json"), indent=2) + "\n")
    (folder / "bert" / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    (folder / "bert" / "config.json").write_text(_bert_config_text(arch.bert))
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "bert" / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2) + "\n")
    state = save_state(model)
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    write_tensors(folder / "model.safetensors", state)


def _bert_config_text(bert: BertArch) -> str:
    return json.dumps({"model_type": "bert", **bert.model_dump(mode="json")}, indent=2) + "\n"


def _package_args(arch: GroundingDinoArch) -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(
        position_embedding="sine", pe_temperatureH=20, pe_temperatureW=20, pre_norm=False, dropout=0.0, query_dim=4,
        num_patterns=0, two_stage_type="standard", transformer_activation="relu", use_checkpoint=False,
        use_transformer_ckpt=False, use_text_cross_attention=True, text_dropout=0.0, fusion_dropout=0.0,
        **{name: getattr(arch, name) for name in (
            "hidden_dim", "nheads", "num_queries", "dim_feedforward", "enc_layers", "dec_layers", "num_feature_levels",
            "enc_n_points", "dec_n_points", "embed_init_tgt", "use_text_enhancer", "use_fusion_layer",
            "fusion_droppath",
        )},
    )  # fmt: skip
