"""GroundingDINO losses, missing from the package: dense on every encoder token, and on each decoder layer.

Assignment is task-aligned (Feng et al. 2021, arXiv:2108.07755): the k tokens or queries whose score^a * IoU^b is
highest learn an object, with a target that grows with IoU; several per object are fine because NMS follows.
With k = 1 they compete, which leaves few duplicates.
Shape letters: B images, S tokens or queries, L text tokens, G objects.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

TOKEN_POWERS, QUERY_POWERS = (0.5, 4.0), (1.0, 2.0)
"""Exponents of score and IoU. Queries weight the score more, so that the leading one keeps the object."""


@dataclass(frozen=True, slots=True)
class Target:
    """Ground truth of one image.

    Attributes:
        boxes_G4: xyxy fractions.
        spans_GL: rows uniform over the tokens of the object's phrase, summing to one.
        ignored_K4: boxes without negatives.
    """

    boxes_G4: Tensor
    spans_GL: Tensor
    ignored_K4: Tensor


class Losses(NamedTuple):
    """Three terms, each already divided by the sum of the target scores."""

    classes: Tensor
    giou: Tensor
    l1: Tensor

    def total(self) -> Tensor:
        """Weighted sum: 1, 2, 5."""
        return self.classes + 2.0 * self.giou + 5.0 * self.l1


class Assignment(NamedTuple):
    """Per token of one image: object index (or -1), target score, and weight of its class loss."""

    owner_S: Tensor
    quality_S: Tensor
    weight_S: Tensor


def set_loss(
    logits_BSL: Tensor, boxes_BS4: Tensor, centers_S2: Tensor | None, targets: list[Target], top_k: int
) -> Losses:
    """Losses of one set of predictions.

    Args:
        logits_BSL: before the sigmoid, real text tokens only.
        boxes_BS4: cxcywh fractions.
        centers_S2: position of each token (fractions), to restrict it to objects around it; None for queries.
        targets: ground truth of B images.
        top_k: predictions per object.
    """
    boxes_xyxy = to_xyxy(boxes_BS4)
    class_target = torch.zeros_like(logits_BSL)
    weight_BS = torch.ones_like(logits_BSL[..., 0])
    predicted, wanted, quality = [], [], []
    for b, target in enumerate(targets):
        found = assign(logits_BSL[b].detach(), boxes_xyxy[b].detach(), centers_S2, target, top_k)
        weight_BS[b] = found.weight_S
        chosen = found.owner_S >= 0
        owners = found.owner_S[chosen]
        spans = (target.spans_GL[owners] > 0).to(logits_BSL.dtype)
        class_target[b, chosen] = spans * found.quality_S[chosen, None]
        predicted.append(boxes_xyxy[b, chosen])
        wanted.append(target.boxes_G4[owners])
        quality.append(found.quality_S[chosen])
    weights = torch.cat(quality)
    norm = weights.sum().clamp(min=1.0)
    classes = (quality_focal(logits_BSL, class_target).sum(-1) * weight_BS).sum() / norm
    boxes, truth = torch.cat(predicted), torch.cat(wanted)
    giou = ((1 - pair_giou(boxes, truth)) * weights).sum() / norm
    l1 = ((boxes - truth).abs().mean(-1) * weights).sum() / norm
    return Losses(classes, giou, l1)


def assign(logits_SL: Tensor, boxes_S4: Tensor, centers_S2: Tensor | None, target: Target, top_k: int) -> Assignment:
    """Which predictions learn which object; see the module docstring. Boxes are xyxy."""
    n = len(boxes_S4)
    owner = torch.full((n,), -1, dtype=torch.long, device=boxes_S4.device)
    quality, weight = boxes_S4.new_zeros(n), boxes_S4.new_ones(n)
    points = (boxes_S4[:, :2] + boxes_S4[:, 2:]) / 2 if centers_S2 is None else centers_S2
    if len(target.ignored_K4):
        weight = 1.0 - is_inside(points, target.ignored_K4).any(1).float()
    if not len(target.boxes_G4):
        return Assignment(owner, quality, weight)
    iou_SG = cross_iou(boxes_S4, target.boxes_G4)
    score_SG = logits_SL.sigmoid() @ target.spans_GL.T
    score_power, iou_power = QUERY_POWERS if centers_S2 is None else TOKEN_POWERS
    metric_SG = score_SG.clamp(min=1e-4) ** score_power * iou_SG.clamp(min=1e-4) ** iou_power
    allowed_SG = is_inside(points, target.boxes_G4) if centers_S2 is not None else iou_SG > 0.2
    masked = torch.where(allowed_SG, metric_SG, torch.zeros_like(metric_SG))
    best = masked.topk(min(top_k, n), dim=0)
    picked_SG = torch.zeros_like(allowed_SG)
    picked_SG.scatter_(0, best.indices, best.values > 0)
    # An object without a prediction that follows the rules still gets its best one.
    orphan = ~picked_SG.any(0)
    picked_SG[metric_SG.argmax(0)[orphan], orphan.nonzero()[:, 0]] = True
    iou_picked = torch.where(picked_SG, iou_SG, torch.full_like(iou_SG, -1.0))
    chosen = picked_SG.any(1)
    owner[chosen] = iou_picked[chosen].argmax(1)
    taken = metric_SG * picked_SG
    scaled = taken / taken.amax(0).clamp(min=1e-9) * (iou_SG * picked_SG).amax(0)
    quality[chosen] = scaled[chosen, owner[chosen]].clamp(min=0.05)
    weight[chosen] = 1.0
    return Assignment(owner, quality, weight)


def quality_focal(logits: Tensor, target: Tensor) -> Tensor:
    """|target - p|^2 * BCE, elementwise (Li et al. 2020, arXiv:2006.04388)."""
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (target - logits.sigmoid()).abs().pow(2.0) * bce


def to_xyxy(boxes: Tensor) -> Tensor:
    """cxcywh -> xyxy, any leading shape."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], -1)


def is_inside(points_S2: Tensor, boxes_G4: Tensor) -> Tensor:
    """(S, G) bool: whether the point is in the box."""
    low = points_S2[:, None] > boxes_G4[None, :, :2]
    high = points_S2[:, None] < boxes_G4[None, :, 2:]
    return (low & high).all(-1)


def cross_iou(a_S4: Tensor, b_G4: Tensor) -> Tensor:
    """(S, G) IoU of xyxy boxes."""
    low = torch.maximum(a_S4[:, None, :2], b_G4[None, :, :2])
    high = torch.minimum(a_S4[:, None, 2:], b_G4[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = _area(a_S4)[:, None] + _area(b_G4)[None] - shared
    return shared / union.clamp(min=1e-9)


def pair_giou(a_N4: Tensor, b_N4: Tensor) -> Tensor:
    """(N,) generalized IoU of paired xyxy boxes (Rezatofighi et al. 2019, arXiv:1902.09630)."""
    low, high = torch.maximum(a_N4[:, :2], b_N4[:, :2]), torch.minimum(a_N4[:, 2:], b_N4[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = _area(a_N4) + _area(b_N4) - shared
    hull = (torch.maximum(a_N4[:, 2:], b_N4[:, 2:]) - torch.minimum(a_N4[:, :2], b_N4[:, :2])).clamp(min=0).prod(-1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)


def model_loss(outputs: Any, targets: list[Target], decoder_top_k: int) -> dict[str, Losses]:
    """Losses of every head of one forward pass (`mvideo_core.miniworld.training.detector_forward.Outputs`)."""
    heads = {"encoder": set_loss(outputs.token_logits, outputs.token_boxes, outputs.token_centers, targets, 9)}
    for layer, (logits, boxes) in enumerate(zip(outputs.query_logits, outputs.query_boxes, strict=True)):
        heads[f"decoder{layer}"] = set_loss(logits, boxes, None, targets, decoder_top_k)
    return heads
