"""One progress bar on a run's Artifacts page. Display only: if the server is unreachable, work continues."""

import logging
import time
from collections.abc import Callable
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

from mvideo_core.base.durations import duration

log = logging.getLogger(__name__)


class ProgressBar:
    """The artifact "<name>-progress" of the current run, created when first shown."""

    def __init__(self, name: str):
        self.name = name
        self._artifact: UUID | None = None

    def show(self, percent: float, text: str) -> None:
        """Set the bar and the text next to it."""
        try:
            if self._artifact is None:
                found = create_progress_artifact(percent, key=f"{self.name}-progress", description=text)
                assert isinstance(found, UUID)
                self._artifact = found
            else:
                update_progress_artifact(self._artifact, percent, description=text)
        except (PrefectException, OSError) as error:
            log.warning("progress of %s not shown: %s", self.name, error)


class CountBar:
    """A progress bar over items of one kind, with their rate and the time left.

    Args:
        name: the artifact is "<name>-progress".
        unit: what is counted, as a plural.
    """

    def __init__(self, name: str, unit: str, now: Callable[[], float] = time.monotonic):
        self.bar, self.unit, self.now = ProgressBar(name), unit, now
        self.first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show a count; the first one may include what an earlier run finished, and does not count as speed."""
        self.bar.show(100 * done / max(total, 1), self.words(done, total))

    def words(self, done: int, total: int) -> str:
        """ "3 of 8 videos, 0.21 videos/s, about 24 s left"."""
        now = self.now()
        began, first_done = self.first = self.first or (now, done)
        text = f"{done} of {total} {self.unit}"
        if done > first_done and now > began:
            rate = (done - first_done) / (now - began)
            text += f", {rate:.2f} {self.unit}/s"
            if done < total:
                text += f", about {duration((total - done) / rate)} left"
        return text
