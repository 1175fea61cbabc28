"""One progress bar on a run's Artifacts page. It is for the eye alone: a server that is away does not stop work."""

import logging
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

log = logging.getLogger(__name__)


class ProgressBar:
    """The artifact "<name>-progress" of the current run, made when first shown."""

    def __init__(self, name: str):
        self.name = name
        self._artifact: UUID | None = None

    def show(self, percent: float, text: str) -> None:
        """Set the bar and the words beside it."""
        try:
            if self._artifact is None:
                found = create_progress_artifact(percent, key=f"{self.name}-progress", description=text)
                assert isinstance(found, UUID)
                self._artifact = found
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except (PrefectException, OSError) as error:
            log.warning("progress of %s not shown: %s", self.name, error)
