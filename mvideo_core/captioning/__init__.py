"""Clip -> text: a registry of captioners behind one protocol, and the cap that T5's 226 tokens ask for."""

from mvideo_core.captioning.base import CAPTIONERS, Captioner, CaptionInput
from mvideo_core.captioning.rows import CaptionOptions, caption_rows, load_captioner

__all__ = ["CAPTIONERS", "CaptionInput", "CaptionOptions", "Captioner", "caption_rows", "load_captioner"]
