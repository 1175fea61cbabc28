"""Task of stage 2, cut."""

from mvideo.tasks._decorators import io_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.curation.scenes.cut import CutOptions


@io_task
def cut(parts: Parts, options: CutOptions) -> PartsDone:
    """Stage 2 for some parts: shots, and the clips cut from them."""
    return finish_parts("cut", parts, options)
