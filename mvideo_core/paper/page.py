"""One page for a whole run: answers, tables, videos next to their masks, figures. Works offline, from file://."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.evaluation.aggregate import title_of
from mvideo_core.evaluation.compare import Difference
from mvideo_core.evaluation.differences import difference_cells, explain_reading
from mvideo_core.evaluation.figures import READING
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.tables import Table, table_sheet
from mvideo_core.media.encode import write_mp4
from mvideo_core.pages.kit import page_html
from mvideo_core.paper.options import PaperOptions
from mvideo_core.paper.scoring import Findings
from mvideo_core.paper.sets import COMPLEX_MOTION, MASK_TO_VIDEO, PROMPTS, read_cases
from mvideo_core.paper.strips import write_sheet
from mvideo_core.paper.videos import VideoJob, jobs, system_of

TITLE = "The paper's experiments, reproduced"
LIMITS = (
    "At mini scale everything is small and synthetic: the base model, the segmenter behind mask mIoU, and the "
    "replacements for VBench's networks were all trained on one rendered world. The figures show that data, masks, "
    "losses, recursion and evaluation work together; they say nothing about real video or about CogVideoX-2b or 5b. "
    "Do not compare them with the paper's numbers."
)
VIDEO = "video.mp4"
SHOWN = 4
"""Cases per mask test set on the page."""


class Cell(NamedTuple):
    """A video (path relative to the page) and its caption."""

    video: str
    text: str


class Picture(NamedTuple):
    """An image (path relative to the page) and its caption."""

    file: str
    text: str


class Section(NamedTuple):
    """Part of the page: rows of videos, then images."""

    title: str
    about: str
    strips: list[list[Cell]]
    pictures: list[Picture]


def write_page(options: PaperOptions, root: Path, found: Findings) -> Path:
    """`root/index.html`."""
    lengths = [_length_section(options, root)] if "5" in options.tables else []
    sections = [*_mask_sections(options, root), *lengths, *_figure_sections(options, root)]
    sections = [one for one in sections if one.strips or one.pictures]
    text = page_html(
        Path(__file__).parent,
        TITLE,
        scripts=["page.js"],
        lead="All numbers on this page were computed in this run, from videos generated in this run.",
        answers=[(one.question.title, _cells(one.differences)) for one in found.answers],
        reading=explain_reading([one for answer in found.answers for one in answer.differences]),
        tables=[_plain(table) for table in found.tables],
        reading_tables=READING,
        sections=sections,
        limits=LIMITS,
    )
    write_whole(root / "index.html", text)
    return root / "index.html"


def _cells(differences: Sequence[Difference]) -> dict[str, Any]:
    head, lines = difference_cells(differences) if differences else ([], [])
    return {"head": head, "lines": lines}


def _plain(table: Table) -> dict[str, Any]:
    sheet = table_sheet(table)
    return {"number": table.number, "title": table.title, "sheet": sheet, "notes": table.notes}


def _mask_sections(options: PaperOptions, root: Path) -> list[Section]:
    return [
        _mask_section(name, title, options, root)
        for name, title in ((MASK_TO_VIDEO, "Mask-to-Video: unseen classes"), (COMPLEX_MOTION, "ComplexMotion"))
        if "3" in options.tables and name in options.test_sets
    ]


def _mask_section(name: str, title: str, options: PaperOptions, root: Path) -> Section:
    systems = [job for job in jobs(options) if job.test_set == name]
    strips, pictures = [], []
    for case in read_cases(root, name)[:SHOWN]:
        strip = [Cell(f"sets/{case.source_video}", f"source: {case.prompt}"), Cell(_overlay(case, root), "masks")]
        strips.append([*strip, *(_cell(job, case, job.system) for job in systems)])
        videos = [root / "sets" / case.source_video, *(root / "videos" / job.name / case.id / VIDEO for job in systems)]
        masks = load_masks(root / "sets" / case.masks).sequence
        sheet = write_sheet(videos, masks, root / "pictures" / name / f"{case.id}.png")
        lines = ", ".join(["source", *(job.system for job in systems)])
        pictures.append(
            Picture(sheet.relative_to(root).as_posix(), f"{case.prompt.rstrip('.')}. Rows, top to bottom: {lines}.")
        )
    return Section(
        title, "Source clip, its masks, and each system's output for the prompt (and masks).", strips, pictures
    )


def _length_section(options: PaperOptions, root: Path) -> Section:
    cases = read_cases(root, PROMPTS)[:1]
    main = system_of(options.alpha)
    made = [VideoJob(PROMPTS, main, options.alpha, n) for n in options.lengths_clips]
    strips = [[_cell(job, case, f"{title_of(job.key.variant)}: {case.prompt}") for job in made] for case in cases]
    return Section("Lengths", "The same prompt at each length of table 5, without masks.", strips, [])


def _figure_sections(options: PaperOptions, root: Path) -> list[Section]:
    sections = []
    for name in options.figures:
        folder = root / "figures" / name
        if not (folder / "recipe.json").is_file():
            continue
        about = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
        strips, pictures = [], []
        for variant, one in about["variants"].items():
            strip = [Cell(f"figures/{name}/{variant}.mp4", f"{variant}: masks")]
            for index, prompt in enumerate(one["prompts"]):
                strip.append(Cell(f"figures/{name}/{variant}-{index}/video.mp4", prompt))
                pictures.append(Picture(f"figures/{name}/{variant}-{index}.png", f"{variant}: {prompt}"))
            strips.append(strip)
        sections.append(Section(f"{about['title']} ({about['paper']})", "", strips, pictures))
    return sections


def _overlay(case: EvalItem, root: Path) -> str:
    """Masks in white on black, without labels, which would hide masks of this size."""
    path = (root / "sets" / case.masks).with_suffix(".overlay.mp4")
    clip = load_masks(root / "sets" / case.masks)
    unions = (np.asarray(clip.sequence.frame(t).any(axis=0)) for t in range(clip.sequence.n_frames))
    write_mp4((np.repeat(mask[..., None] * np.uint8(255), 3, axis=2) for mask in unions), path, clip.fps)
    return path.relative_to(root).as_posix()


def _cell(job: VideoJob, case: EvalItem, text: str) -> Cell:
    return Cell(f"videos/{job.name}/{case.id}/{VIDEO}", text)
