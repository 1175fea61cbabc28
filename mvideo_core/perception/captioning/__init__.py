"""Clip -> caption: a registry of captioners with one protocol, and the length limit set by T5's 226 tokens."""

from mvideo_core.perception.captioning.base import CAPTIONERS, Answer, Captioner, CaptionInput, in_order
from mvideo_core.perception.captioning.options import CaptionOptions
from mvideo_core.perception.captioning.rows import caption_rows, load_captioner

__all__ = [
    "CAPTIONERS", "Answer", "CaptionInput", "CaptionOptions", "Captioner", "caption_rows", "in_order", "load_captioner",
]  # fmt: skip
