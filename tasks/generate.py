"""Task of generation: one video, clip after clip; what is finished is kept."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from mvideo_core.generation.request import GeneratedVideo, GenerateRequest
from mvideo_core.generation.request import generate as make
from tasks._decorators import gpu_task

log = logging.getLogger(__name__)


@gpu_task
def generate(request: GenerateRequest, out: str, overwrite: bool = False) -> GeneratedVideo:
    """Make the video, or go on at the first clip that is missing.

    Raises:
        ConfigError, MediaError, ModelError, StoreError: as `mvideo_core.generation` says.
    """
    return make(request, out, overwrite, ClipBoard())


class ClipBoard:
    """A progress bar "generate-progress" over the clips of the video."""

    def __init__(self) -> None:
        self.artifact: UUID | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show how many clips are there."""
        text = f"{done} of {total} clips"
        log.info("generating: %s", text)
        try:
            if self.artifact is None:
                found = create_progress_artifact(100 * done / total, key="generate-progress", description=text)
                assert isinstance(found, UUID)
                self.artifact = found
            else:
                update_progress_artifact(self.artifact, 100 * done / total, description=text)
        except (PrefectException, OSError) as error:  # for the eye alone
            log.warning("generate-progress not shown: %s", error)
