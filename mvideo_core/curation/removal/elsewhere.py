"""In the folders given with `--search` and below them, forget also finds

- training runs with windows of the source. Each window is listed with the steps that trained on it, and `--apply`
  deletes the checkpoints that saw the source. The steps are computed from the run's options and latents. If the latents
  are gone, forget cannot tell whether the run saw the source, so it lists the run and leaves it unchanged.
- generated videos made with such a checkpoint, or with masks of the source. `--apply` deletes them.
- exports with samples of the source, including unfinished exports. `--apply` rebuilds them.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import ConfigError, ModelError, StoreError
from mvideo_core.base.listing import find_named, visible_files
from mvideo_core.base.locks import sole_owner
from mvideo_core.base.options import read_yaml
from mvideo_core.base.records import Record
from mvideo_core.cogvideox.adapter_files import find_adapter
from mvideo_core.curation.removal.mentions import ContentIds, Finder, find_mentions
from mvideo_core.generation.loading import adapter_digest
from mvideo_core.shards.export import NOTE_NAME, export_dataset
from mvideo_core.shards.export_journal import NAME as UNFINISHED
from mvideo_core.store.files import Folder
from mvideo_core.training.checkpoint import ADAPTER, ADAPTER_EMA, CHECKPOINTS, folder_of
from mvideo_core.training.ledger import (
    OPTIONS,
    Course,
    TrainingUse,
    find_runs,
    first_difference,
    open_course,
    uses_of,
)
from mvideo_core.training.option_changes import DATA
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.report import write_report

log = logging.getLogger(__name__)
PROVENANCE = "provenance.json"
SAMPLES = "samples"


class Elsewhere(Record):
    """What was found.

    Attributes:
        folders: that were searched.
        trainings: runs that had at least one window of the sources, or of which it cannot be known.
        videos: folders of generated videos, with a checkpoint that saw the sources or masks of theirs.
        exports: folders of exports, finished or not, that have at least one of their samples.
    """

    folders: list[str] = []
    trainings: list[TrainingUse] = []
    videos: list[str] = []
    exports: list[str] = []


class Retraining(Record):
    """How a run continues without the sources.

    Attributes:
        run: its folder; `resumes_from`: name of the checkpoint, "" = step 0.
        differs_from: first step, counted from 1, at which the order or the bytes of the other samples differ from those
            of a training run that never used the sources; 0 = not compared, because the earlier latents are gone.
        exact: the resumed run equals that training bit for bit.
        command: that continues it.
    """

    run: str
    resumes_from: str
    differs_from: int
    exact: bool
    command: str


def look_elsewhere(folders: Sequence[Path], ids: ContentIds) -> Elsewhere:
    """Search folders and everything below them; nothing is changed.

    Raises:
        ConfigError: no such folder. OSError: a folder below cannot be listed. StoreError: a damaged note.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--search {folder}: no such folder; name folders of training runs, videos or exports")
    uses = (uses_of(run, lambda _key, video: video in ids.sources) for run in find_runs(folders))
    trainings = [use for use in uses if use is not None]
    finder, adapters = Finder(ids), set(_adapters(trainings))
    return Elsewhere(
        folders=[str(folder) for folder in folders],
        trainings=trainings,
        videos=[str(path) for path in _folders_with(PROVENANCE, folders) if _is_derived(path, finder, adapters)],
        exports=[str(path) for path in _exports(folders, ids)],
    )


def open_courses(found: Elsewhere) -> dict[str, Course]:
    """The samples of the runs, in order, kept open while their latents are replaced; without those whose latents a
    killed removal has replaced.
    """
    courses = {}
    for use in found.trainings:
        with contextlib.suppress(StoreError, FileNotFoundError):
            if not use.unknown:
                courses[use.run] = open_course(_options(use))
    return courses


def remove_elsewhere(found: Elsewhere, ids: ContentIds, dataset: str, say: Callable[[str], None]) -> None:
    """Delete what was found; exports are rebuilt from the new dataset.

    Checkpoints from before the first use stay, and so do runs of which it cannot be known; those are named.

    Args:
        dataset: folder of the rebuilt dataset; "" = there is none.

    Raises:
        StoreError: a training run or an export is in progress in one of the folders.
    """
    for use in found.trainings:
        if use.unknown:
            say(f"training {use.run}: left as it is, {use.unknown}; whether it saw the sources cannot be computed")
            continue
        run = Path(use.run)
        with sole_owner(run, "training", "`out`"):
            for name in use.saw:
                shutil.rmtree(run / CHECKPOINTS / name, ignore_errors=True)
            for path in _samples(run, use, Finder(ids)):
                path.unlink()
        write_report(run)
        say(f"training {use.run}: {len(use.saw)} checkpoints deleted, {use.clean or 'none'} is the newest before")
    for video in found.videos:
        shutil.rmtree(video, ignore_errors=True)
        say(f"video {video}: deleted")
    for export in found.exports:
        _export_again(Path(export), dataset)
        say(f"export {export}: {'rebuilt' if dataset else 'deleted'}")


def plan_retraining(found: Elsewhere, before: dict[str, Course], latents: str) -> list[Retraining]:
    """How each run continues, and whether that equals a training run that never used the sources.

    Args:
        before: from `open_courses`.
        latents: the rebuilt latents; "" = there are none.
    """
    plans = []
    for use in found.trainings if latents else ():
        if use.unknown or not use.saw:
            continue
        options, differs = _options(use), 0
        if use.run in before:
            data = options.data.model_copy(update={"latents": latents})
            after = open_course(options.model_copy(update={"data": data}))
            differs = 1 + first_difference(before[use.run], after, use.steps)
        step = int(use.clean.removeprefix("step-")) if use.clean else 0
        plans.append(
            Retraining(
                run=use.run, resumes_from=use.clean, differs_from=differs, exact=step < differs or step == 0,
                command=f"mvideo train run {use.run} --profile {use.run}/{OPTIONS} --latents {latents} --allow {DATA}",
            )
        )  # fmt: skip
    return plans


def _options(use: TrainingUse) -> TrainOptions:
    path = Path(use.run) / OPTIONS
    return TrainOptions.parse(read_yaml(path), str(path))


def _adapters(trainings: Sequence[TrainingUse]) -> Iterator[str]:
    """Digests of the adapters that saw the sources, as provenance names them."""
    for use in trainings:
        for name in use.saw if not use.unknown else ():
            for kind in (ADAPTER, ADAPTER_EMA):
                folder = Path(use.run) / CHECKPOINTS / name / kind
                if folder.is_dir():
                    try:
                        yield adapter_digest(find_adapter(folder))
                    except (ConfigError, ModelError) as error:
                        log.warning("%s: videos made with this adapter are not found: %s", folder, error)


def _folders_with(name: str, folders: Sequence[Path]) -> list[Path]:
    return [path.parent for path in find_named(folders, name)]


def _is_derived(folder: Path, finder: Finder, adapters: set[str]) -> bool:
    content = (folder / PROVENANCE).read_bytes()
    return bool(finder.find(content)) or any(one.encode() in content for one in adapters if one)


def _exports(folders: Sequence[Path], ids: ContentIds) -> Iterator[Path]:
    """Folders of exports, finished or not, with samples of the sources.

    Raises:
        StoreError: such a folder, whose note is damaged.
    """
    for path in sorted({one for name in (NOTE_NAME, UNFINISHED) for one in _folders_with(name, folders)}):
        try:
            if _request_of(path) and _has_mention(path, ids):
                yield path
        except StoreError:
            if _has_mention(path, ids):
                raise


def _request_of(folder: Path) -> dict[str, Any]:
    """Format, split and dataset of an export; {} if the folder is none of ours.

    Raises:
        StoreError: its note is damaged.
    """
    note = next((path for name in (NOTE_NAME, UNFINISHED) if (path := folder / name).is_file()), None)
    if note is None:
        return {}
    try:
        found = json.loads(note.read_bytes().partition(b"\n")[0] if note.name == UNFINISHED else note.read_bytes())
    except ValueError as error:
        raise StoreError(f"{note}: damaged ({error}); delete its folder and export again") from None
    return found if isinstance(found, dict) and {"format", "split", "dataset"} <= found.keys() else {}


def _has_mention(folder: Path, ids: ContentIds) -> bool:
    return next(find_mentions(Folder(str(folder)), ids), None) is not None


def _samples(run: Path, use: TrainingUse, finder: Finder) -> Iterator[Path]:
    """Sample videos made after the first use, and those of the sources' own windows."""
    clean = folder_of(run, 0).name if not use.clean else use.clean
    for path in visible_files(run / SAMPLES, ".mp4", recursive=True):
        if (use.saw and path.parent.name > clean) or finder.find(path.name.encode()):
            yield path


def _export_again(folder: Path, dataset: str) -> None:
    request = _request_of(folder)
    if not request:
        return  # a killed removal deleted it and could not export again
    shutil.rmtree(folder)
    if dataset:
        export_dataset(dataset, folder, request["format"], request["split"])
