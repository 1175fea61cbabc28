"""Task of generation: one video, clip after clip; what is finished is kept."""

import logging
from collections.abc import Callable

from mvideo.tasks._bar import CountBar
from mvideo.tasks._decorators import gpu_task
from mvideo_core.generation.request import GenerateRequest
from mvideo_core.generation.request import generate as make
from mvideo_core.generation.video import GeneratedVideo

log = logging.getLogger(__name__)


@gpu_task
def generate(request: GenerateRequest, out: str, overwrite: bool = False) -> GeneratedVideo:
    """Make the video, or go on at the first clip that is missing.

    Raises:
        ConfigError, MediaError, ModelError, StoreError: as `mvideo_core.generation` says.
    """
    return make(request, out, overwrite, _shown())


def _shown() -> Callable[[int, int], None]:
    """A progress bar over the clips of the video."""
    bar = CountBar("generate", "clips")

    def show(done: int, total: int) -> None:
        log.info("generating: %d of %d clips", done, total)
        bar(done, total)

    return show
