"""What a stage is, what its worker receives, and how it returns files."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from mvideo_core.base.digests import sha256_of
from mvideo_core.base.errors import StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, Row
from mvideo_core.store.decisions import LocatedDecision
from mvideo_core.store.workspace import Workspace, blobs_of

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Item:
    """The unit of failure: the rows of one key from every upstream stage.

    Attributes:
        key: of the item; all its rows share it.
        rows: by upstream stage name, all `ok`.
        content_key: changes when options, weights, any upstream row or a decision change.
        decisions: of a reviewer about the files of its rows, for a stage that is `reviewed`.
    """

    key: str
    rows: Mapping[str, Row]
    content_key: str
    decisions: tuple[LocatedDecision, ...] = ()

    def row(self, row_class: type[R]) -> R:
        """The item's row of this class; each upstream stage writes a different one."""
        return next(row for row in self.rows.values() if isinstance(row, row_class))


class Worker:
    """Does the work of one stage in one process. Weights are loaded by the constructor, once.

    Subclasses set `batch_size` and implement `work`; a `MediaError` from `work` is about the given items, which are
    then retried one by one.

    Attributes:
        batch_size: items passed per call.
        independent: an item's rows do not depend on its neighbors in the batch, so batches need no fixed positions and
            only missing items are processed.
    """

    batch_size = 1
    independent = False

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """Rows of each item, in the items' order. An item may give several rows (a video's clips)."""
        raise NotImplementedError

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, list[Row]]]:
        """(position in `items`, its rows), each as soon as it is ready; rows yielded before an error are kept."""
        yield from enumerate(self.work(items))


@dataclass(frozen=True)
class StageContext:
    """What a worker may use: the workspace to read from, a scratch folder, and a way to store files."""

    workspace: Workspace
    stage: str
    scratch: Path
    _fetched: dict[str, Path] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def local(self, blob: Blob) -> Path:
        """A blob as a local file: the file itself in a local workspace, otherwise a copy in scratch, kept until
        `release`.

        Raises:
            StoreError: it is missing or truncated, which is not the item's fault: its stage writes it again.
        """
        folder = self.workspace.folder
        if folder.is_local:
            if not self.workspace.holds(blob):
                raise StoreError(
                    f"{folder.at(blob.path)}: missing, or its size differs from the recorded one; run stage "
                    f"{blob.path.split('/')[1]} again, it redoes only what is missing"
                )
            return Path(folder.at(blob.path))
        if blob.path not in self._fetched:
            target = self.scratch / f"in-{next(self._numbers):06d}-{blob.path.rsplit('/', 1)[1]}"
            with folder.open(blob.path) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            self._fetched[blob.path] = target
        return self._fetched[blob.path]

    def release(self, item: Item) -> None:
        """Delete the local copies of an item's files, once its rows are known."""
        for row in item.rows.values() if self._fetched else ():
            for blob in blobs_of(row):
                if (copy := self._fetched.pop(blob.path, None)) is not None:
                    copy.unlink(missing_ok=True)

    def commit(self, local: Path, name: str, content_key: str) -> Blob:
        """Move a finished file into the store under a name that its content key makes unique.

        Args:
            local: the file, complete and closed.
            name: "<item key>.<extension>"; the key part stays readable in the blob's name.
            content_key: of the item it was made from.
        """
        stem, _, extension = name.partition(".")
        path = f"blobs/{self.stage}/{content_key[:2]}/{stem}-{content_key[:12]}.{extension}"
        size_bytes = local.stat().st_size
        with local.open("rb") as stream:
            sha256 = sha256_of(stream)
        return Blob(path=self.workspace.folder.publish(local, path, sha256), sha256=sha256, size_bytes=size_bytes)

    def commit_bytes(self, content: bytes, name: str, content_key: str) -> Blob:
        """Like `commit`, for content in memory."""
        local = self.scratch / name
        local.write_bytes(content)
        return self.commit(local, name, content_key)


class Measured(Protocol):
    """A value of a row, and the limits that it was compared with."""

    @property
    def value(self) -> float: ...

    @property
    def limits(self) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Chart:
    """A histogram of the report over the rows of a stage, dropped ones included.

    Attributes:
        title, unit: for the page.
        low, high: range of the bins.
        value: of one row; None if it has none. `limits` are marked.
    """

    title: str
    unit: str
    low: float
    high: float
    value: Callable[[Row], Measured | None]


class Check(Protocol):
    """A property that the rows of a finished stage should have; a new one for each run, built from the options."""

    def add(self, row: Any) -> None:
        """Take the next row, whatever its status."""

    def problems(self) -> list[str]:
        """What is wrong, one line each, with the value seen, the limit and what to do; [] if nothing is."""


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline, declared once.

    Attributes:
        name: also the name of its deployment, its task, its folder in the workspace and its key in profiles.
        revision: increase it when the meaning of the output changes; it is part of every key.
        reads: upstream stages; an item consists of their `ok` rows with the same key.
        options: the stage's options class.
        row: class of the rows it writes.
        resource: which queue and which lock it needs.
        unit: what a row describes, in the words of the report's funnel. Stages of samples follow the parts of the
            dataset, other stages the parts of the sources.
        title: one line for forms and deployments.
        expands: an item may give several rows (a video's clips).
        before: for a stage from another package: the stage it precedes, which then processes only what is `ok` here.
        open: creates the worker; called only if there is work left.
        enabled: whether the stage runs under these options; None = always. Stages that read it work without it,
            with the same keys as if it did not exist.
        externals: digests of files that options name (weights, lists), so that a new file means a new key.
        content: the options that decide the output; the rest (timeouts, hosts) stays out of the keys.
        check: raises what would stop the stage later: wrong options, a missing extra, an unset key. No network.
        reach: raises if a server that the stage needs does not respond; called only while work is left.
        checks: built from the options when the stage is finished; a problem turns the run yellow (`engine/checks.py`).
        charts: histograms of its rows for the report.
        adopts: rows of earlier parts may be reused for items with the same content (not if files must be stored
            together).
        reviewed: its items come with a reviewer's decisions (`store/decisions.py`), which are part of their keys; gives
            what the object numbers in a row refer to (`Decision.masks`), from the item and the row. None = no review.
    """

    name: str
    revision: int
    reads: tuple[str, ...]
    options: type[Options]
    row: type[Row]
    resource: Literal["cpu", "gpu"]
    open: Callable[[Any, StageContext], Worker]
    unit: Literal["video", "clip", "sample"] = "clip"
    title: str = ""
    expands: bool = False
    before: str = ""
    enabled: Callable[[Any], bool] | None = None
    externals: Callable[[Any], dict[str, str]] = lambda _options: {}
    content: Callable[[Any], Any] = lambda options: options
    check: Callable[[Any], None] = lambda _options: None
    reach: Callable[[Any], None] = lambda _options: None
    checks: tuple[Callable[[Any], Check], ...] = ()
    charts: Callable[[], Sequence[Chart]] = tuple
    adopts: bool = True
    reviewed: Callable[[Item, Any], str] | None = None
