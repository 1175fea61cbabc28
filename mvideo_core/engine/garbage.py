"""`mvideo gc --delete` deletes everything that neither the current results nor the next run needs.

Stages in use by a live process are skipped and listed, and so are latents that a training run is reading. Stages that
this version does not know are never touched. Object stores have no locks, so gc deletes only files there that are older
than `--min-age-h` (24 hours); increase this value if one of your parts takes longer.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from mvideo_core.base.locks import file_lock, folder_lock
from mvideo_core.base.records import Record, Row
from mvideo_core.engine.chain import in_use, inputs_of, is_reviewed, items_of, upstream_of, valid_markers
from mvideo_core.store.journal import Journal
from mvideo_core.store.keys import part_key
from mvideo_core.store.lock import stages_unused
from mvideo_core.store.snapshot import snapshot
from mvideo_core.store.uploads import abort_uploads
from mvideo_core.store.workspace import Marker, Workspace, blobs_of, head_path, journal_path, marker_path

STAGE_AREAS = ("rows", "done", "blobs", "journal")
"""Areas of a workspace with one folder per stage."""
PUBLISHED = {"datasets": ("shard", "dataset"), "latents": ("encode", "latents"), "reports": ("report", "report")}
"""For each area of published folders: the stage that writes them, and the pointer to the current one."""
MIN_AGE_S = 24 * 3600.0
"""On object stores: longer than a part or a publishing step takes. A process commits what it wrote, and is done with
what it read, within that time; the price is a day of storage.
"""


class Freed(Record):
    """What gc deleted, or would delete.

    Attributes:
        in_use: stages and folders of latents that live processes use; none of their files were deleted.
        unknown: stages that this version does not know; none of their files were deleted.
        young: unreferenced files and unfinished uploads that are younger than the requested age.
        uploads: unfinished multipart uploads that a killed process left in a bucket.
    """

    files: int = 0
    size_bytes: int = 0
    in_use: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    young: int = 0
    uploads: int = 0


def collect_garbage(
    workspace: Workspace, stages: Mapping[str, type[Row]], dry_run: bool, min_age_s: float | None = None
) -> Freed:
    """Delete rows, markers, blobs, journals, datasets, latents, reports and scratch that nothing current refers to.

    Args:
        stages: row class by stage name, for every stage that writes into the workspace.
        dry_run: only count.
        min_age_s: keep younger files; None: 0 on local disks, which have locks, and a day on object stores.
    """
    workspace = snapshot(workspace)
    if min_age_s is None:
        min_age_s = 0.0 if workspace.folder.is_local else MIN_AGE_S
    sweep = _Sweep(workspace, dry_run, time.time() - min_age_s if min_age_s else None)
    for stage, row_class in stages.items():
        with sweep.hold_alone(stage) as free:
            if free:
                sweep.stage(stage, row_class)
    for area, (stage, pointer) in PUBLISHED.items():
        with sweep.hold_alone(stage) as free:
            if free:
                reached = sweep.files_in_use(stage, stages[stage]) if stage in stages else set()
                sweep.sweep_area(area, pointer, reached)
    sweep.uploads()
    found = {name.removesuffix("-growing") for area in STAGE_AREAS for name in workspace.folder.names(area)}
    return sweep.summary(unknown=found - stages.keys())


class _Sweep:
    """One pass over a workspace, which counts what it deletes."""

    def __init__(self, workspace: Workspace, dry_run: bool, before_s: float | None):
        self.workspace, self.dry_run, self.before_s = workspace, dry_run, before_s
        self.files = self.size_bytes = self.young = self.aborted = 0
        self.in_use: set[str] = set()

    def summary(self, unknown: set[str]) -> Freed:
        return Freed(
            files=self.files,
            size_bytes=self.size_bytes,
            in_use=tuple(sorted(self.in_use)),
            unknown=tuple(sorted(unknown)),
            young=self.young,
            uploads=self.aborted,
        )

    @contextmanager
    def hold_alone(self, stage: str) -> Iterator[bool]:
        """Hold a stage exclusively; return False, and record the stage, if a live process uses it."""
        with stages_unused(self.workspace.folder, [stage]) as busy:
            self.in_use.update(busy)
            yield not busy

    def stage(self, stage: str, row_class: type[Row]) -> None:
        """Everything of one stage outside published folders; the caller has locked it."""
        reached = self.files_in_use(stage, row_class)
        stale = self._stale_heads(stage)
        self._delete(f"heads/{stage}", lambda path: path not in stale and not path.rsplit("/", 1)[1].startswith("."))
        for area in STAGE_AREAS:
            self._delete(f"{area}/{stage}", lambda path: _journal_of(path) in reached)
        self._delete(f"journal/{stage}-growing", lambda path: _journal_of(path) in reached)
        for name in self.workspace.folder.names("tmp"):
            if name.rpartition("-")[0] == stage:
                self._delete(f"tmp/{name}", lambda path: path in reached)

    def uploads(self) -> None:
        """Unfinished uploads anywhere in the workspace."""
        self.aborted, young = abort_uploads(self.workspace.folder, self.before_s, self.dry_run)
        self.young += young

    def sweep_area(self, area: str, pointer: str, reached: set[str]) -> None:
        """Folders of one area, except the current one and what finished parts put there."""
        current = self.workspace.pointer(pointer)
        kept = {_folder(current["path"])} if current else set()
        started = {_folder(path) for path in reached if path.startswith(f"{area}/")}

        def keep(path: str) -> bool:
            shared = path.count("/") == 2 and _folder(path) in started  # empty prompt, index, card
            return path in reached or shared or _folder(path) in kept

        for key in self.workspace.folder.names(area):
            try:
                with self._folder_alone(area, key):
                    self._delete(f"{area}/{key}", keep)
            except BlockingIOError:
                self.in_use.add(f"{area}/{key}")

    def _folder_alone(self, area: str, key: str) -> AbstractContextManager[None]:
        lock = folder_lock(Path(self.workspace.folder.root), area, key)
        return file_lock(lock) if self.workspace.folder.is_local and lock.exists() else nullcontext()

    def files_in_use(self, stage: str, row_class: type[Row]) -> set[str]:
        """Files that heads and live journals of a stage refer to, journals included."""
        found: set[str] = set()
        for marker in self._markers_to_keep(stage):
            found |= {marker_path(stage, marker.key), marker.rows.path}
            if marker.blob_bytes and self.workspace.holds(marker.rows):
                rows = self.workspace.rows(marker, row_class)
                found.update(blob.path for row in rows for blob in blobs_of(row))
        for path in self._live_journals(stage):
            found.add(path)
            found.update(_journal_files(Journal(self.workspace.folder, path), row_class))
        return found | self._find_growing(stage)

    def _markers_to_keep(self, stage: str) -> Iterator[Marker]:
        """Markers of current heads; while parts are missing, also markers whose items may be reused."""
        n_parts, requested, settled = (
            self.workspace.parts_of(stage),
            self.workspace.last_request(stage),
            self._is_settled(stage),
        )
        for index in self.workspace.head_indices(stage):
            for place, key in enumerate(self.workspace.recent_heads(stage, index)):
                is_current = place == 0 and index < n_parts
                marker = self.workspace.marker(stage, key) if is_current or not settled else None
                if marker is not None and (is_current or marker.settings == requested):
                    yield marker

    def _is_settled(self, stage: str) -> bool:
        """Whether all parts of the current plan are finished with the last requested settings."""
        found = [marker for _, marker in valid_markers(self.workspace, stage)]
        return bool(found) and None not in found

    def _stale_heads(self, stage: str) -> set[str]:
        """Heads beyond the current plan, once all parts of the plan are finished."""
        if not self._is_settled(stage):
            return set()
        n_parts = self.workspace.parts_of(stage)
        return {head_path(stage, index) for index in self.workspace.head_indices(stage) if index >= n_parts}

    def _live_journals(self, stage: str) -> Iterator[str]:
        """Journals that the next run with the last requested options resumes from."""
        names = {name.split(".")[0] for name in self.workspace.folder.names(f"journal/{stage}")}
        requested = self.workspace.last_request(stage)
        if not names:
            return
        heads = {self.workspace.head(stage, index) for index in range(self.workspace.parts_of(stage))}
        for key in {part_key(requested, inputs) for inputs in self._inputs(stage)} if requested else names:
            committed = key in heads and self.workspace.marker(stage, key) is not None
            if key in names and not committed:
                yield journal_path(stage, key)

    def _inputs(self, stage: str) -> Iterator[dict[str, str]]:
        for upstream in self._upstream(stage):
            yield inputs_of(self.workspace, upstream, is_reviewed(stage))

    def _upstream(self, stage: str) -> Iterator[dict[str, Marker]]:
        """Current markers of the upstream stages, for each part that has all of them."""
        names = in_use(self.workspace, upstream_of(stage))
        for index in range(self.workspace.parts_of(stage)) if names else ():
            found = {name: self.workspace.current(name, index) for name in names}
            whole = {name: marker for name, marker in found.items() if marker is not None}
            if len(whole) == len(names):
                yield whole

    def _find_growing(self, stage: str) -> set[str]:
        """Large files in progress that the next run continues, and their journals."""
        names = {name.split(".")[0] for name in self.workspace.folder.names(f"journal/{stage}-growing")}
        requested = self.workspace.last_request(stage)
        if names and requested:
            parts = (
                items_of(self.workspace, upstream, requested, is_reviewed(stage)) for upstream in self._upstream(stage)
            )
            names &= {item.content_key for items in parts for item in items}
        return {
            path for name in names for path in (f"journal/{stage}-growing/{name}.jsonl", f"tmp/{stage}-growing/{name}")
        }

    def _delete(self, folder: str, keep: Callable[[str], bool]) -> None:
        gone = [facts for facts in self.workspace.folder.files(folder) if not keep(facts.path)]
        if self.before_s is not None:
            old = [facts for facts in gone if facts.modified_s is not None and facts.modified_s < self.before_s]
            self.young += len(gone) - len(old)
            gone = old
        self.files += len(gone)
        self.size_bytes += sum(facts.size_bytes for facts in gone)
        if not self.dry_run:
            self.workspace.folder.remove_files([facts.path for facts in gone])


def _journal_files(journal: Journal, row_class: type[Row]) -> Iterator[str]:
    for event in journal.events():
        for values in event.get("rows", ()):
            try:
                yield from (blob.path for blob in blobs_of(row_class.model_validate(values)))
            except ValueError:  # the next run sets this event aside
                continue


def _journal_of(path: str) -> str:
    """The journal that a file belongs to (one of its events, or lines set aside from it), or the file itself."""
    head, dot, _ = path.partition(".jsonl")
    return head + dot


def _folder(path: str) -> str:
    """ "datasets/<key>" of anything in it."""
    return "/".join(path.split("/")[:2])
