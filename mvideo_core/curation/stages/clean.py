"""Stage between cut and detect, off by default: drops clips that are not worth the later stages' time."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from mvideo_core.base.options import Options
from mvideo_core.base.records import CleanRow, ClipRow, FilterValue, Row
from mvideo_core.curation.filters import CLIP_FILTERS, ClipFilter
from mvideo_core.curation.filters.samples import ClipSamples
from mvideo_core.curation.stages.detect import clip_of
from mvideo_core.engine.stage import Chart, Item, Stage, StageContext, Worker
from mvideo_core.media.decode import read_frames


class CleanOptions(Options):
    """Which filters clips must pass. Without filters the stage is left out."""

    filters: dict[str, dict[str, Any]] = Field(
        default={},
        description="filters by name (docs/reference/dataset.md lists them), each with its options or {}",
    )

    def create_filters(self) -> dict[str, ClipFilter]:
        """The filters, by name.

        Raises:
            ConfigError: an unknown filter or option.
        """
        found = {}
        for name in sorted(self.filters):
            kind = CLIP_FILTERS.get(name)
            found[name] = kind(kind.Options.parse(self.filters[name], f"clean.filters.{name}"))
        return found


class CleanWorker(Worker):
    """Decodes each clip once for all filters."""

    independent = True

    def __init__(self, options: CleanOptions, context: StageContext):
        self.context, self.filters = context, options.create_filters()

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One CleanRow per clip with all values; filtered, with the name of the first filter that drops it."""
        return [[self._row(clip_of(item))] for item in items]

    def _row(self, clip: ClipRow) -> CleanRow:
        assert clip.clip is not None
        samples = ClipSamples.of(read_frames(self.context.local(clip.clip)), clip.n_frames, clip.fps, clip.key)
        return judge_clip(clip.key, samples, self.filters)


def judge_clip(key: str, samples: ClipSamples, filters: dict[str, ClipFilter]) -> CleanRow:
    """The row of a clip: values of all filters, and the first reason to drop it, if any."""
    values, look, drop = [], None, None
    for name, one in filters.items():
        look = one.perceptual_hashes(samples) or look
        if (measured := one.measure(samples)) is None:
            continue
        value = round(measured, 5)
        values.append(FilterValue(name=name, value=value, limits=one.limits()))
        verdict = one.judge(value)
        if drop is None and not verdict.keep:
            drop = name, value, verdict.limit
    if drop is not None:
        return CleanRow.filter_row(key, key, *drop, values=values, look=look)
    return CleanRow(key=key, parent=key, values=values, look=look)


def _charts() -> list[Chart]:
    """One histogram per filter, over all clips that came in."""
    kinds = {name: CLIP_FILTERS.get(name) for name in CLIP_FILTERS.names()}
    return [
        Chart(kind.title, kind.unit, kind.low, kind.high, lambda row, name=name: value_of(row, name))  # type: ignore[misc]
        for name, kind in kinds.items()
    ]


def value_of(row: Row, name: str) -> FilterValue | None:
    """What one filter measured on the clip of a row; None if it was not used."""
    found = (one for one in row.values if one.name == name) if isinstance(row, CleanRow) else iter(())
    return next(found, None)


def _check(options: CleanOptions) -> None:
    options.create_filters()


STAGE = Stage(
    name="clean",
    revision=1,
    title="Drop clips by motion, sharpness, exposure, text and the like (off by default).",
    reads=("cut",),
    unit="clip",
    options=CleanOptions,
    row=CleanRow,
    resource="cpu",
    open=CleanWorker,
    enabled=lambda options: bool(options.filters),
    check=_check,
    charts=_charts,
)
