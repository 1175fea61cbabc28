"""The package's forward pass with all outputs that training needs: every encoder token and every decoder layer.

Hooks collect what the package computes and discards; none of its code is rewritten.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Outputs:
    """All supervised outputs; boxes are cxcywh fractions, logits cover the actual text tokens.

    Attributes:
        token_logits, token_boxes: (B, S, L), (B, S, 4) of the encoder tokens that may become queries.
        token_centers: (S, 2) fractions.
        query_logits, query_boxes: per decoder layer (B, Q, L), (B, Q, 4).
    """

    token_logits: Tensor
    token_boxes: Tensor
    token_centers: Tensor
    query_logits: list[Tensor]
    query_boxes: list[Tensor]


class TrainingForward:
    """Callable wrapper of one model; create only one per model, as hooks stay registered."""

    def __init__(self, model: Any):
        self.model = model
        self._caught: dict[str, Any] = {}
        head = model.transformer
        head.enc_out_class_embed.register_forward_hook(self._catch("token_logits"))
        head.enc_out_bbox_embed.register_forward_hook(self._catch("token_deltas"))
        head.decoder.register_forward_hook(self._catch("decoder"))
        head.encoder.register_forward_hook(self._catch("encoder"))
        model.backbone.register_forward_hook(self._catch("backbone"))

    def __call__(self, images_BCHW: Tensor, caption: str, n_tokens: int) -> Outputs:
        """Run the model on images that share a caption of `n_tokens` tokens."""
        out = self.model(images_BCHW, captions=[caption] * len(images_BCHW))
        caught = self._caught
        shapes = [tuple(level.tensors.shape[-2:]) for level in caught["backbone"][0]]
        proposals, valid = (values.to(images_BCHW.device) for values in anchor_logits(shapes))
        boxes = (caught["token_deltas"].float()[:, valid] + proposals[valid]).sigmoid()
        hidden, _ = caught["decoder"]
        logits = [self._classes(layer, n_tokens) for layer in hidden[:-1]] + [
            out["pred_logits"][..., :n_tokens].float()
        ]
        refined = [reference.float() for reference in caught["decoder"][1][1:-1]] + [out["pred_boxes"].float()]
        token_logits = caught["token_logits"][:, valid, :n_tokens].float()
        return Outputs(token_logits, boxes, proposals[valid, :2].sigmoid(), logits, refined)

    def _classes(self, hidden_BQC: Tensor, n_tokens: int) -> Tensor:
        text = self._caught["encoder"][1]  # after fusion, if any
        return (hidden_BQC @ text.transpose(-1, -2))[..., :n_tokens].float()

    def _catch(self, name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            self._caught[name] = output

        return hook


def anchor_logits(shapes: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """(S, 4) inverse-sigmoid cxcywh anchors of unpadded maps and (S,) which ones the package uses, by its formula.

    Width and height are 0.05 * 2^level of the frame; anchors within 1% of an edge are not used.
    """
    levels = []
    for level, (height, width) in enumerate(shapes):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        center = torch.stack([(x + 0.5) / width, (y + 0.5) / height], -1).reshape(-1, 2)
        levels.append(torch.cat([center, torch.full_like(center, 0.05 * 2.0**level)], -1))
    anchors = torch.cat(levels)
    valid = ((anchors > 0.01) & (anchors < 0.99)).all(-1)
    return torch.logit(anchors), valid
