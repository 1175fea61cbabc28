"""One progress bar per stage in the Prefect UI: parts, items, rate and time left, frames of the item in progress."""

import time
from collections.abc import Collection

from mvideo.tasks import _items
from mvideo.tasks._bar import ProgressBar
from mvideo_core.base.durations import duration

PUBLISH_EVERY_S = 4.0
MAX_IN_PROGRESS = 2
"""Items in progress that a bar's text names."""


class StageBoard:
    """Counts one stage's progress and shows it, at most every few seconds.

    Args:
        stage: its name, part of the artifact's key "<stage>-progress".
        n_parts: parts this run will finish.
    """

    def __init__(self, stage: str, workspace: str, n_parts: int):
        self.stage, self.workspace, self.n_parts = stage, workspace, n_parts
        self.done: set[int] = set()
        self.started = 0.0
        self.published = 0.0
        self.bar = ProgressBar(stage)
        _items.forget(workspace, stage)

    def begin(self) -> None:
        """Start the clock: the first part of the stage is submitted."""
        self.started = self.started or time.monotonic()

    def mark_finished(self, indices: Collection[int]) -> None:
        """Record finished parts."""
        self.done.update(indices)

    def publish(self, last: bool = False) -> None:
        """Send the bar to the server if an update is due."""
        now = time.monotonic()
        complete = len(self.done) == self.n_parts
        if self.published == float("inf") or (now - self.published < PUBLISH_EVERY_S and not last and not complete):
            return
        percent, line = self.line(now)
        if percent == 0 and not last and not _items.items_in_progress(self.workspace, self.stage):
            return
        self.bar.show(percent, line)
        self.published = float("inf") if complete else now

    def line(self, now: float) -> tuple[float, str]:
        """Percent done and the text for it. Items already in the store count as done, but not toward the rate."""
        counts = _items.item_counts(self.workspace, self.stage)
        shares = {part: count.done / count.total for part, count in counts.items() if count.total}
        fraction = min(sum((shares | dict.fromkeys(self.done, 1.0)).values()) / self.n_parts, 1.0)
        held = sum(count.at_first / count.total for count in counts.values() if count.total) / self.n_parts
        elapsed = max(now - self.started, 1e-9)
        fresh_items = sum(count.done - count.at_first for count in counts.values())
        words = [f"{self.stage}: {len(self.done)} of {self.n_parts} parts"]
        if counts:
            every_part = len(counts) == self.n_parts
            of_total = f" of {sum(count.total for count in counts.values())}" if every_part else ""
            words.append(f"{sum(count.done for count in counts.values())}{of_total} items")
        if fresh_items:
            words.append(f"{fresh_items / elapsed:.2f} items/s")
        if held < fraction < 1:
            words.append(f"about {duration(elapsed * (1 - fraction) / (fraction - held))} left")
        words += _items.items_in_progress(self.workspace, self.stage)[:MAX_IN_PROGRESS]
        return round(100 * fraction, 1), ", ".join(words)
