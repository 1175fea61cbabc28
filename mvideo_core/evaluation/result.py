"""The folder that `mvideo eval run --out` writes:

    result.json                        the suite, digests of the metrics' weights; per system: mean, interval, counts
    rows.jsonl                         one line per item and metric
    items.jsonl                        the items, with absolute paths
    results.md, .tex, .csv, .json      tables, in the paper's units
    control.md, .json                  if the suite measures control, or S_m with its controls
    vbench/<system>_eval_results.json  VBench's format and units
    scores/<metric>/<sha>.json         one score, with a curve per frame
    parts/                             notes of finished parts
    report/                            the page of `mvideo eval report`

In `rows.jsonl`, the status of an item is `ok`, `missing` (no such file), `failed` (with the reason) or `inapplicable`
(it lacks prompt, masks or source). A metric whose weights or package are missing is `unavailable` in `result.json`.

A score's file name is the digest of everything that determines the score. If a video, prompt, mask, option or weight
changes, the video is scored again; if it is only moved, it is not. With the same version and hardware, the same videos
at the same paths give the same `result.json`, byte for byte.
"""

# Records of the files: `aggregate.ScoreRow` (rows.jsonl), `manifest.EvalItem` (items.jsonl), `scores` (scores/).

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from mvideo_core import __version__
from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError, MediaError, StoreError
from mvideo_core.base.options import problems_of
from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import Aggregate, GroupKey, ScoreRow, aggregate, cluster_of, group_of
from mvideo_core.evaluation.base import METRICS, VideoScore
from mvideo_core.evaluation.failed_videos import NOT_MADE, absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan, Part, shuffle_masks
from mvideo_core.evaluation.record_files import read_record
from mvideo_core.evaluation.scores import Digests, StoredScore, key_facts, score_path
from mvideo_core.evaluation.shared import PromptedRow, SharedMean, average_shared
from mvideo_core.evaluation.suite import NOT_STATED, SuiteOptions, prepare, says_mini
from mvideo_core.evaluation.video_facts import ItemFacts, VideoKind, kinds


class PartNote(Record):
    """Output of a finished part: its rows, metrics that could not be loaded, weight digests of the others.

    `videos`: facts about its items' files, where readable.
    """

    plan: str
    rows: tuple[ScoreRow, ...]
    unavailable: dict[str, str]
    weights: dict[str, str]
    videos: tuple[ItemFacts, ...] = ()


class MetricFacts(Record):
    """How to interpret a metric's scores. `scale`: factor from raw values to table values; `set_level`: one score for
    all videos together, so systems cannot be compared pairwise.
    """

    metric: str
    options: dict[str, Any]
    revision: int
    scale: float
    licence: str
    weights_sha256: str = ""
    set_level: bool = False

    @property
    def deciding(self) -> "MetricFacts":
        """The facts without options that only change memory or time; scores are comparable if these are equal."""
        known = self.metric in METRICS.names()  # a result may be older than the current metrics
        memory = METRICS.get(self.metric).memory_options if known else ()
        return self.model_copy(update={"options": {k: v for k, v in self.options.items() if k not in memory}})


class GroupResult(Record):
    """One system (and variant) on one test set.

    Attributes:
        n_items: requested videos, existing or not.
        n_prompts: distinct prompts.
        videos_per_prompt: minimum and maximum.
        n_lengthened: items whose generation prompt differs from the scored one.
        seconds: lengths declared in the manifest, ascending.
        videos: measured facts about the files; () = none could be read.
        metrics: by name in the suite; unavailable metrics are not included.
        shared: the same, over the items that every system of the test set was scored on.
        n_asked: by metric, number of distinct items over all systems of the test set.
    """

    test_set: str = ""
    system: str = ""
    variant: str = ""
    n_items: int
    n_prompts: int
    videos_per_prompt: tuple[int, int]
    n_lengthened: int
    seconds: tuple[float, ...]
    videos: tuple[VideoKind, ...] = ()
    metrics: dict[str, Aggregate]
    shared: dict[str, Aggregate] = {}
    n_asked: dict[str, int] = {}

    @property
    def key(self) -> GroupKey:
        """Key of this group."""
        return GroupKey(self.test_set, self.system, self.variant)

    @property
    def short_title(self) -> str:
        """ "mvideo-5b, 12 s"."""
        return self.key.short_title or "(unnamed)"

    @property
    def title(self) -> str:
        """ "mvideo-5b, 12 s, complexmotion"."""
        return self.key.title


class EvalResult(Record):
    """Content of result.json."""

    version: str = __version__
    plan: str
    suite: SuiteOptions
    choices: dict[str, str]
    metrics: dict[str, MetricFacts]
    unavailable: dict[str, str]
    groups: tuple[GroupResult, ...]


class LoadedResult(NamedTuple):
    """A result read from its folder."""

    folder: Path
    result: EvalResult
    rows: tuple[ScoreRow, ...]
    items: tuple[EvalItem, ...]


def note_path(out: Path, part: Part) -> Path:
    """Path of a part's note."""
    return out / "parts" / f"{part.index}-of-{part.count}.json"


def find_waiting_parts(plan: EvalPlan, count: int, out: str | Path) -> list[int]:
    """Parts without a note for this plan; if there are none, parts whose files or metrics have changed since."""
    notes = _notes(plan, count, out)
    absent = [index for index, note in enumerate(notes) if note is None]
    return absent or [index for index, note in enumerate(notes) if note is not None and _is_outdated(plan, note)]


def collect(plan: EvalPlan, count: int, out: str | Path) -> EvalResult:
    """Aggregate the finished parts and write result.json, rows.jsonl and items.jsonl.

    Raises:
        ConfigError: a part is not finished, or parts used different weights. StoreError: the folder cannot be written.
    """
    place = Path(out)
    if waiting := find_waiting_parts(plan, count, out):
        raise ConfigError(
            f"{out}: parts {waiting} of {count} are not scored yet, or their files have changed; run them with "
            f"--part INDEX/{count}"
        )
    found = [note for note in _notes(plan, count, out) if note is not None]
    unavailable = {name: reason for note in found for name, reason in note.unavailable.items()}
    weights = _same_weights(found, out)
    order = {(group_of(item), item.id): place for place, item in enumerate(plan.items)}
    rows = sorted(
        (row for note in found for row in note.rows if row.metric not in unavailable),
        key=lambda row: order[group_of(row), row.id],
    )
    alone = EvalResult(
        plan=plan.digest,
        suite=plan.suite,
        choices=_choices(plan),
        metrics=metric_facts(plan, weights),
        unavailable=unavailable,
        groups=tuple(_groups(plan, rows, [one for note in found for one in note.videos], place)),
    )
    (result,) = share_items([LoadedResult(place, alone, tuple(rows), plan.items)])
    write_whole(place / "items.jsonl", _lines(plan.items))
    write_whole(place / "rows.jsonl", _lines(rows))
    write_whole(place / "result.json", json.dumps(result.model_dump(mode="json"), indent=1) + "\n")
    return result


def read_result(folder: str | Path) -> LoadedResult:
    """Read result, rows and items of an evaluation.

    Raises:
        ConfigError: no result there. StoreError: a foreign or damaged file.
    """
    place = Path(folder)
    if not (place / "result.json").is_file():
        raise ConfigError(f"{place}: no result.json; pass the --out folder of `mvideo eval run`")
    try:
        result = EvalResult.model_validate_json((place / "result.json").read_bytes())
        rows = tuple(ScoreRow.model_validate_json(line) for line in _read_lines(place / "rows.jsonl"))
        items = tuple(EvalItem.model_validate_json(line) for line in _read_lines(place / "items.jsonl"))
    except (OSError, ValidationError) as error:
        raise StoreError(
            f"{place}: not a result of this version ({problems_of(error)}); rerun `mvideo eval run`"
        ) from None
    return LoadedResult(place, result, rows, items)


def share_items(results: Sequence[LoadedResult], groups: Collection[GroupKey] | None = None) -> list[EvalResult]:
    """Recompute `shared` of the results over the items that all systems of a test set have in common.

    Args:
        groups: systems in the table; None = all. Other systems are removed from the results.
    """
    if not results:
        return []
    requested: dict[tuple[int, GroupKey], list[PromptedRow]] = {}
    for place, loaded in enumerate(results):
        items = {(group_of(item), item.id): item for item in loaded.items}
        for row in loaded.rows:
            item = items[group_of(row), row.id]
            if groups is None or group_of(row) in groups:
                requested.setdefault((place, group_of(row)), []).append(PromptedRow(row, item.prompt, cluster_of(item)))
    shuffled = {
        name
        for loaded in results
        for name, facts in loaded.result.metrics.items()
        if facts.options.get("pairing") == "shuffled"
    }
    means = average_shared(requested, results[0].result.suite.intervals, shuffled)
    return [
        loaded.result.model_copy(
            update={
                "groups": tuple(
                    _add_shared(group, means.get((place, group.key), {}), loaded)
                    for group in loaded.result.groups
                    if groups is None or group.key in groups
                )
            }
        )
        for place, loaded in enumerate(results)
    ]


def _add_shared(group: GroupResult, means: Mapping[str, SharedMean], loaded: LoadedResult) -> GroupResult:
    facts = loaded.result.metrics
    return group.model_copy(
        update={
            "shared": {
                name: _of_set(facts.get(name), one.mean, one.rows, loaded.folder) for name, one in means.items()
            },
            "n_asked": {name: one.n_asked for name, one in means.items()},
        }
    )


def _groups(plan: EvalPlan, rows: Sequence[ScoreRow], videos: Sequence[ItemFacts], out: Path) -> list[GroupResult]:
    members: dict[GroupKey, list[EvalItem]] = {}
    for item in plan.items:
        members.setdefault(group_of(item), []).append(item)
    clusters = {(group_of(item), item.id): cluster_of(item) for item in plan.items}
    facts = metric_facts(plan, {})
    found = []
    for key, items in members.items():
        per_prompt = Counter(cluster_of(item) for item in items)
        metrics = {}
        for name in facts:
            mine = [row for row in rows if row.metric == name and group_of(row) == key]
            if mine:
                mean = aggregate(mine, [clusters[key, row.id] for row in mine], plan.suite.intervals)
                metrics[name] = _of_set(facts[name], mean, mine, out)
        lengthened = [item for item in items if item.prompt_generation not in ("", item.prompt)]
        found.append(
            GroupResult(
                **key._asdict(),
                n_items=len(items),
                n_prompts=len(per_prompt),
                videos_per_prompt=(min(per_prompt.values()), max(per_prompt.values())),
                n_lengthened=len(lengthened),
                seconds=tuple(sorted({item.seconds for item in items if item.seconds is not None})),
                videos=kinds([one.facts for one in videos if group_of(one) == key]),
                metrics=metrics,
            )
        )
    return found


def _of_set(facts: MetricFacts | None, mean: Aggregate, rows: Sequence[ScoreRow], out: Path) -> Aggregate:
    """For a set-level metric, replace the mean by the score of the whole set of scored videos; no interval."""
    if facts is None or not facts.set_level:
        return mean
    kind = METRICS.get(facts.metric)
    scores: list[VideoScore] = []
    for row in rows:
        stored = read_record(StoredScore, out / row.score) if row.status == "ok" else None
        if stored is not None and stored.score is not None:
            scores.append(stored.score)
    number: dict[str, Any] = {"mean": None, "low": None, "high": None, "micro": None}
    if len(scores) < mean.n:
        number["remark"] = f"{mean.n - len(scores)} of {mean.n} score files are missing; rerun `mvideo eval run`"
    else:
        got = kind.of_set(kind.Options.parse(facts.options, facts.metric), scores)
        number |= {"mean": got.value, "remark": got.remark}
    return mean.model_copy(update=number)


def _same_weights(notes: Sequence[PartNote], out: str | Path) -> dict[str, str]:
    """Digest of each metric's weights.

    Raises:
        ConfigError: two parts were scored with different weights.
    """
    weights: dict[str, str] = {}
    for note in notes:
        for name, seen in note.weights.items():
            if weights.setdefault(name, seen) != seen:
                raise ConfigError(
                    f"{out}: parts were scored with different weights of {name} ({weights[name][:12]}, {seen[:12]}); "
                    "use the same weights on all hosts and rerun all parts"
                )
    return weights


def _choices(plan: EvalPlan) -> dict[str, str]:
    """Choices the paper leaves open: the suite's decision or "not recorded"; the segmenter by its weights."""
    open_ones = {
        name: f"not recorded in the suite (the paper does not say {what})" for name, what in NOT_STATED.items()
    }
    found = open_ones | plan.suite.choices
    mini = [one.name for one in prepare(plan.suite) if one.kind.uses_mini_network(one.options)]
    if mini and not says_mini(found["segmenter"]):
        found["segmenter"] = (
            f"a mini SAM2, according to the weights of {', '.join(mini)}; the suite declares: {found['segmenter']}"
        )
    return found


def metric_facts(plan: EvalPlan, weights: dict[str, str]) -> dict[str, MetricFacts]:
    """Facts about a plan's metrics, by name; `weights`: digests by name."""
    return {
        one.name: MetricFacts(
            metric=one.registered,
            options=one.options.model_dump(mode="json"),
            revision=one.kind.revision,
            scale=one.kind.scale,
            licence=one.kind.license,
            weights_sha256=weights.get(one.name, ""),
            set_level=one.kind.set_level,
        )
        for one in prepare(plan.suite)
    }


def _notes(plan: EvalPlan, count: int, out: str | Path) -> list[PartNote | None]:
    return [_read_note(plan, note_path(Path(out), Part(index, count))) for index in range(count)]


def _is_outdated(plan: EvalPlan, note: PartNote) -> bool:
    """Whether a part's scores are outdated: a file or a metric's revision has changed since."""
    metrics = {one.name: one for one in prepare(plan.suite)}
    items = {(group_of(item), item.id): item for item in plan.items}
    pairs, digests = shuffle_masks(plan.items), Digests()

    def score_now(row: ScoreRow) -> str:
        item, about = items[group_of(row), row.id], metrics[row.metric]
        masks_from = pairs[group_of(item), item.id] if about.shuffled else item
        try:
            facts = key_facts(item, masks_from, about, note.weights[about.name], digests)
        except MediaError:
            return ""
        return score_path(Path(), about.name, facts).as_posix()

    for row in note.rows:
        there = absence_of(items[group_of(row), row.id].video) is None
        if row.status in ("missing", "inapplicable") or row.error == NOT_MADE:
            if (row.status != "inapplicable") == there:
                return True
        elif (row.score or row.status == "failed") and (not there or row.score != score_now(row)):
            return True
    return False


def _read_note(plan: EvalPlan, path: Path) -> PartNote | None:
    note = read_record(PartNote, path)
    return note if note is not None and note.plan == plan.digest else None


def _lines(records: Sequence[Record]) -> str:
    return "".join(json.dumps(one.model_dump(mode="json"), ensure_ascii=False) + "\n" for one in records)


def _read_lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]
