"""Export results: Markdown, LaTeX, CSV, JSON with one number per line, and VBench's own format.

Printed numbers are raw values times the metric's scale, so VBench's dimensions match the paper's tables.
"""

import csv
import io
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import canonical_json
from mvideo_core.evaluation.aggregate import Aggregate, GroupKey, group_of
from mvideo_core.evaluation.control.summary import control_json, control_markdown
from mvideo_core.evaluation.figures import COUNTS, READING, detail_of, figure_of, metric_titles
from mvideo_core.evaluation.layout import Section, Sheet, sheet_latex, sheet_markdown
from mvideo_core.evaluation.result import EvalResult, GroupResult, LoadedResult
from mvideo_core.evaluation.video_facts import NOT_RECORDED, SAME_SECONDS, describe

VBENCH_DIMENSIONS = {
    "overall_consistency": 1.0,
    "imaging_quality": 0.01,
    "motion_smoothness": 1.0,
    "temporal_flickering": 1.0,
}
"""VBench's dimensions, and the factor from the mean over videos to its aggregate (imaging quality: 0-100 to 0-1)."""


def rows_of(result: EvalResult) -> list[dict[str, Any]]:
    """One plain mapping per system and metric, in table units; the content of CSV and JSON.

    mean, low, high, n, n_prompts: over all items of the system; shared_...: over the items that all systems of the test
    set share. incomplete: not scored on every item of the test set.
    """
    found: list[dict[str, Any]] = []
    for group in result.groups:
        head = {"test_set": group.test_set, "system": group.system, "variant": group.variant}
        for name, facts in result.metrics.items():
            got, shared = group.metrics.get(name), group.shared.get(name)
            row: dict[str, Any] = {**head, "metric": name, "status": _status(result, name, got)}
            for prefix, one in (("", got), ("shared_", shared)):
                for field in ("mean", "low", "high"):
                    value = getattr(one, field) if one is not None else None
                    row[prefix + field] = None if value is None else value * facts.scale
                for field in ("n", "n_prompts"):
                    row[prefix + field] = getattr(one, field) if one is not None else None
            row["micro"] = None if got is None or got.micro is None else got.micro * facts.scale
            for field in (
                "n_missing",
                "n_failed",
                "n_inapplicable",
                "n_frames",
                "n_frames_skipped",
                "n_frames_between",
            ):
                row[field] = getattr(got, field) if got is not None else None
            row["remark"] = got.remark if got is not None else ""
            row["n_items"], row["n_asked"] = group.n_items, group.n_asked.get(name)
            row["incomplete"] = figure_of(result, group, name).marked
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
    """`rows_of` plus choices and reasons for missing metrics."""
    page = {
        "suite": result.suite.name,
        "choices": result.choices,
        "unavailable": result.unavailable,
        "rows": rows_of(result),
    }
    return json.dumps(page, indent=1) + "\n"


def to_markdown(result: EvalResult) -> str:
    """The table, facts about the videos, unavailable metrics with reasons, and every recorded choice."""
    parts = [
        f"# {result.suite.name}",
        sheet_markdown(sheet_of(result)),
        READING,
        "## Videos",
        *(f"- {text}" for text in describe_videos(result)),
        *(f"- {text}" for text in frames_without(result)),
    ]
    if result.unavailable:
        parts += ["## Not measured", *(f"- {name}: {reason}" for name, reason in result.unavailable.items())]
    parts += ["## Choices", *(f"- {name}: {text}" for name, text in result.choices.items())]
    parts += [f"- metric {describe_metric(result, name)}" for name in result.metrics if name not in result.unavailable]
    return "\n\n".join(_lists_closed(parts)) + "\n"


def to_latex(result: EvalResult) -> str:
    """The table as a `tabular`, with comments on how to read it and on each system's videos."""
    notes = [READING, *describe_videos(result)]
    return "".join(f"% {line}\n" for note in notes for line in note.splitlines()) + sheet_latex(sheet_of(result))


def sheet_of(result: EvalResult) -> Sheet:
    """One section per test set and metric, one line per system."""
    titles = metric_titles(result.metrics)
    sections = []
    for test_set in dict.fromkeys(group.test_set for group in result.groups):
        groups = [group for group in result.groups if group.test_set == test_set]
        for name in result.metrics:
            title = f"{titles[name]}, {test_set}" if test_set else titles[name]
            figures = [(group.short_title, figure_of(result, group, name)) for group in groups]
            sections.append(Section(title, [[system, one.text, *one.counts] for system, one in figures]))
            boxes = [(group.short_title, detail_of(result, group, name, "box_fill")) for group in groups]
            options = result.metrics[name].options
            own = options.get("pairing") == "own" and options.get("subject") == "video"
            if own and any(one for _, one in boxes):
                lines = [[system, one.text, *one.counts] for system, one in boxes if one]
                sections.append(Section(f"filled boxes instead of predicted masks: {title}", lines))
    return Sheet("Metric", ["System", "Mean", *COUNTS], sections)


def describe_videos(result: EvalResult) -> list[str]:
    """`generation_facts` of every system, one line each."""
    return [f"{group.title}: {text}" for group in result.groups for text in generation_facts(group)]


def frames_without(result: EvalResult) -> list[str]:
    """ "S_m, ours: 12 of 97 frames skipped (empty masks)", for metrics that skipped frames."""
    titles = metric_titles(result.metrics)
    found = []
    for group in result.groups:
        for name, got in group.metrics.items():
            about = f"{titles.get(name, name)}, {group.title}"
            n_asked = got.n_frames + got.n_frames_skipped
            if got.n_frames_skipped:
                found.append(f"{about}: {got.n_frames_skipped} of {n_asked} frames skipped (empty masks)")
            if got.n_frames_between:
                found.append(
                    f"{about}: {got.n_frames} frames compared; {got.n_frames_between} more fall between two masks, "
                    "because the video has a higher frame rate than its masks"
                )
            found += [f"{about}: {text}" for text in _describe_unmatched(got, result.metrics[name].options)]
    return found


def _describe_unmatched(got: Aggregate, options: dict[str, Any]) -> list[str]:
    """Masks and frames without a partner, which `align` allows."""
    lost, extra = (round(got.details.get(name, 0) * got.n) for name in ("n_unmatched_masks", "n_unmatched"))
    found = [f"{lost} masks after the end of their video score 0"] if lost else []
    if extra and options.get("subject") != "source":  # the clip the masks come from may go on
        found.append(f"{extra} frames after the end of their masks are not scored")
    return found


def to_vbench(loaded: LoadedResult, group: GroupKey) -> dict[str, list[Any]]:
    """{dimension: [aggregate, [{video_path, video_results}]]} of one system, as VBench's `evaluate` writes it.

    Contains only dimensions with VBench's own names, in VBench's units: imaging quality is 0-100 per video and
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
        mean = math.fsum(row.value for row in mine if row.value is not None) / len(mine)
        found[name] = [mean * VBENCH_DIMENSIONS[name], per_video]
    return found


def write_exports(loaded: LoadedResult, out: Path) -> list[Path]:
    """results.json, .csv, .md and .tex, and one <system>_eval_results.json per system; control.md and .json where the
    suite measures control, or S_m with its controls. Returns: what was written.

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
    if text := control_markdown(loaded):
        for name, content in (("control.md", text), ("control.json", control_json(loaded))):
            write_whole(out / name, content)
            written.append(out / name)
    found = {group.key: dimensions for group in result.groups if (dimensions := to_vbench(loaded, group.key))}
    for name, dimensions in zip(
        file_names(["-".join(filter(None, key)) for key in found]), found.values(), strict=True
    ):
        path = out / "vbench" / f"{name}_eval_results.json"
        write_whole(path, json.dumps(dimensions, indent=1) + "\n")
        written.append(path)
    return written


def describe_metric(result: EvalResult, name: str) -> str:
    """Configuration of a metric: "mask_miou: mask_miou, revision 1, weights 80c877891c34, options {}"."""
    facts = result.metrics[name]
    weights = f"weights {facts.weights_sha256[:12]}" if facts.weights_sha256 else "no weights"
    return f"{name}: {facts.metric}, revision {facts.revision}, {weights}, options {canonical_json(facts.options)}"


def generation_facts(group: GroupResult) -> list[str]:
    """Length, size, frame rate and sampling of a system's videos, from files and provenance; wrong declared lengths."""
    if not group.videos:
        return ["no video could be measured"]
    sampled: Counter[str] = Counter()
    for one in group.videos:
        sampled[one.facts.sampling or NOT_RECORDED] += one.n
    sampling = "; ".join(text if len(sampled) == 1 else f"{n} by {text}" for text, n in sampled.items())
    found = [f"measured: {describe(group.videos)}; {sampling}"]
    measured = [one.facts.seconds for one in group.videos]
    if any(abs(said - one) >= SAME_SECONDS for said in group.seconds for one in measured):
        said = "/".join(f"{one:g}" for one in group.seconds)
        found.append(f"the manifest declares {said} s; the table uses the files' length")
    return found


def _status(result: EvalResult, name: str, got: Aggregate | None) -> str:
    if name in result.unavailable:
        return "unavailable"
    if got is None:
        return "not measured"
    if got.mean is not None:
        return "ok"
    reasons = {"missing": got.n_missing, "failed": got.n_failed, "inapplicable": got.n_inapplicable}
    return "none: " + ", ".join(f"{n} {word}" for word, n in reasons.items() if n)


def _lists_closed(parts: Sequence[str]) -> list[str]:
    """Join list items without blank lines between them."""
    found: list[str] = []
    for part in parts:
        if part.startswith("- ") and found and found[-1].startswith("- "):
            found[-1] += "\n" + part
        else:
            found.append(part)
    return found


def file_names(titles: Sequence[str]) -> list[str]:
    """A file name for each title, in plain letters; duplicates get "-2", "-3", ..."""
    found: list[str] = []
    taken: set[str] = set()
    for title in titles:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", title) or "unnamed"
        names = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
        found.append(next(name for name in names if name.lower() not in taken))
        taken.add(found[-1].lower())
    return found
