"""Task of stage 3, detect."""

from mvideo.tasks._decorators import gpu_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.perception.detection.select import DetectOptions


@gpu_task
def detect(parts: Parts, options: DetectOptions) -> PartsDone:
    """Stage 3 for some parts: boxes and classes on first frames."""
    return finish_parts("detect", parts, options)
