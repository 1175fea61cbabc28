"""Generation task: one video, clip after clip; finished clips are kept."""

import math
import time
from collections.abc import Callable

from mvideo.tasks._bar import CountBar
from mvideo.tasks._decorators import gpu_task
from mvideo_core.generation.request import GenerateRequest
from mvideo_core.generation.request import generate as make
from mvideo_core.generation.video import GeneratedVideo

EVERY_S = 2.0


@gpu_task
def generate(request: GenerateRequest, out: str, overwrite: bool = False) -> GeneratedVideo:
    """Generate the video, or resume at the first missing clip.

    Raises:
        ConfigError, MediaError, ModelError, StoreError: as in `mvideo_core.generation`.
    """
    return make(request, out, overwrite, _progress())


def _progress() -> Callable[[int, int], None]:
    """A progress bar over the denoising steps of the video, at most every few seconds."""
    bar = CountBar("generate", "steps")
    shown_s = -math.inf

    def show(done: int, total: int) -> None:
        nonlocal shown_s
        if done == total or time.monotonic() - shown_s > EVERY_S:
            shown_s = time.monotonic()
            bar(done, total)

    return show
