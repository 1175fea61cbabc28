"""Results for people and other programs: Markdown, LaTeX, CSV, JSON of one number per line, and VBench's own format.

Printed numbers are raw values times the metric's scale, so VBench's dimensions stand as in the paper's tables.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.disk import write_whole
from mvideo_core.evaluation.aggregate import Aggregate, GroupKey, group_of
from mvideo_core.evaluation.facts import NOT_RECORDED, SAME_SECONDS, described
from mvideo_core.evaluation.result import EvalResult, GroupResult, LoadedResult
from mvideo_core.options import canonical_json

VBENCH_DIMENSIONS = {
    "overall_consistency": 1.0,
    "imaging_quality": 0.01,
    "motion_smoothness": 1.0,
    "temporal_flickering": 1.0,
}
"""VBench's dimensions, and what its aggregates are times the mean of its videos (imaging quality: 0-100 to 0-1)."""

DIGITS = 2
_LATEX = {letter: f"\\{letter}" for letter in "_%&#${}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def rows_of(result: EvalResult) -> list[dict[str, Any]]:
    """One plain mapping per system and metric, in printed units; what CSV and JSON hold."""
    found: list[dict[str, Any]] = []
    for group in result.groups:
        head = {"test_set": group.test_set, "system": group.system, "variant": group.variant}
        for name, facts in result.metrics.items():
            got = group.metrics.get(name)
            row: dict[str, Any] = {**head, "metric": name, "status": _status(result, name, got)}
            for field in ("mean", "low", "high", "micro"):
                value = getattr(got, field) if got is not None else None
                row[field] = None if value is None else value * facts.scale
            for field in ("n", "n_missing", "n_failed", "n_inapplicable", "n_frames", "n_frames_skipped"):
                row[field] = getattr(got, field) if got is not None else None
            row["n_items"] = group.n_items
            row["weights_sha256"] = facts.weights_sha256
            found.append(row)
    return found


def to_csv(result: EvalResult) -> str:
    """`rows_of` as CSV with a header."""
    rows = rows_of(result)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else ["metric"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def to_json(result: EvalResult) -> str:
    """`rows_of` with choices and reasons around it."""
    page = {
        "suite": result.suite.name,
        "choices": result.choices,
        "unavailable": result.unavailable,
        "rows": rows_of(result),
    }
    return json.dumps(page, indent=1) + "\n"


def to_markdown(result: EvalResult) -> str:
    """The table of means, the table of counts, unavailable metrics with reasons, and every recorded choice."""
    head = ["system", *result.metrics]
    lines = [[group.title, *(cell(result, group, name) for name in result.metrics)] for group in result.groups]
    counts = [[group.title, str(group.n_items), *_counts(result, group)] for group in result.groups]
    parts = [
        f"# {result.suite.name}",
        markdown_table(head, lines),
        f"In brackets: {result.suite.intervals.level:.0%} interval of the mean, from 6 prompts on.",
        "## Counts",
        "Videos scored / missing / failed / without what the metric needs; then frames skipped, where there are any.",
        markdown_table(["system", "videos", *result.metrics], counts),
        "## Videos",
        *(f"- {group.title}: {text}" for group in result.groups for text in made_how(group)),
    ]
    if result.unavailable:
        parts += ["## Not measured", *(f"- {name}: {reason}" for name, reason in result.unavailable.items())]
    parts += ["## Choices", *(f"- {name}: {text}" for name, text in result.choices.items())]
    parts += [f"- metric {measured_by(result, name)}" for name in result.metrics if name not in result.unavailable]
    return "\n\n".join(_lists_closed(parts)) + "\n"


def to_latex(result: EvalResult) -> str:
    """The table of means as a `tabular`, with intervals."""
    head = " & ".join(["System", *(latex_text(name) for name in result.metrics)])
    body = [
        " & ".join(latex_text(text) for text in (group.title, *(cell(result, group, name) for name in result.metrics)))
        for group in result.groups
    ]
    rows = [f"{line} \\\\" for line in body]
    columns = "l" + "c" * len(result.metrics)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            rf"{head} \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
            "",
        ]
    )


def to_vbench(loaded: LoadedResult, group: GroupKey) -> dict[str, list[Any]]:
    """{dimension: [aggregate, [{video_path, video_results}]]} of one system, as VBench's `evaluate` writes it.

    Only dimensions that go by VBench's own names are in it. Units are VBench's: imaging quality is 0-100 per video and
    0-1 in the aggregate.
    """
    videos = {(group_of(item), item.id): item.video for item in loaded.items}
    found: dict[str, list[Any]] = {}
    for name, facts in loaded.result.metrics.items():
        if name not in VBENCH_DIMENSIONS or facts.metric != name:
            continue
        mine = [row for row in loaded.rows if row.metric == name and group_of(row) == group and row.value is not None]
        if not mine:
            continue
        per_video = [{"video_path": videos[group, row.id], "video_results": row.value} for row in mine]
        mean = sum(row.value for row in mine if row.value is not None) / len(mine)
        found[name] = [mean * VBENCH_DIMENSIONS[name], per_video]
    return found


def write_exports(loaded: LoadedResult, out: Path) -> list[Path]:
    """results.json, .csv, .md and .tex, and one <system>_eval_results.json per system. Returns: what was written.

    Raises:
        StoreError: the folder cannot be written.
    """
    result = loaded.result
    forms: dict[str, Callable[[EvalResult], str]] = {
        "results.json": to_json,
        "results.csv": to_csv,
        "results.md": to_markdown,
        "results.tex": to_latex,
    }
    written = []
    for name, make in forms.items():
        write_whole(out / name, make(result))
        written.append(out / name)
    taken: Counter[str] = Counter()
    for group in result.groups:
        if dimensions := to_vbench(loaded, group.key):
            name = _file_name(group.key)
            taken[name] += 1
            path = out / "vbench" / f"{name}{f'-{taken[name]}' if taken[name] > 1 else ''}_eval_results.json"
            write_whole(path, json.dumps(dimensions, indent=1) + "\n")
            written.append(path)
    return written


def cell(result: EvalResult, group: GroupResult, name: str) -> str:
    """ "26.57 [25.90, 27.21]", or why there is no number."""
    got = group.metrics.get(name)
    if got is None or got.mean is None:
        return _status(result, name, got)
    return numbers(got, result.metrics[name].scale)


def numbers(got: Aggregate, scale: float) -> str:
    """Mean and interval in printed units."""
    assert got.mean is not None
    text = f"{got.mean * scale:.{DIGITS}f}"
    if got.low is None or got.high is None:
        return text
    return f"{text} [{got.low * scale:.{DIGITS}f}, {got.high * scale:.{DIGITS}f}]"


def measured_by(result: EvalResult, name: str) -> str:
    """What a metric measured with: "mask_miou: mask_miou, revision 1, weights 80c877891c34, options {}"."""
    facts = result.metrics[name]
    weights = f"weights {facts.weights_sha256[:12]}" if facts.weights_sha256 else "no weights"
    return f"{name}: {facts.metric}, revision {facts.revision}, {weights}, options {canonical_json(facts.options)}"


def made_how(group: GroupResult) -> list[str]:
    """Length, size, rate and sampling of a system's videos, by files and provenance; a length declared otherwise."""
    if not group.videos:
        return ["no video could be measured"]
    sampled: Counter[str] = Counter()
    for one in group.videos:
        sampled[one.facts.sampling or NOT_RECORDED] += one.n
    sampling = "; ".join(text if len(sampled) == 1 else f"{n} by {text}" for text, n in sampled.items())
    found = [f"measured: {described(group.videos)}; {sampling}"]
    measured = [one.facts.seconds for one in group.videos]
    if any(abs(said - one) >= SAME_SECONDS for said in group.seconds for one in measured):
        said = "/".join(f"{one:g}" for one in group.seconds)
        found.append(f"the manifest declares {said} s; the table goes by the files")
    return found


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in row) + " |" for row in rows)


def latex_text(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _status(result: EvalResult, name: str, got: Aggregate | None) -> str:
    if name in result.unavailable:
        return "unavailable"
    if got is None:
        return "not measured"
    if got.mean is not None:
        return "ok"
    reasons = {"missing": got.n_missing, "failed": got.n_failed, "inapplicable": got.n_inapplicable}
    return "none: " + ", ".join(f"{n} {word}" for word, n in reasons.items() if n)


def _counts(result: EvalResult, group: GroupResult) -> list[str]:
    found = []
    for name in result.metrics:
        got = group.metrics.get(name)
        if got is None:
            found.append("-")
            continue
        skipped = f", {got.n_frames_skipped} frames" if got.n_frames_skipped else ""
        found.append(f"{got.n} / {got.n_missing} / {got.n_failed} / {got.n_inapplicable}{skipped}")
    return found


def _lists_closed(parts: Sequence[str]) -> list[str]:
    """List items of one list in one paragraph."""
    found: list[str] = []
    for part in parts:
        if part.startswith("- ") and found and found[-1].startswith("- "):
            found[-1] += "\n" + part
        else:
            found.append(part)
    return found


def _file_name(key: GroupKey) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(part for part in key if part)) or "unnamed"
