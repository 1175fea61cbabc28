"""Mask tools: motion conditions extracted from videos, edited, combined, resampled for the model (paper, 3.2 and 4.3).

    from mvideo_core.editing import MaskClip, apply_edits, load_masks, parse_edits, save_masks
    clip = load_masks("horse.masks")                            # sequence, fps, labels
    edited = apply_edits(clip, parse_edits(["zoom: {to: 1.4}", "reverse"]))
    save_masks("out.npz", edited.sequence, edited.fps, edited.labels)

One edit operation = one file in `operations/`; one recipe = one file in `recipes/`. Masks are stored as (frame, object)
runs throughout: pixels exist for one mask at a time, so memory grows with the runs only.
"""

from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.masks.io.clip import MaskClip

__all__ = ["MaskClip", "apply_edits", "load_masks", "parse_edits", "save_masks"]
