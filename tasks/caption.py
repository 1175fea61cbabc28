"""Task of stage 5, caption."""

from mvideo.tasks._decorators import io_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.perception.captioning.rows import CaptionOptions


@io_task
def caption(parts: Parts, options: CaptionOptions) -> PartsDone:
    """Stage 5 for some parts: one text per clip."""
    return finish_parts("caption", parts, options)
