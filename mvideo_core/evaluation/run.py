"""Score each item of a part with each metric of the suite; existing scores are reused."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import KilledError, MediaError, ModelError
from mvideo_core.evaluation.aggregate import GroupKey, RowStatus, ScoreRow, group_of
from mvideo_core.evaluation.base import Metric
from mvideo_core.evaluation.failed_videos import NOT_MADE, absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.overwrite_check import check_replaces_nothing
from mvideo_core.evaluation.plan import EvalPlan, Part, shuffle_masks
from mvideo_core.evaluation.record_files import read_record, write_record
from mvideo_core.evaluation.result import EvalResult, PartNote, collect, note_path
from mvideo_core.evaluation.scores import Digests, StoredScore, key_facts, score_path
from mvideo_core.evaluation.suite import Prepared, prepare
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.evaluation.video_facts import ItemFacts, facts_of

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""(items done, total items, the item just finished)."""

TRIES_OF_KILLED = 3
"""Attempts, if the probing process is killed externally, which says little about the video."""


class _Ready(NamedTuple):
    """A loaded metric."""

    about: Prepared
    metric: Metric


def run_suite(
    plan: EvalPlan, out: str | Path, progress: Progress | None = None, overwrite: bool = False
) -> EvalResult:  # fmt: skip
    """Score everything on this machine, and write result.json, rows.jsonl and items.jsonl.

    Raises:
        ConfigError, StoreError: see `score_part`.
    """
    score_part(plan, Part(), out, progress, overwrite)
    return collect(plan, 1, out)


def score_part(
    plan: EvalPlan, part: Part, out: str | Path, progress: Progress | None = None, overwrite: bool = False
) -> PartNote:  # fmt: skip
    """Score one part. If killed, the next call resumes at the first missing score.

    A metric with missing weights is recorded as unavailable with the reason; broken videos become failed rows.

    Args:
        overwrite: replace a result of other videos or metrics in `out`.

    Raises:
        ConfigError: unknown metric or option, or `out` contains a result of other videos or metrics.
        StoreError: `out` cannot be written.
    """
    place = Path(out)
    if not overwrite:
        check_replaces_nothing(plan, place)
    ready, unavailable = _load(prepare(plan.suite), plan.suite.device)
    pairs = shuffle_masks(plan.items)
    items = plan.of_part(part)
    rows: list[ScoreRow] = []
    videos: list[ItemFacts] = []
    for number, item in enumerate(items, 1):
        found = _score_item(item, ready, pairs, place)
        rows += found
        if (facts := facts_of(item)) is not None:
            videos.append(ItemFacts(**group_of(item)._asdict(), id=item.id, facts=facts))
        if progress is not None:
            progress(number, len(items), _progress_line(item, found))
    note = PartNote(
        plan=plan.digest,
        rows=tuple(rows),
        unavailable=unavailable,
        weights={one.about.name: one.metric.weights_sha256 for one in ready},
        videos=tuple(videos),
    )
    write_record(note_path(place, part), note)
    return note


def _load(metrics: Sequence[Prepared], device: str) -> tuple[list[_Ready], dict[str, str]]:
    """Load the metrics; also returns why the others are unavailable."""
    ready: list[_Ready] = []
    unavailable: dict[str, str] = {}
    for about in metrics:
        try:
            ready.append(_Ready(about, about.kind.load(about.options, device or default_device())))
        except ModelError as error:
            unavailable[about.name] = str(error)
            log.warning("%s is unavailable: %s", about.name, error)
    return ready, unavailable


def _score_item(
    item: EvalItem, ready: Sequence[_Ready], pairs: dict[tuple[GroupKey, str], EvalItem], out: Path
) -> list[ScoreRow]:
    """Rows of one item for every metric."""
    video, digests = EvalVideo(item), Digests()
    rows = []
    for one in ready:
        status, message = _without_scoring(item, one.about, pairs)
        if status is not None:
            error = NOT_MADE if status == "failed" else ""
            rows.append(_row(item, one.about.name, status, message=message, error=error))
            continue
        masks_from = pairs[group_of(item), item.id] if one.about.shuffled else item
        video.pair(masks_from)
        rows.append(_score(video, one, out, digests))
    video.close()
    return rows


def _without_scoring(
    item: EvalItem, about: Prepared, pairs: dict[tuple[GroupKey, str], EvalItem]
) -> tuple[RowStatus | None, str]:
    """Why there is nothing to score, or None."""
    if (absence := absence_of(item.video)) is not None:
        return absence
    has: dict[str, Any] = {"video": item.video, "prompt": item.prompt, "masks": item.masks, "source": item.source_video}
    has["interventions"] = item.interventions
    lacking = sorted(name for name in about.inputs if not has[name])
    if lacking:
        return "inapplicable", f"the item has no {' and no '.join(lacking)}"
    if about.shuffled and (group_of(item), item.id) not in pairs:
        return "inapplicable", "shuffled masks need another item with different masks in the same group"
    return None, ""


def _score(video: EvalVideo, one: _Ready, out: Path, digests: Digests) -> ScoreRow:
    """The stored score of an item, or a new one, stored immediately."""
    name = one.about.name
    try:
        facts = key_facts(video.item, video.masks_from, one.about, one.metric.weights_sha256, digests)
    except MediaError as error:
        return _row(video.item, name, "failed", error=type(error).__name__, message=str(error))
    path = score_path(out, name, facts)
    stored = read_record(StoredScore, path)
    if stored is None:
        stored = _compute_score(video, one, facts)
        if stored.error != KilledError.__name__:
            write_record(path, stored)
    where = path.relative_to(out).as_posix()
    if stored.score is None:
        return _row(video.item, name, "failed", error=stored.error, message=stored.message, score=where)
    frames = [value for value in stored.score.per_frame if value is not None]
    n_between = stored.score.n_between
    return _row(
        video.item,
        name,
        "ok",
        value=stored.score.value,
        details=stored.score.details,
        n_frames=len(frames) + stored.score.n_lost,
        n_frames_skipped=len(stored.score.per_frame) - len(frames) - n_between,
        n_frames_between=n_between,
        frames_sum=float(sum(frames)),
        masks_sha256=facts.get("masks", ""),
        sample_masks_sha256=video.masks_from.sample_masks_sha256 if "masks" in facts else "",
        score=where,
    )


def _compute_score(video: EvalVideo, one: _Ready, facts: dict[str, Any]) -> StoredScore:
    """Score the item now; a bad item gives a failed score with the reason."""
    for attempt in range(1, TRIES_OF_KILLED + 1):
        try:
            score = one.metric.score(video)
        except MediaError as error:
            if isinstance(error, KilledError) and attempt < TRIES_OF_KILLED:
                continue
            return _failure_score(one, error, facts)
        if not math.isfinite(score.value):
            message = f"{video.item.id}: {one.about.name} returned a non-finite score ({score.value})"
            return _failure_score(one, MediaError(message), facts)
        return StoredScore(metric=one.about.registered, status="ok", score=score, decides=facts)
    raise AssertionError("the last attempt returns")


def _failure_score(one: _Ready, error: MediaError, facts: dict[str, Any]) -> StoredScore:
    return StoredScore(
        metric=one.about.registered,
        status="failed",
        error=type(error).__name__,
        message=str(error),
        decides=facts,
    )


def _row(item: EvalItem, metric: str, status: RowStatus, **known: Any) -> ScoreRow:
    return ScoreRow(
        test_set=item.test_set,
        system=item.system,
        variant=item.variant,
        id=item.id,
        metric=metric,
        status=status,
        **known,
    )


def _progress_line(item: EvalItem, rows: Sequence[ScoreRow]) -> str:
    """ "cat-0: temporal_flickering 0.9812, mask_miou failed"."""
    words = [f"{row.metric} {row.value:.4f}" if row.value is not None else f"{row.metric} {row.status}" for row in rows]
    return f"{item.id}: {', '.join(words) or 'no metric is available'}"
