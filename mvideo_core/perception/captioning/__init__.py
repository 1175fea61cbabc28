"""A captioner writes one caption per clip. A caption has at most `caption.max_tokens` (226) tokens of CogVideoX's text
encoder, T5; a longer one is cut at the end of a sentence.

T5 was trained on English, so captions in other scripts are of little use to it.
"""

from mvideo_core.perception.captioning.base import CAPTIONERS, Answer, Captioner, CaptionInput, in_order
from mvideo_core.perception.captioning.options import CaptionOptions
from mvideo_core.perception.captioning.rows import caption_rows, load_captioner

__all__ = [
    "CAPTIONERS", "Answer", "CaptionInput", "CaptionOptions", "Captioner", "caption_rows", "in_order", "load_captioner",
]  # fmt: skip
