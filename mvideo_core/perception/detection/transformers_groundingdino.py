"""GroundingDINO and MM-Grounding-DINO from the transformers library; same prompt and span mapping.

A model folder is in `from_pretrained` format: `config.json`, `model.safetensors`, and its BERT's `vocab.txt`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ModelError
from mvideo_core.base.options import Options
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.arch import GroundingDinoArch
from mvideo_core.perception.detection.base import (
    Detections,
    Frames,
    candidates,
    frames_as_list,
    indices_by_shape,
    merge,
)
from mvideo_core.perception.detection.groundingdino import bert_tokenizer, preprocess, read_tokenizer
from mvideo_core.perception.detection.prompt import Prompt, build_prompts, phrase_scores
from mvideo_core.perception.transfers import Precision, autocast
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words


class TransformersOptions(Options):
    """Weights, input size and batch size."""

    weights: str = Field(default="hf-grounding-dino-tiny", description="catalog name or model folder")
    batch_size: int = Field(default=8, ge=1, description="frames per forward pass; affects memory, not results")
    score_floor: float = Field(default=0.05, ge=0, le=1, description="minimum score of returned candidates")
    precision: Precision = Field(default="fp32", description="bf16 = autocast on CUDA; CPUs always use fp32")
    short_side_px: int = Field(default=800, ge=32, description="frames are resized to this short side")
    long_side_px: int = Field(
        default=1333, ge=32, description="maximum long side; takes precedence over the short side"
    )


class MMOptions(TransformersOptions):
    """The same options, with MM-Grounding-DINO's weights by default."""

    weights: str = Field(default="hf-mm-grounding-dino-tiny", description="catalog name or model folder")


class TransformersDetector:
    """Common base class; a subclass sets its model classes."""

    Options: ClassVar = TransformersOptions
    model_class: ClassVar[str]
    config_class: ClassVar[str]
    model_type: ClassVar[str]

    def __init__(self, model: Any, tokenizer: Any, options: Any, device: str, model_name: str, weights_sha256: str):
        import torch

        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.options = options
        self.device = device
        self.model_name = model_name
        self.weights_sha256 = weights_sha256
        # transformers hard-codes the ids of bert-base-uncased in the class; other vocabularies have different ids.
        ids = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"])
        model.model.special_tokens = torch.tensor(ids, device=device)
        self.arch = GroundingDinoArch(short_side_px=options.short_side_px, long_side_px=options.long_side_px)

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load a detector from a model folder; every weight must match.

        Raises:
            ModelError: weights missing, of another model type, or not matching config.json.
        """
        import transformers

        from mvideo_core.base.digests import file_sha256
        from mvideo_core.weights import find

        folder = find(options.weights, kind="detector")
        cls._check_type(folder)
        path = folder / "model.safetensors"
        if not path.is_file():
            raise ModelError(f"{path}: missing; only safetensors are supported")
        try:
            model, report = getattr(transformers, cls.model_class).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
        except RAISED_BY_LOADERS as error:
            check_memory(folder, error)
            raise ModelError(f"{folder}: transformers cannot load it: {plain_words(error)}") from None
        problems = {
            key: sorted(map(str, report[key]))[:4] for key in ("missing_keys", "mismatched_keys") if report[key]
        }
        if problems:
            raise ModelError(f"{folder}: the weights do not match its config.json: {problems}")
        name = f"{cls.model_type}/{folder.name}"
        return cls(model, read_tokenizer(folder), options, device, name, file_sha256(path))

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Random weights, two layers; knows the words of COCO-80."""
        import torch
        import transformers

        from mvideo_core.perception.detection.coco import COCO80
        from mvideo_core.perception.detection.convert import transformers_config
        from mvideo_core.perception.detection.state import parameters_sha256

        words = sorted({word for name in COCO80 for word in name.split()})
        vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words]
        shared = transformers_config(GroundingDinoArch.tiny(len(vocab))).to_dict()
        config = getattr(transformers, cls.config_class)(**{k: v for k, v in shared.items() if k != "model_type"})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = getattr(transformers, cls.model_class)(config)
        torch.nn.init.constant_(model.model.decoder.layer_norm.weight, 0.05)
        options = cls.Options(score_floor=0.0, short_side_px=64, long_side_px=128)
        return cls(model, bert_tokenizer(vocab), options, "cpu", f"{cls.model_type}/tiny", parameters_sha256(model))

    def detect(self, frames_BHWC: Frames, phrases: Sequence[str]) -> list[Detections]:
        """Candidates of each frame above `score_floor`; see `Detector.detect`."""
        frames = frames_as_list(frames_BHWC)
        prompts = build_prompts(phrases, self.tokenizer, self.model.config.max_text_len)
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

        text = self.tokenizer([prompt.caption] * len(images_BCHW), return_tensors="pt").to(self.device)
        with torch.inference_mode():
            with autocast(self.device, self.options.precision):
                out = self.model(pixel_values=images_BCHW, **text)
            scores_BQK = phrase_scores(out.logits, prompt)
            boxes_BQ4 = out.pred_boxes.float().cpu().numpy()
        return [
            candidates(boxes, scores, prompt.phrases, (size_hw[0], size_hw[1]), self.options.score_floor)
            for boxes, scores in zip(boxes_BQ4, scores_BQK, strict=True)
        ]

    @classmethod
    def _check_type(cls, folder: Path) -> None:
        try:
            seen = dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))).get("model_type")
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{folder}/config.json: {error}; expected a transformers model folder") from None
        if seen != cls.model_type:
            raise ModelError(f"{folder}: model_type {seen!r}; this detector needs {cls.model_type!r}")


@DETECTORS.register("transformers-groundingdino")
class TransformersGroundingDino(TransformersDetector):
    """transformers.GroundingDinoForObjectDetection."""

    model_class = "GroundingDinoForObjectDetection"
    config_class = "GroundingDinoConfig"
    model_type = "grounding-dino"


@DETECTORS.register("transformers-mm-groundingdino")
class TransformersMMGroundingDino(TransformersDetector):
    """transformers.MMGroundingDinoForObjectDetection (class head with a learned bias)."""

    Options: ClassVar = MMOptions
    model_class = "MMGroundingDinoForObjectDetection"
    config_class = "MMGroundingDinoConfig"
    model_type = "mm-grounding-dino"
