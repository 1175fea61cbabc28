"""Classifier-free guidance on the text and, if requested, on the mask.

Branches of one step, from least to most conditioned; all of them include history:

    text only:      [negative text, mask]  [text, mask]
    mask and text:  [negative text, no mask]  [negative text, mask]  [text, mask]

Each branch adds its difference from the previous branch, times its scale: v = v0 + s1 (v1 - v0) + s2 (v2 - v1). With a
mask scale of 1, three branches give the same result as two.

Source: Ho & Salimans 2022 (arXiv:2207.12598); two conditions as in Brooks et al. 2023 (arXiv:2211.09800), section
3.2.1.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mvideo_core.cogvideox.conditions import Conditions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Guidance:
    """Scales; 1 turns one off.

    Attributes:
        dynamic: the text's scale s becomes 1 + s (1 - cos(pi ((steps - t) / steps)^5)) / 2 at timestep t, as in
            diffusers' CogVideoX pipelines with `use_dynamic_cfg`. There t counts training timesteps, so with few steps
            the scale jumps up and down rather than growing; it is kept as published.
    """

    text: float = 6.0
    mask: float = 1.0
    dynamic: bool = False

    def branches(self, has_mask: bool) -> "tuple[Branch, ...]":
        """The inputs that the transformer runs on at each step."""
        mask = self.mask if has_mask else 1.0
        found = [Branch(positive=self.text == 1, masked=mask == 1, scale=1.0)]
        if mask != 1:
            found.append(Branch(positive=self.text == 1, masked=True, scale=mask))
        if self.text != 1:
            found.append(Branch(positive=True, masked=True, scale=self.text))
        return tuple(found)

    def at(self, branches: "tuple[Branch, ...]", t: float, steps: int) -> "tuple[Branch, ...]":
        """The branches with their scales at timestep `t` of a generation with that many steps."""
        if not self.dynamic or self.text == 1:
            return branches
        scale = 1 + self.text * (1 - math.cos(math.pi * ((steps - t) / steps) ** 5)) / 2
        return (*branches[:-1], replace(branches[-1], scale=scale))


@dataclass(frozen=True, slots=True)
class Branch:
    """One pass: with the prompt or its negative, with the mask or without, and the scale of its difference."""

    positive: bool
    masked: bool
    scale: float


def stack_text(branches: tuple[Branch, ...], positive_BLC: "Tensor", negative_BLC: "Tensor | None") -> "Tensor":
    """Text embeddings of all branches, concatenated along the batch."""
    import torch

    chosen = [positive_BLC if branch.positive else negative_BLC for branch in branches]
    return torch.cat([text for text in chosen if text is not None])


def stack_conditions(branches: tuple[Branch, ...], conditions: Conditions) -> Conditions:
    """Conditions of all branches; a mask of zeros counts as none."""
    import torch

    batched = conditions.repeat(len(branches))
    mask = conditions.mask_BFCHW
    if mask is None:
        return batched
    masks = [mask if branch.masked else torch.zeros_like(mask) for branch in branches]
    return replace(batched, mask_BFCHW=torch.cat(masks))


def guide(branches: tuple[Branch, ...], velocity: "Tensor") -> "Tensor":
    """The guided velocity (B, ...) from that of all branches (branches * B, ...)."""
    parts = velocity.chunk(len(branches))
    result = parts[0]
    for n, branch in enumerate(branches[1:], start=1):
        result = result + branch.scale * (parts[n] - parts[n - 1])
    return result
