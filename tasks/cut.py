"""Task of stage 2, cut."""

from mvideo_core.scenes.cut import CutOptions
from tasks._decorators import io_task
from tasks._parts import Parts, PartsDone, finish_parts


@io_task
def cut(parts: Parts, options: CutOptions) -> PartsDone:
    """Stage 2 for some parts: shots, and the clips cut from them."""
    return finish_parts("cut", parts, options)
