"""Which samples a training run has trained on, and at which steps: computed again from its options and its latents.

The order of the samples is a function of the options and the windows of the latents (`sample_order.py`), so nothing has
to be written during training; but the latents that the run was trained on must still exist.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MVideoError
from mvideo_core.base.listing import find_named
from mvideo_core.base.options import read_yaml
from mvideo_core.base.records import Record
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.training.checkpoint import CHECKPOINTS, State, list_complete, read_state
from mvideo_core.training.latents.cache import LatentDataset, read_info
from mvideo_core.training.latents.info import INFO_NAME
from mvideo_core.training.option_changes import DATA
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.sample_order import GlobalOrder, Split, order_samples

OPTIONS = "options.yaml"
OF_THE_ORDER = (DATA, "data.exclude", "data.holdout", "data.order", "seed", "global_batch")
"""Options that decide which samples a step sees."""


class SampleUse(Record):
    """One window of latents in one run.

    Attributes:
        id, key: of the window, of its clip.
        steps: optimizer steps that trained on it, counted from 1.
        held_out: it was only used for validation and sample videos.
    """

    id: str
    key: str
    steps: list[int]
    held_out: bool


class TrainingUse(Record):
    """What a run has seen of some clips.

    Attributes:
        run: its folder; `steps`: optimizer steps done.
        latents, data: folder of the latents, and their digest in the newest checkpoint.
        unknown: why the steps cannot be computed; then all checkpoints count as having seen the clips. "" if they can.
        samples: windows of the clips, in the order of the dataset.
        saw: names of checkpoints whose weights depend on the clips.
        clean: the newest checkpoint before their first use; "" = none, train from the start.
    """

    run: str
    steps: int
    latents: str
    data: str
    unknown: str = ""
    samples: list[SampleUse] = []
    saw: list[str] = []
    clean: str = ""


class Course(NamedTuple):
    """The samples of a run, in order."""

    dataset: LatentDataset
    split: Split
    order: GlobalOrder


def find_runs(folders: Collection[Path]) -> list[Path]:
    """Folders of training runs at or below some folders."""
    return [path.parent for path in find_named(folders, OPTIONS) if (path.parent / CHECKPOINTS).is_dir()]


def uses_of(run: Path, is_concerned: Callable[[str, str], bool]) -> TrainingUse | None:
    """What a run has seen of some clips; None if it never had them.

    Args:
        is_concerned: from the key and the source of a clip, whether it is one of them.

    Raises:
        ConfigError: options.yaml is not of a training run of this version.
    """
    options = TrainOptions.parse(read_yaml(run / OPTIONS), str(run / OPTIONS))
    checkpoints = list_complete(run / CHECKPOINTS)
    states = {path.name: read_state(path) for path in checkpoints}
    newest = states[checkpoints[-1].name] if checkpoints else State()
    about = {"run": str(run), "steps": newest.step, "latents": options.data.latents, "data": newest.data}
    if why := _why_unknown(options, newest):
        return TrainingUse(**about, unknown=why, saw=list(states))
    course = open_course(options)
    videos = course.dataset.videos
    wanted = [
        n for n, (key, video) in enumerate(zip(course.dataset.keys, videos, strict=True)) if is_concerned(key, video)
    ]
    if not wanted:
        return None
    steps = course.order.steps_of(wanted, newest.step)
    held = set(course.split.held)
    samples = [
        SampleUse(
            id=course.dataset.ids[n], key=course.dataset.keys[n], steps=[step + 1 for step in steps[n]],
            held_out=n in held,
        )
        for n in wanted
    ]  # fmt: skip
    first = min((one.steps[0] for one in samples if one.steps), default=newest.step + 1)
    clean = [name for name, state in states.items() if state.step < first]
    return TrainingUse(
        **about, samples=samples, saw=[name for name in states if name not in clean], clean=clean[-1] if clean else ""
    )


def open_course(options: TrainOptions) -> Course:
    """The samples of a run with these options, in order.

    Raises:
        ConfigError, StoreError: the latents are not there, or do not fit the options.
    """
    data = options.data
    history = "with" if options.draws.history_none < 1 else "any"
    dataset = LatentDataset(data.latents, data.split, history=history)  # type: ignore[arg-type]  # one of the literals
    split = Split(dataset.keys, data.holdout, data.exclude, dataset.ids)
    return Course(dataset, split, order_samples(data, split.train, dataset.ids, options.global_batch, options.seed))


def first_difference(before: Course, after: Course, steps: int) -> int:
    """The first step, counted from 0, whose samples differ in name or bytes; `steps` if none of them does.

    A checkpoint after at most that many steps is the one that the run would have had with the other latents.
    """
    names = [_Contents(one.dataset) for one in (before, after)]
    for step in range(steps):
        first, second = before.order.step(step), after.order.step(step)
        if [names[0].of(n) for n in first] != [names[1].of(n) for n in second]:
            return step
    return steps


class _Contents:
    """What a window is: its id and the digests of its tensors and of its text."""

    def __init__(self, dataset: LatentDataset):
        self.columns = [np.asarray(list(one)) for one in (dataset.ids, dataset.digests, dataset.text_digests)]

    def of(self, index: int) -> tuple[str, ...]:
        return tuple(str(column[index]) for column in self.columns)


def _why_unknown(options: TrainOptions, newest: State) -> str:
    """Why the steps of a run cannot be computed from its options and latents; "" if they can."""
    if changed := sorted({one.name for one in newest.changes if one.name in OF_THE_ORDER}):
        return f"{', '.join(changed)} changed during the run"
    files = DatasetFiles(options.data.latents)
    try:
        if files.size(INFO_NAME) is None:
            return f"the latents {options.data.latents} are not there"
        seen = read_info(files).digest
    except (MVideoError, OSError) as error:
        return f"the latents {options.data.latents} cannot be read ({error})"
    if newest.data and seen != newest.data:
        return f"the latents {options.data.latents} have changed (sha256 {seen[:12]}, {newest.data[:12]} trained on)"
    return ""
