"""Runs one part of one stage: reuse known rows, work on the rest, commit. Resuming happens here."""

import logging
import math
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import disk_errors
from mvideo_core.base.errors import ConfigError, KilledError, MediaError, StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Row
from mvideo_core.base.stopping import raise_if_stopped, stop_between
from mvideo_core.engine.chain import in_use, inputs_of, items_of, stage_and_inputs
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.store.commit import commit_part
from mvideo_core.store.journal import Journal
from mvideo_core.store.keys import part_key, settings_digest
from mvideo_core.store.lease import LeaseLost
from mvideo_core.store.lock import part_lock, stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.tables import find_misfit
from mvideo_core.store.workspace import Marker, Workspace, blobs_of, journal_path

log = logging.getLogger(__name__)

MAX_CRASHES = 8
"""An item becomes a failed row (class WorkerDied) after the process died this many times while working on it."""
MAX_KILLS = 4
"""Total attempts for a batch whose child process was killed externally."""

LOG_EVERY_S = 15.0
Progress = Callable[[int, int], None]
_gpu_locks: dict[str, threading.Lock] = {"gpu": threading.Lock()}


@dataclass(frozen=True, slots=True)
class PartResult:
    """A finished part: its marker, and whether any work was done for it in this call."""

    marker: Marker
    reused: bool


def run_part(
    workspace: Workspace,
    stage: Stage,
    index: int,
    options: Options,
    progress: Progress | None = None,
    lock_wait_s: float = math.inf,
    settings: str = "",
) -> PartResult:
    """Finish part `index` of a stage from its upstream's rows on disk.

    Args:
        progress: called with (items done, total items) after every batch.
        lock_wait_s: longest wait for another live owner of the same part; its rows are then used.
        settings: what `stage_settings` returned for these options in this run; "" = call it.

    Returns:
        The part's marker. With the same inputs, options and weights it is the existing one, and nothing is run.

    Raises:
        ConfigError: an upstream stage has not finished this part.
        ModelError: weights or an extra are missing.
        StoreError: the part is owned by another live process after `lock_wait_s`, or the disk fails.
    """
    touched = stage_and_inputs(stage.name, stage.reads)
    with disk_errors(f"{stage.name} part {index}", workspace.url), stages_in_use(workspace.folder, touched):
        job = PartJob(workspace, stage, index, options, settings)
        workspace.record_request(stage.name, job.settings)
        while (done := job.find_marker()) is None:
            with part_lock(workspace.folder, f"{stage.name}-{job.key}", lock_wait_s) as check_owner:
                if (done := job.find_marker()) is not None:
                    break
                try:
                    return PartResult(job.run(progress or (lambda _done, _total: None), check_owner), reused=False)
                except LeaseLost as lost:
                    log.warning("%s; waiting for them", lost)
            job = PartJob(workspace, stage, index, options, job.settings)
        return PartResult(done, reused=True)


class PartJob:
    """One part of one stage with its key, its items and its journal."""

    def __init__(self, workspace: Workspace, stage: Stage, index: int, options: Options, settings: str = ""):
        self.workspace = workspace
        self.stage = stage
        self.index = index
        self.options = options
        self.upstream = upstream_markers(workspace, stage, index)
        self.settings = settings or stage_settings(stage, options)
        self.inputs = inputs_of(workspace, self.upstream, stage.reviewed is not None)
        self.key = part_key(self.settings, self.inputs)
        self.journal = Journal(workspace.folder, journal_path(stage.name, self.key))

    def find_marker(self) -> Marker | None:
        """The marker of this part if all its files exist; updates the head."""
        marker = self.workspace.marker(self.stage.name, self.key)
        if marker is None or not self.workspace.is_complete(marker, self.stage.row):
            return None
        if self.workspace.head(self.stage.name, self.index) != self.key:
            self.workspace.set_head(self.stage.name, self.index, self.key)
        return marker

    @cached_property
    def items(self) -> list[Item]:
        """Keys that are `ok` in every upstream stage, in key order."""
        return items_of(self.workspace, self.upstream, self.settings, self.stage.reviewed is not None)

    def run(self, progress: Progress, check_owner: Callable[[], None]) -> Marker:
        """Work on every item that has no rows yet, then commit.

        Args:
            check_owner: called before each batch and the commit; raises once another process has this part.
        """
        started = time.monotonic()
        known, crashes, attempts = self._read_known()
        pending = [item for item in self.items if item.content_key not in known]
        n_reused = len(self.items) - len(pending)
        progress(n_reused, len(self.items))
        if pending:
            known.update(self._work(pending, crashes, attempts, n_reused, progress, check_owner))
        check_owner()
        rows = [row for item in self.items for row in known[item.content_key]]
        marker = commit_part(
            self.workspace,
            stage=self.stage.name,
            index=self.index,
            key=self.key,
            settings=self.settings,
            inputs=self.inputs,
            options=self.options,
            rows=rows,
            row_class=self.stage.row,
            n_items=len(self.items),
            n_reused=n_reused,
            seconds=time.monotonic() - started,
        )
        self.journal.discard()
        log.info("%s part %d: %s in %.1f s", self.stage.name, self.index, marker.counts, marker.seconds)
        return marker

    def _read_known(self) -> tuple[dict[str, list[Row]], Counter[str], dict[str, int]]:
        """Rows by content key from earlier parts and the journal; crashes and failed attempts by content key."""
        known = self._adopt_rows() if self.stage.adopts else {}
        crashes: Counter[str] = Counter()
        attempts: dict[str, int] = {}
        bad: list[tuple[dict[str, Any], str]] = []
        for event in self.journal.events():
            try:
                if event["event"] == "start":
                    crashes.update(event["items"])
                elif event["event"] == "stopped":
                    crashes.subtract(event["items"])
                elif event["event"] == "done":
                    crashes.pop(event["item"], None)
                    rows = self._rows_of_event(event["rows"])
                    if self._complete(rows):
                        known[event["item"]] = rows
                elif event["event"] == "retry":
                    attempts[event["item"]] = event["attempts"]
            except (KeyError, TypeError, ValueError) as error:
                bad.append((event, " ".join(str(error).split())[:200]))
        self.journal.set_aside(bad)
        return known, crashes, attempts

    def _rows_of_event(self, values: list[dict[str, Any]]) -> list[Row]:
        """Rows of an event. Raises ValueError if they are not rows of this stage, or do not fit its table."""
        rows = [self.stage.row.model_validate(value) for value in values]
        if problem := find_misfit(rows, self.stage.row):
            raise ValueError(problem)
        return rows

    def _adopt_rows(self) -> dict[str, list[Row]]:
        """Rows of this stage under the same settings, from parts that items may have moved from after a new plan."""
        n_parts = self.workspace.parts_of(self.stage.name) or 1
        wanted = {item.content_key for item in self.items}
        found: dict[str, list[Row]] = {}
        for index in sorted({self.index, self.index % max(n_parts // 2, 1), self.index + n_parts}):
            for key in self.workspace.recent_heads(self.stage.name, index):
                marker = self.workspace.marker(self.stage.name, key)
                if marker is not None and marker.settings == self.settings and self.workspace.holds(marker.rows):
                    by_key = self._by_content(marker, wanted - found.keys())
                    found.update({key: rows for key, rows in by_key.items() if self._complete(rows)})
        return found

    def _by_content(self, marker: Marker, wanted: Set[str]) -> dict[str, list[Row]]:
        by_key: dict[str, list[Row]] = {}
        for row in self.workspace.rows(marker, self.stage.row) if wanted else ():
            if row.content_key in wanted:
                by_key.setdefault(row.content_key, []).append(row)
        return by_key

    def _complete(self, rows: Sequence[Row]) -> bool:
        return all(self.workspace.holds(blob) for row in rows for blob in blobs_of(row))

    def _work(
        self,
        pending: list[Item],
        crashes: Counter[str],
        attempts: dict[str, int],
        n_before: int,
        progress: Progress,
        check_owner: Callable[[], None],
    ) -> dict[str, list[Row]]:
        total = n_before + len(pending)
        done: dict[str, list[Row]] = {}
        clock = _Clock(self.stage.name, self.index)
        with self._scratch() as scratch:
            context = StageContext(self.workspace, self.stage.name, scratch)
            lock = _gpu_locks["gpu"] if self.stage.resource == "gpu" else nullcontext()
            with lock:
                raise_if_stopped()
                worker = self.stage.open(self.options, context)
            batches = _isolate_crashes if worker.independent else _batches
            for batch in stop_between(batches(self.items, pending, worker.batch_size, crashes)):
                check_owner()
                with self._announce(batch, done), lock, closing(self._work_on_batch(worker, batch, crashes)) as results:
                    for item, rows in results:
                        stamped = self._stamp(item, rows, attempts)
                        self.journal.append(_completion(item, stamped))
                        done[item.content_key] = stamped
                        context.release(item)
                        n_done = min(n_before + len(done), total)
                        progress(n_done, total)
                        clock.tick(n_done, total, len(done))
        return done

    def _stamp(self, item: Item, rows: list[Row], attempts: dict[str, int]) -> list[Row]:
        """Rows as they enter the journal: with the item's content key, and only those that fit the stage's table."""
        if problem := find_misfit(rows, self.stage.row):
            log.warning("%s %s: the result cannot be stored: %s", self.stage.name, item.key, problem)
            rows = [self._failure_row(item, "UnstorableRow", problem.encode("ascii", "backslashreplace").decode(), 1)]
        before = attempts.get(item.content_key, 0)
        return [
            row.model_copy(
                update={
                    "content_key": item.content_key,
                    "attempts": row.attempts + (before if row.status == "failed" else 0),
                }
            )
            for row in rows
        ]

    def _work_on_batch(
        self, worker: Worker, batch: list[Item], crashes: Counter[str]
    ) -> Generator[tuple[Item, list[Row]], None, None]:
        """Rows of each item of a batch, as they become known."""
        if len(batch) == 1 and crashes[batch[0].content_key] >= MAX_CRASHES:
            died = f"the process died {MAX_CRASHES} times while working on this item; see the worker's log"
            yield batch[0], [self._failure_row(batch[0], "WorkerDied", died, MAX_CRASHES)]
            return
        left = {item.content_key: item for item in batch}
        try:
            for item, rows in self._call_worker(worker, batch):
                del left[item.content_key]
                yield item, rows
        except MediaError as error:
            if len(batch) > 1:
                for item in left.values():
                    yield from self._work_on_batch(worker, [item], crashes)
            else:
                log.warning("%s %s: %s", self.stage.name, batch[0].key, error)
                yield batch[0], [self._failure_row(batch[0], "MediaError", str(error), 1)]

    def _call_worker(self, worker: Worker, batch: list[Item]) -> Iterator[tuple[Item, list[Row]]]:
        left = {item.content_key: item for item in batch}
        for kills_left in range(MAX_KILLS - 1, -1, -1):
            remaining = list(left.values())
            try:
                for n, rows in worker.stream(remaining):
                    del left[remaining[n].content_key]
                    yield remaining[n], rows
                return
            except KilledError as error:
                if kills_left == 0:
                    raise
                log.warning("%s %s: %s; retrying, %d more times", self.stage.name, remaining[0].key, error, kills_left)

    @contextmanager
    def _announce(self, batch: list[Item], done: dict[str, list[Row]]) -> Iterator[None]:
        """Journal the start of a batch; an exception journals its end, so that only the end of the process counts as a
        crash.
        """
        self.journal.append({"event": "start", "items": [item.content_key for item in batch]})
        try:
            yield
        except BaseException:
            left = [item.content_key for item in batch if item.content_key not in done]
            self.journal.append({"event": "stopped", "items": left})
            raise

    def _failure_row(self, item: Item, error: str, message: str, attempts: int) -> Row:
        return self.stage.row.failure_row(
            key=item.key, parent=item.key, error=error, message=message, attempts=attempts
        )

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for this part alone, on the workspace's disk if it has one; leftovers of a killed run are deleted
        first.
        """
        with ExitStack() as held:
            held.callback(self.journal.close)
            if self.workspace.folder.is_local:
                scratch = Path(self.workspace.folder.at(f"tmp/{self.stage.name}-{self.key}"))
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)
                held.callback(shutil.rmtree, scratch, ignore_errors=True)
            else:
                scratch = held.enter_context(scratch_folder(self.stage.name))
            yield scratch


def stage_settings(stage: Stage, options: Options) -> str:
    """What a stage would do under these options, regardless of its input; the same for all its parts.

    Raises:
        ConfigError, ModelError: options, lists or weights are wrong or missing.
    """
    return settings_digest(stage.name, stage.revision, stage.content(options), stage.externals(options))


def upstream_markers(workspace: Workspace, stage: Stage, index: int) -> dict[str, Marker]:
    """The current marker of every upstream stage for one part.

    Raises:
        ConfigError: an upstream part is not finished; the message names the command that finishes it.
    """
    found: dict[str, Marker] = {}
    for name in in_use(workspace, stage.reads):
        marker = workspace.current(name, index)
        if marker is None:
            raise ConfigError(
                f"{stage.name} part {index}: its upstream {name!r} has not finished this part in {workspace.url}; "
                f"run `mvideo stage {name} --workspace {workspace.url}` first"
            )
        if not workspace.holds(marker.rows):
            raise StoreError(f"{marker.rows.path} is missing or cut short; run stage {name!r} again")
        found[name] = marker
    return found


def _batches(items: list[Item], pending: list[Item], size: int, crashes: Counter[str]) -> Iterator[list[Item]]:
    """Batches at fixed positions of the part, even if rows are known: another batch composition could change the
    low-order bits. Items on which a process died run alone, so that they cannot take others down.
    """
    missing = {item.content_key for item in pending}
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        if not missing.isdisjoint(item.content_key for item in batch):
            if all(crashes[item.content_key] == 0 for item in batch):
                yield batch
            else:
                yield from ([item] for item in batch if item.content_key in missing)


def _isolate_crashes(items: list[Item], pending: list[Item], size: int, crashes: Counter[str]) -> Iterator[list[Item]]:
    """Batches of missing items that do not depend on their neighbors. Each time the process dies, the batches of
    the items in progress are halved, until the item that caused it is alone.
    """
    by_crashes: dict[int, list[Item]] = {}
    for item in pending:
        by_crashes.setdefault(max(crashes[item.content_key], 0), []).append(item)
    for n_crashes, group in sorted(by_crashes.items()):
        step = max(1, size >> n_crashes)
        yield from (group[at : at + step] for at in range(0, len(group), step))


def _completion(item: Item, rows: list[Row]) -> dict[str, object]:
    values = [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
    return {"event": "done", "item": item.content_key, "rows": values}


class _Clock:
    """A log line every few seconds with rate and time left."""

    def __init__(self, stage: str, index: int):
        self.stage, self.index = stage, index
        self.started = self.last = time.monotonic()

    def tick(self, done: int, total: int, worked: int) -> None:
        now = time.monotonic()
        if now - self.last < LOG_EVERY_S or done == total:
            return
        self.last = now
        rate = worked / (now - self.started)
        left = (total - done) / rate if rate else float("inf")
        log.info("%s part %d: %d/%d, %.2f items/s, %.0f s left", self.stage, self.index, done, total, rate, left)
