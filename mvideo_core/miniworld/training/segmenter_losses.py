"""Training losses of the mini SAM2: masks (local cross entropy + dice), predicted IoU, presence.

Shape letters: M objects, h and w the sides of the mask logits. Source of the mix: SAM 2 (arXiv:2408.00714, appendix D),
with cross entropy weighted around the object instead of focal loss.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class FrameLoss(NamedTuple):
    """One frame's loss and, for the log, the mean J of the objects that are present."""

    loss: "Tensor"
    mean_j: float


def frame_loss(logits: "Tensor", ious: "Tensor", scores: "Tensor", coverage: "Tensor", presence: float) -> FrameLoss:
    """Loss of one frame over all objects.

    Args:
        logits: mask logits (M, 1, h, w); rows with a presence score of 0 or less are constant and give no gradient.
        ious: predicted IoU (M, 1) in [0, 1].
        scores: presence logits (M, 1).
        coverage: truth (M, 2h, 2w) in [0, 1].
        presence: weight of the presence term; 0 while every prompted object is present.
    """
    import torch
    import torch.nn.functional as F

    there = coverage.flatten(1).amax(1) > 0
    usable = there & (scores[:, 0] > 0)
    loss = presence * F.binary_cross_entropy_with_logits(scores[:, 0], there.float())
    if not bool(usable.any()):
        return FrameLoss(loss, float("nan"))
    truth = coverage[usable]
    fine = F.interpolate(logits[usable], size=truth.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    probability = fine.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(fine, truth, reduction="none")
    weight = weight_near(truth)
    local = (entropy * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)
    shared = (probability * truth).flatten(1).sum(1)
    dice = 1 - (2 * shared + 1) / (probability.flatten(1).sum(1) + truth.flatten(1).sum(1) + 1)
    with torch.no_grad():
        hard, true = fine > 0, truth > 0.5
        j = (hard & true).flatten(1).sum(1) / (hard | true).flatten(1).sum(1).clamp(min=1)
    quality = F.mse_loss(ious[usable, 0], j.float())
    return FrameLoss(loss + (2 * local + dice).mean() + 0.5 * quality, float(j.mean()))


def weight_near(truth: "Tensor") -> "Tensor":
    """Weights (M, h, w): 1 within a tenth of the frame of the object, 0.1 elsewhere, so that small objects count."""
    import torch.nn.functional as F

    reach = truth.shape[-1] // 10
    coarse = F.max_pool2d(truth[:, None], 4, 4)
    around = F.max_pool2d(coarse, 2 * (reach // 4) + 1, 1, reach // 4)
    return 0.1 + 0.9 * (F.interpolate(around, size=truth.shape[-2:], mode="nearest")[:, 0] > 0).float()
