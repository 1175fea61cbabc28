"""Mask sequences of a clip: lossless, overlapping objects allowed, measured without decoding to pixels.

    from mvideo_core.masks import MaskSequence, encode, from_bytes
    sequence = encode(masks_TNHW)          # or MaskWriter: one frame at a time
    data = sequence.to_bytes()             # what a `.masks` file holds; the format is described in `packing.py`
    frame_NHW = from_bytes(data).frame(5)

`measure.py` computes area, box, IoU, union and intersection on the code.
"""

from mvideo_core.masks.codec import MaskSequence, MaskWriter, encode, from_bytes

__all__ = ["MaskSequence", "MaskWriter", "encode", "from_bytes"]
