"""Task of stage 1, ingest."""

from mvideo.tasks._decorators import io_task
from mvideo.tasks._parts import Parts, PartsDone, finish_parts
from mvideo_core.curation.ingest.describe import IngestOptions


@io_task
def ingest(parts: Parts, options: IngestOptions) -> PartsDone:
    """Stage 1 for some parts: probe and hash the listed files."""
    return finish_parts("ingest", parts, options)
