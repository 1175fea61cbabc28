"""Pages of docs/reference made from docstrings: what a metric, a format or a model class is, as its own file says it.

A page lists entries. An entry is a module, an object ("module:name"), a mapping of words to their meanings, which
becomes a table, or a registry, which gives a section per member with the docstring of the member's module (after that
of the registry's module, if the entry has a heading), or a table of members that have a line `about`. Docstrings are
Markdown; `docs/data.md#resume` becomes a link, and what follows `Args:`, `Returns:` and the like is left out, except
the `Attributes:` of an entry with `fields`.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mvideo_core.base.registry import Registry
from mvideo_core.shards.exports import ExportFormat
from tests.reference import HEADER, cell, code, table, tables

OPTIONS_OF = {
    "scene detector": "scene-detector", "clip filter": "clip-filter", "detector": "detector", "segmenter": "segmenter",
    "captioner": "captioner", "metric": "metric", "edit operation": "edit",
}  # fmt: skip
"""Kind of a registry -> beginning of the anchors of its members in options.md."""

CODE_ONLY = re.compile(r"^(?:Args|Returns|Raises|Yields|Attributes|Legend|Shape letters)\b.*:", re.MULTILINE)
PAGE = re.compile(r"(\]\(|)\bdocs/(reference/|results/|)(\w+)\.md(#[\w-]+)?")


class Entry(NamedTuple):
    """A section: heading, source of the text ("module" or "module:name"), and a Markdown line after it.

    `fields`: also make a table of the class's `Attributes:`. `made`: makes Markdown from the code, such as a table.
    """

    heading: str
    source: str
    note: str = ""
    fields: bool = False
    made: Callable[[], str] | None = None


class Page(NamedTuple):
    """A page: its title, an introduction in Markdown, and its sections."""

    title: str
    introduction: str
    entries: tuple[Entry, ...]


STAR = """Edits of outlines and time, on a star with a hole and a loose part
([commands](../results/benchmarks.md#mask-edits)):

![Ten rows of four frames: the star as drawn, inverted, grown, shrunk, smoothed, without its hole, without the \
loose part, starting two seconds later, getting faster, frozen in the middle](../images/mask-operations.png)"""


def metrics_table() -> str:
    """Needs, units, default weights and license of every metric."""
    from mvideo_core.evaluation.base import METRICS

    rows = []
    for name in METRICS.names():
        metric = METRICS.get(name)
        fields = metric.Options.model_fields
        weights = code(fields["weights"].default) if "weights" in fields else ""
        weights = weights or ("of the segmenter" if "segmenter" in fields else "none")
        needs = ", ".join(sorted(metric.needs)) or "video only"
        rows.append((code(name), needs, f"x {metric.scale:g}", weights, cell(metric.license)))
    return table(("Metric", "Needs", "Factor in tables", "Default weights", "License"), rows)


def paper_rows() -> str:
    """What a result must be to fill a row of the paper's tables."""
    from mvideo_core.evaluation.tables import paper_tables

    rows = []
    for number, one in paper_tables().items():
        for row in one.rows:
            sets = [row.test_set] if row.test_set else one.test_sets
            names = " or ".join(code(name) or "none" for name in sets)
            rows.append((number, code(row.system), names, row.video))
    return table(("Table", "`system`", "`test_set`", "Video"), rows)


PAGES: dict[str, Page] = {
    "formats.md": Page(
        "Dataset formats",
        "[How to export and import](../formats.md).",
        (
            Entry("Export", "mvideo_core.shards.exports:EXPORTS"),
            Entry("Import", "mvideo_core.shards.imports:IMPORTS"),
        ),
    ),
    "captions.md": Page(
        "Captions",
        "[How to write captions](../captions.md).",
        (
            Entry("Captioners", "mvideo_core.perception.captioning:CAPTIONERS"),
            Entry("Cleaned and rejected answers", "mvideo_core.perception.captioning.clean"),
            Entry("Reasons", "mvideo_core.perception.captioning.clean:REASONS"),
            Entry("Codes of `cleaned`", "mvideo_core.perception.captioning.clean:CODES"),
            Entry("Phrases per object", "mvideo_core.base.records:ObjectPhrase"),
            Entry("", "mvideo_core.perception.captioning.phrases"),
            Entry("", "mvideo_core.perception.captioning.marked"),
            Entry("", "mvideo_core.perception.captioning.marked:REASONS"),
        ),
    ),
    "dataset.md": Page(
        "Dataset pipeline",
        "[How to build a dataset](../data.md).",
        (
            Entry("Real footage", "mvideo_core.media"),
            Entry("Clip filters", "mvideo_core.curation.filters:CLIP_FILTERS"),
            Entry("Objects that come later", "mvideo_core.perception.segmentation.discovery"),
            Entry("Trust", "mvideo_core.perception.segmentation.trust"),
            Entry(
                "Decisions of a review",
                "mvideo_core.store.decisions",
                "All fields: [options](options.md#review-decisions).",
            ),
            Entry("Workspace", "mvideo_core.store.workspace"),
            Entry("Stages in Python", "mvideo_core.engine.run"),
            Entry("Parts", "mvideo_core.engine.plan"),
            Entry("Keys", "mvideo_core.store.keys"),
            Entry("Resuming", "mvideo_core.engine"),
            Entry("Object stores", "mvideo_core.store"),
            Entry("Freeing space", "mvideo_core.engine.garbage"),
            Entry("Forgetting", "mvideo_core.curation.removal"),
            Entry("Re-uploads", "mvideo_core.curation.removal.copies"),
            Entry("Outside the workspace", "mvideo_core.curation.removal.elsewhere"),
        ),
    ),
    "metrics.md": Page(
        "Metrics",
        "What a [suite](../evaluation.md#suites) can measure.",
        (
            Entry("", "mvideo_core.evaluation.metrics", made=metrics_table),
            Entry("", "mvideo_core.evaluation.base:METRICS"),
            Entry("Short and long", "mvideo_core.evaluation.protocol"),
            Entry("Compared with VBench", "mvideo_core.evaluation.vbench_backend"),
        ),
    ),
    "evaluation.md": Page(
        "Files, tables and statistics of evaluation",
        "How to use them: [evaluation](../evaluation.md).",
        (
            Entry("Manifest", "mvideo_core.evaluation.manifest"),
            Entry("", "mvideo_core.evaluation.manifest:EvalItem", fields=True),
            Entry("Results", "mvideo_core.evaluation.result"),
            Entry("Means", "mvideo_core.evaluation.shared"),
            Entry("Intervals and p-values", "mvideo_core.evaluation.intervals"),
            Entry("Comparisons", "mvideo_core.evaluation.compare"),
            Entry("The paper's tables", "mvideo_core.evaluation.tables", made=paper_rows),
            Entry("Systems", "mvideo_core.evaluation.systems"),
            Entry("Generated videos", "mvideo_core.evaluation.make_videos"),
            Entry("Test set Mask-to-Video", "mvideo_core.evaluation.testsets.mask_to_video"),
            Entry("Test set ComplexMotion", "mvideo_core.evaluation.testsets.complex_motion"),
            Entry("VBench's prompts", "mvideo_core.evaluation.testsets.vbench"),
            Entry("Task of lmms-eval", "mvideo_core.evaluation.lmms_task"),
        ),
    ),
    "control.md": Page(
        "The control score",
        "How [`control_response`](metrics.md#control_response) is computed; [how to use it](../evaluation.md#control).",
        (
            Entry("Edits", "mvideo_core.evaluation.control.edits"),
            Entry("Files", "mvideo_core.evaluation.control.interventions"),
            Entry("Gain, lag, leakage, identity", "mvideo_core.evaluation.control.fit"),
            Entry("Outlines and overlap", "mvideo_core.evaluation.control.outlines"),
            Entry("The score", "mvideo_core.evaluation.control.score"),
            Entry("Tables", "mvideo_core.evaluation.control.summary"),
            Entry("Finding the objects", "mvideo_core.evaluation.control.judges"),
        ),
    ),
    "model.md": Page(
        "Model",
        "How masks and the previous clip enter CogVideoX, and what an adapter is. To use them from the command line: "
        "[training](../training.md), [generation](../generation.md).",
        (
            Entry("In Python", "mvideo_core.cogvideox"),
            Entry("Architecture", "mvideo_core.cogvideox.transformer:MVideoTransformer3DModel"),
            Entry("Positions", "mvideo_core.cogvideox.positions"),
            Entry("Noise on the history", "mvideo_core.cogvideox.history_sigma"),
            Entry("Guidance", "mvideo_core.cogvideox.guidance"),
            Entry("Base weights", "mvideo_core.cogvideox.base"),
            Entry("Adapter files", "mvideo_core.cogvideox.adapter"),
            Entry("Headers of an adapter", "mvideo_core.cogvideox.adapter_header"),
            Entry("Adapters for other programs", "mvideo_core.cogvideox.adapter_export"),
        ),
    ),
    "generation.md": Page(
        "Generation",
        "How [`mvideo generate`](../generation.md) makes a long video, and what it writes.",
        (
            Entry("Clips", "mvideo_core.generation.long_video"),
            Entry("What a clip hands over", "mvideo_core.generation.handover"),
            Entry("Files", "mvideo_core.generation.output"),
            Entry("Caches between steps", "mvideo_core.cogvideox.caching"),
        ),
    ),
    "runs.md": Page(
        "Runs",
        "What a run under [Prefect](../operations.md) shows, how it recovers from crashes, and how relative paths are "
        "resolved.",
        (
            Entry("Artifacts", "mvideo.flows._notices"),
            Entry("Retried tasks", "mvideo.tasks._decorators"),
            Entry("Lost runs", "mvideo.deployments._reap"),
            Entry("Crashes reported twice", "mvideo.deployments.worker"),
            Entry("Under systemd", "mvideo.deployments.stack"),
            Entry("Relative paths", "mvideo.flows._root"),
        ),
    ),
    "latents.md": Page(
        "Latents",
        "What [`mvideo encode`](../training.md#cache-latents) writes and training reads.",
        (
            Entry("Files", "mvideo_core.training.latents"),
            Entry("Windows", "mvideo_core.training.latents.windows"),
            Entry("Encoding", "mvideo_core.training.latents.encode"),
            Entry("Text embeddings", "mvideo_core.training.latents.text"),
            Entry("Members of a tar", "mvideo_core.training.latents.members"),
            Entry("Sloppy masks", "mvideo_core.training.latents.sloppy"),
            Entry("Resume and checks", "mvideo_core.curation.stages.encode"),
        ),
    ),
    "training.md": Page(
        "Training",
        "What a [training run](../training.md) computes and writes.",
        (
            Entry("Files of a run", "mvideo_core.training"),
            Entry("Checkpoints", "mvideo_core.training.checkpoint"),
            Entry("What may change on resume", "mvideo_core.training.option_changes"),
            Entry("Loss", "mvideo_core.training.losses"),
            Entry("Weights of the loss", "mvideo_core.training.loss_weights"),
            Entry("Random draws", "mvideo_core.training.draws"),
            Entry("Order of the samples", "mvideo_core.training.sample_order"),
            Entry("Starting from an adapter", "mvideo_core.training.warm_start"),
            Entry("Metrics", "mvideo_core.training.callbacks.metrics"),
            Entry("Trackers", "mvideo_core.training.callbacks.trackers"),
            Entry("Validation", "mvideo_core.training.callbacks.validation"),
            Entry("Sample videos", "mvideo_core.training.callbacks.samples"),
            Entry("Non-finite steps", "mvideo_core.training.diagnosis"),
            Entry("Compilation", "mvideo_core.training.callbacks.warm_up"),
            Entry("Under torchrun", "mvideo_core.training.main"),
        ),
    ),
    "world.md": Page(
        "The synthetic world",
        "Results on this world: [accuracy](../results/accuracy.md).",
        (
            Entry("", "mvideo_core.miniworld.world"),
            Entry("Classes", "mvideo_core.miniworld.world.kinds", made=tables.world_classes),
            Entry("Shots", "mvideo_core.miniworld.world.sample"),
            Entry("Objects to find", "mvideo_core.miniworld.world.render"),
            Entry("Source videos", "mvideo_core.miniworld.world.source"),
            Entry("Truth files", "mvideo_core.miniworld.world.truth"),
        ),
    ),
    "comfyui.md": Page(
        "Nodes for ComfyUI",
        "How to install and use them: [ComfyUI](../comfyui.md).",
        (Entry("", "mvideo.deployments.comfyui", made=tables.comfyui_nodes),),
    ),
    "masks.md": Page(
        "Masks",
        "What [`mvideo masks`](../masks.md) reads, writes and does, beyond its [flags](commands.md#mvideo-masks).",
        (
            Entry("Sources", "mvideo_core.editing.inputs"),
            Entry("Files", "mvideo_core.editing.mask_files"),
            Entry("Ambiguous masks", "mvideo_core.masks.io.mask_form"),
            Entry("", "mvideo_core.masks.io.mask_form:WORDS"),
            Entry("The `.masks` format", "mvideo_core.masks.packing"),
            Entry("Extraction", "mvideo_core.editing.extract", "[Options](options.md#mask-extraction)."),
            Entry("Shapes", "mvideo_core.editing.draw", "[Options](options.md#shapes-of-masks)."),
            Entry("Keyframes", "mvideo_core.editing.keyframes"),
            Entry("Edits", "mvideo_core.editing.edits"),
            Entry("", "mvideo_core.editing.operations:OPERATIONS", STAR),
            Entry("Combining", "mvideo_core.editing.combine", "[Options](options.md#combining-masks)."),
            Entry("Resampling", "mvideo_core.editing.resample", "[Options](options.md#resampling-masks)."),
            Entry("Recipes", "mvideo_core.editing.recipe", "[Fields](options.md#recipes-of-masks)."),
            Entry("Python", "mvideo_core.editing"),
        ),
    ),
}


def docstring_pages() -> dict[str, str]:
    """File name -> text of every page."""
    return {name: _page(page) for name, page in PAGES.items()}


def prose(thing: Any) -> str:
    """The docstring of a module, class, function or instance, up to the part for readers of the code."""
    text = inspect.cleandoc(thing.__doc__ or "")
    return _linked(re.split(CODE_ONLY, text, maxsplit=1)[0]).strip()


def fields_table(thing: Any) -> str:
    """The `Attributes:` of a class's docstring as a table."""
    text = inspect.cleandoc(thing.__doc__ or "").partition("\nAttributes:\n")[2]
    rows = re.findall(
        r"^    (\w[\w, ]*): (.*(?:\n        .*)*)", re.split(r"\n(?=\S)", text, maxsplit=1)[0], re.MULTILINE
    )
    return table(
        ("Field", "Meaning"),
        [(", ".join(code(one) for one in name.split(", ")), cell(_linked(said))) for name, said in rows],
    )


def _linked(text: str) -> str:
    """Text with paths of pages as links, relative to docs/reference."""

    def link(found: re.Match[str]) -> str:
        inside, folder, name, anchor = found.groups(default="")
        path = f"{'' if folder == 'reference/' else f'../{folder}'}{name}.md{anchor}"
        return f"]({path}" if inside else f"[{name}]({path})"

    return PAGE.sub(link, text)


def _page(page: Page) -> str:
    sections = [_section(entry) for entry in page.entries]
    return f"{HEADER}\n# {page.title}\n\n{page.introduction}\n" + "".join(sections)


def _section(entry: Entry) -> str:
    module, _, name = entry.source.partition(":")
    thing = importlib.import_module(module)
    if name:
        thing = getattr(thing, name)
    heading = f"\n## {entry.heading}\n" if entry.heading else ""
    note = f"\n{entry.note}\n" if entry.note else ""
    note += f"\n{fields_table(thing)}" if entry.fields else ""
    note += f"\n{entry.made()}" if entry.made else ""
    if isinstance(thing, Mapping):
        return f"{heading}\n{table(('Word', 'Meaning'), [(code(word), cell(thing[word])) for word in thing])}{note}"
    if not isinstance(thing, Registry):
        return f"{heading}\n{prose(thing)}\n{note}"
    if all(hasattr(thing.get(name), "about") for name in thing.names()):
        return f"{heading}\n{_lines(thing)}{note}"
    level, about = ("###", f"\n{prose(sys.modules[module])}\n") if entry.heading else ("##", "")
    return heading + about + note + "".join(f"\n{level} {_members(thing, names)}\n" for names in _by_module(thing))


def _lines(registry: "Registry[Any]") -> str:
    """Members with their lines, and links to their options."""
    names, kind = registry.names(), OPTIONS_OF[registry.kind]
    rows = [(f"[`{name}`](options.md#{kind}-{name})", cell(registry.get(name).about)) for name in names]
    return table(("Name", "Does"), rows)


def _by_module(registry: "Registry[Any]") -> list[list[str]]:
    """Names of the members of each module."""
    found: dict[str, list[str]] = {}
    for name in registry.names():
        found.setdefault(_home(registry.get(name)), []).append(name)
    return list(found.values())


def _home(member: Any) -> str:
    return str(getattr(member, "__module__", type(member).__module__))


def _members(registry: "Registry[Any]", names: list[str]) -> str:
    """Heading and docstring of a module with its members, what only a format has, and links to their options."""
    first = registry.get(names[0])
    text = prose(sys.modules[_home(first)]) + (_format_facts(first) if hasattr(first, "losses") else "")
    kind = OPTIONS_OF.get(registry.kind)
    links = [f"[`{name}`](options.md#{kind}-{name})" for name in names] if kind else []
    after = f"\n\nOptions: {', '.join(links)}." if links else ""
    return f"{', '.join(f'`{name}`' for name in names)}\n\n{text}{after}"


def _format_facts(chosen: Any) -> str:
    """Files of an export or import format, its readers, and what does not survive."""
    readers = [f"For: {chosen.title}."] if issubclass(chosen, ExportFormat) else []
    lost = "; ".join(re.sub(r"^(.*?): (.*)$", r"\1 (\2)", one) for one in chosen.losses)
    return f"\n\n{prose(chosen)}\n\n{' '.join([*readers, *[f'Not kept: {lost}.'] * bool(lost)])}"
