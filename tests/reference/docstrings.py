"""Pages of docs/reference made from docstrings: what a metric, a format or a model class is, as its own file says it.

A page lists entries. An entry is a module, an object ("module:name"), a mapping of words to their meanings, which
becomes a table, or a registry, which gives a section per member with the docstring of the member's module, or a table
of members that have a line `about`. Docstrings are Markdown; `docs/data.md#resume` becomes a link, and what follows
`Args:`, `Returns:` and the like is left out.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from mvideo_core.base.registry import Registry
from tests.reference import HEADER, cell, code, table

OPTIONS_OF = {
    "scene detector": "scene-detector", "clip filter": "clip-filter", "detector": "detector", "segmenter": "segmenter",
    "captioner": "captioner", "metric": "metric", "edit operation": "edit",
}  # fmt: skip
"""Kind of a registry -> beginning of the anchors of its members in options.md."""

CODE_ONLY = re.compile(r"^(?:Args|Returns|Raises|Yields|Attributes|Legend|Shape letters)\b.*:", re.MULTILINE)
PAGE = re.compile(r"\bdocs/((?:results/)?)(\w+)\.md(#[\w-]+)?")


class Entry(NamedTuple):
    """A section: heading, source of the text ("module" or "module:name"), and a Markdown line after it."""

    heading: str
    source: str
    note: str = ""


class Page(NamedTuple):
    """A page: its title, an introduction in Markdown, and its sections."""

    title: str
    introduction: str
    entries: tuple[Entry, ...]


STAR = """Edits of outlines and time, on a star with a hole and a loose part
([commands](../results/benchmarks.md#mask-edits)):

![Ten rows of four frames: the star as drawn, inverted, grown, shrunk, smoothed, without its hole, without the \
loose part, starting two seconds later, getting faster, frozen in the middle](../images/mask-operations.png)"""

PAGES: dict[str, Page] = {
    "metrics.md": Page(
        "Metrics",
        "Every metric of a [suite](../evaluation.md#suites), by name.",
        (Entry("", "mvideo_core.evaluation.base:METRICS"),),
    ),
    "model.md": Page(
        "Model",
        "How masks and the previous clip enter CogVideoX, and what an adapter is. From the command line: "
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
        ),
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
    return PAGE.sub(r"[\2](../\1\2.md\3)", re.split(CODE_ONLY, text, maxsplit=1)[0]).strip()


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
    if isinstance(thing, Mapping):
        return f"{heading}\n{table(('Word', 'Meaning'), [(code(word), cell(thing[word])) for word in thing])}{note}"
    if not isinstance(thing, Registry):
        return f"{heading}\n{prose(thing)}\n{note}"
    if all(hasattr(thing.get(name), "about") for name in thing.names()):
        return f"{heading}\n{_lines(thing)}{note}"
    level = "###" if entry.heading else "##"
    return heading + note + "".join(f"\n{level} {_members(thing, names)}\n" for names in _by_module(thing))


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
    """Heading and docstring of a module with its members, and links to their options."""
    text = prose(sys.modules[_home(registry.get(names[0]))])
    kind = OPTIONS_OF.get(registry.kind)
    links = [f"[`{name}`](options.md#{kind}-{name})" for name in names] if kind else []
    after = f"\n\nOptions: {', '.join(links)}." if links else ""
    return f"{', '.join(f'`{name}`' for name in names)}\n\n{text}{after}"
