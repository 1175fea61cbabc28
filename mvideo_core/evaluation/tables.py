"""`mvideo eval table` prints the paper's scores next to yours, with interval and counts, or `no result`.

A result fills a row if `system` and `test_set` match and every video file has the row's length (within half a second)
and size, and in table 5 also 8 fps. Other results follow below the paper's rows. A score is in one of the paper's
columns only if it was computed with the weights that VBench uses, or for S_m with a published SAM2 checkpoint.
Substitutes and controls, for which the paper has no scores, are in separate sections. Every choice that the paper
leaves open is listed below the table. The `.tex` files need the LaTeX package `array`.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import read_yaml
from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import GroupKey
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.export import describe_metric, generation_facts
from mvideo_core.evaluation.figures import (
    COUNTS,
    NOTHING_SCORED,
    READING,
    Figure,
    detail_of,
    figure_of,
    metric_titles,
)
from mvideo_core.evaluation.layout import Section, Sheet, sheet_csv, sheet_latex, sheet_markdown
from mvideo_core.evaluation.result import EvalResult, GroupResult, MetricFacts
from mvideo_core.evaluation.video_facts import SAME_SECONDS, VideoFacts, describe
from mvideo_core.weights.catalog import entries

DATA = Path(__file__).with_name("paper_tables.yaml")
DETAILS = {"3": {"box_fill": "filled boxes", "j": "J", "f": "F", "j_and_f": "J and F"}}
"""Additional numbers of a metric that a table shows if they were measured, with their names."""


class PaperRow(Record):
    """One printed row. `figures`: scores by our metric names; `fps`: frame rate, if the paper states it."""

    model: str
    video: str
    test_set: str = ""
    system: str
    seconds: float
    fps: float | None = None
    figures: dict[str, float]

    @property
    def size_px(self) -> tuple[int, int]:
        """Height and width, from `video`: "12 s x 480 x 720"."""
        _, height, width = self.video.split(" x ")
        return int(height), int(width)

    def shows(self, facts: VideoFacts) -> bool:
        """Whether a video has this row's length and size."""
        same_rate = self.fps is None or abs(facts.fps - self.fps) < 0.01
        same_size = (facts.height_px, facts.width_px) == self.size_px
        return same_size and same_rate and abs(facts.seconds - self.seconds) < SAME_SECONDS


class PaperTable(Record):
    """One printed table. `metrics`: our name -> the paper's name; `test_sets`: sets its rows may be measured on."""

    title: str
    test_sets: tuple[str, ...] = ()
    metrics: dict[str, str]
    rows: tuple[PaperRow, ...]


class TableRow(Record):
    """One row: the paper's scores, ours, and which result ours come from ("" = none)."""

    model: str
    video: str
    test_set: str
    paper: dict[str, float]
    ours: dict[str, Figure]
    source: str = ""


class Table(Record):
    """A table of the paper, filled with our results.

    Attributes:
        metrics: the paper's columns, our name -> printed name.
        others: additional metrics, key -> readable name; each is a section below the paper's.
        notes: choices the paper leaves open, missing measurements, and weights.
    """

    number: str
    title: str
    metrics: dict[str, str]
    others: dict[str, str]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...]


@lru_cache(maxsize=1)
def paper_tables() -> dict[str, PaperTable]:
    """The printed tables by number."""
    return {number: PaperTable.model_validate(value) for number, value in read_yaml(DATA).items()}


def make_table(number: str, results: Sequence[tuple[str, EvalResult]]) -> Table:
    """Fill one of the paper's tables with our results.

    Args:
        number: "2" to "5".
        results: (name to cite, result) pairs; may be empty, then every row says so.

    Raises:
        ConfigError: no such table.
    """
    tables = paper_tables()
    if number not in tables:
        raise ConfigError(f"no table {number!r}; available: {', '.join(tables)}")
    paper = tables[number]
    groups = [(name, result, group) for name, result in results for group in result.groups]
    used: set[tuple[str, GroupKey]] = set()
    rows: list[TableRow] = []
    for printed in paper.rows:
        fitting = [one for one in groups if _fits(printed, paper, one[2])]
        used |= {(name, group.key) for name, _, group in fitting}
        rows += [_row(number, name, result, group, printed) for name, result, group in fitting] or [_empty(printed)]
    rows += [_row(number, name, result, group) for name, result, group in groups if (name, group.key) not in used]
    found = dict.fromkeys(
        column
        for row in rows
        for column, figure in row.ours.items()
        if column not in paper.metrics and figure.reason != NOTHING_SCORED  # mask mIoU of videos without masks
    )
    return Table(
        number=number,
        title=paper.title,
        metrics=paper.metrics,
        others=_titles(number, found, [result for _, result in results]),
        rows=tuple(rows),
        notes=tuple(_notes(results)),
    )


def table_markdown(table: Table) -> str:
    """The table, followed by everything needed to read it."""
    parts = [
        f"**Table {table.number}.** {table.title}",
        sheet_markdown(table_sheet(table)),
        READING,
        "Choices and notes:",
    ]
    parts.append("\n".join(f"- {note}" for note in table.notes) or "- no results given")
    return "\n\n".join(parts) + "\n"


def table_latex(table: Table) -> str:
    """The table as a `tabular`, with caption and notes as comments."""
    notes = [f"% {line}" for note in (READING, *table.notes) for line in note.splitlines()]
    return "\n".join([f"% Table {table.number}. {table.title}", sheet_latex(table_sheet(table)) + "\n".join(notes), ""])


def table_csv(table: Table) -> str:
    """The cells as CSV with a header."""
    return sheet_csv(table_sheet(table))


def write_table(table: Table, out: Path) -> list[Path]:
    """table-N.json, .md, .tex and .csv. Returns: the paths. Raises StoreError: the folder cannot be written."""
    content = {
        "json": json.dumps(table.model_dump(mode="json"), indent=1) + "\n",
        "md": table_markdown(table),
        "tex": table_latex(table),
        "csv": table_csv(table),
    }
    paths = [out / f"table-{table.number}.{ending}" for ending in content]
    for path, text in zip(paths, content.values(), strict=True):
        write_whole(path, text)
    return paths


def _fits(printed: PaperRow, paper: PaperTable, group: GroupResult) -> bool:
    """Whether one of our groups matches a printed row: every video file has its length and size."""
    sets = (printed.test_set,) if printed.test_set else paper.test_sets
    if group.system != printed.system or group.test_set not in sets:
        return False
    return bool(group.videos) and all(printed.shows(one.facts) for one in group.videos)


def _row(number: str, name: str, result: EvalResult, group: GroupResult, printed: PaperRow | None = None) -> TableRow:
    """A row with our numbers and, if available, the paper's."""
    ours: dict[str, Figure] = {}
    columns = paper_tables()[number].metrics
    for metric, facts in result.metrics.items():
        own = metric in columns and metric not in result.unavailable and not _papers(metric, facts)
        column = f"{metric} (own)" if own else metric
        got = group.metrics.get(metric)
        ours[column] = figure_of(result, group, metric)
        if got is not None and got.mean is not None:
            for detail in DETAILS.get(number, ()):
                if found := detail_of(result, group, metric, detail):
                    ours[f"{metric}: {detail}"] = found
    return TableRow(
        model=printed.model if printed else group.key.short_title,
        video=printed.video if printed else describe(group.videos),
        test_set=group.test_set,
        paper=printed.figures if printed else {},
        ours=ours,
        source=name,
    )


def _papers(metric: str, facts: MetricFacts) -> bool:
    """Whether a name is accurate: the metric itself, not a control, judged by a published SAM2 or VBench's network."""
    if metric != facts.metric or facts.options.get("pairing") == "shuffled" or facts.options.get("subject") == "source":
        return False
    if metric == "mask_miou":
        return is_published_judge(facts.weights_sha256)
    published = METRICS.get(metric).Options().model_dump().get("weights")
    return facts.options.get("weights", published) == published


@lru_cache(maxsize=1)
def _sam2_digests() -> frozenset[str]:
    return frozenset(
        one.sha256 for item in entries() if item.kind == "segmenter" for one in item.files if one.sha256 and one.url
    )


def is_published_judge(weights_sha256: str) -> bool:
    """Whether the digest belongs to a published SAM2 checkpoint in the weights catalog."""
    return weights_sha256 in _sam2_digests()


def _empty(printed: PaperRow) -> TableRow:
    return TableRow(model=printed.model, video=printed.video, test_set=printed.test_set, paper=printed.figures, ours={})


def table_sheet(table: Table) -> Sheet:
    """The table's cells as text, used by every output format."""
    sets = any(row.test_set for row in table.rows)
    sections = []
    for metric, title in {**table.metrics, **table.others}.items():
        lines = []
        for row in table.rows:
            if metric in table.others and metric not in row.ours:
                continue
            figure = row.ours.get(metric, Figure(reason=_explain_gap(row)))
            line = [row.model, row.video, *([row.test_set] if sets else [])]
            line.append(f"{row.paper[metric]:.2f}" if metric in row.paper else "-")
            lines.append([*line, figure.text, *figure.counts])
        sections.append(Section(title, lines))
    return Sheet("Metric", ["Model", "Video", *(["Test set"] if sets else []), "Paper", "Ours", *COUNTS], sections)


def _titles(number: str, columns: Iterable[str], results: Sequence[EvalResult]) -> dict[str, str]:
    """Readable names of metrics that are not in the paper."""
    known = {name: facts for result in results for name, facts in result.metrics.items()}
    titles = metric_titles(known)
    printed = paper_tables()[number].metrics.values()
    found = {}
    for column in columns:
        metric, _, detail = column.partition(": ")
        name = metric.removesuffix(" (own)")
        title = f"{titles[name]}, not in the paper" if metric != name else titles[name]
        title = f"{title} ({metric})" if title in printed else title
        found[column] = f"{DETAILS[number][detail]}: {title}" if detail else title
    return found


def _explain_gap(row: TableRow) -> str:
    return "not measured" if row.source else "no result"


def _notes(results: Sequence[tuple[str, EvalResult]]) -> list[str]:
    """Choices, missing metrics and weights, by result."""
    found: list[str] = []
    for name, result in results:
        found += [f"{name}: {choice.replace('_', ' ')}: {text}" for choice, text in result.choices.items()]
        for group in result.groups:
            fewest, most = group.videos_per_prompt
            per_prompt = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            found.append(
                f"{name}: {group.title}: {group.n_items} videos of {group.n_prompts} prompts, {per_prompt} per prompt, "
                f"{group.n_lengthened} generated from a prompt other than the scored one"
            )
            found += [f"{name}: {group.title}: {text}" for text in generation_facts(group)]
        found += [f"{name}: {metric} was not measured: {reason}" for metric, reason in result.unavailable.items()]
        found += [
            f"{name}: metric {describe_metric(result, metric)}"
            for metric in result.metrics
            if metric not in result.unavailable
        ]
    return found
