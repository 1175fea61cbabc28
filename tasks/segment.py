"""Task of stage 4, segment."""

from mvideo.tasks._decorators import gpu_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.perception.segmentation.gate import SegmentOptions


@gpu_task
def segment(parts: Parts, options: SegmentOptions) -> PartsDone:
    """Stage 4 for some parts: mask sequences of the boxed objects."""
    return finish_parts("segment", parts, options)
