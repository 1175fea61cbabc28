"""Task of stage 4, segment."""

from mvideo_core.segmentation.gate import SegmentOptions
from tasks._decorators import gpu_task
from tasks._parts import Parts, PartsDone, finish_parts


@gpu_task
def segment(parts: Parts, options: SegmentOptions) -> PartsDone:
    """Stage 4 for some parts: mask sequences of the boxed objects."""
    return finish_parts("segment", parts, options)
