"""Figures 4 to 9 of the paper: mask-editing recipes, and videos generated with the edited masks.

root/figures/<recipe>/recipe.json, <variant>.masks, <variant>.mp4 (overlay), overview.png      the masks
root/figures/<recipe>/<variant>-<n>/video.mp4                                                  prompt n with these masks
root/figures/<recipe>/<variant>-<n>.png                                                        frames with contours
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.base import load_base
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.inputs import MaskInput, open_input
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.editing.recipe import write_recipe
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.generation.video import make_video
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_png
from mvideo_core.paper.options import FigureOptions, PaperOptions
from mvideo_core.paper.sets import read_cases
from mvideo_core.paper.strips import plain_and_outlined
from mvideo_core.paper.videos import adapter_of

if TYPE_CHECKING:
    from mvideo_core.generation.loading import Loaded

log = logging.getLogger(__name__)


class FigureVideo(NamedTuple):
    """One video of a figure.

    Attributes:
        figure: name of the recipe.
        masks: file in the figure's folder.
        name: of the video's folder there, "<variant>-<number of the prompt>".
    """

    figure: str
    masks: str
    name: str
    prompt: str


def make_figures(options: PaperOptions, root: Path) -> None:
    """Make every figure in the options; up-to-date videos are kept.

    Raises:
        ConfigError: unknown recipe or input. ModelError, StoreError: from loading and generation.
    """
    todo = plan_figures(options, root)
    if not todo:
        return
    loaded = load_pipeline(options.base, adapter_of(root, options.alpha), options.sampling)
    for one in todo:
        make_figure_video(one, options, root, loaded)


def plan_figures(options: PaperOptions, root: Path) -> list[FigureVideo]:
    """Write the masks of every figure; returns the videos that belong to them.

    Raises:
        ConfigError: unknown recipe or input.
    """
    if not options.figures:
        return []
    grid = load_base(options.base, parts=()).format
    return [one for name, figure in options.figures.items() for one in _plan(name, figure, root, grid)]


def make_figure_video(one: FigureVideo, options: PaperOptions, root: Path, loaded: "Loaded") -> None:
    """The video, and a picture of some of its frames; a video that is up to date is kept.

    Raises:
        ConfigError, StoreError: as in `make_video`.
    """
    log.info("figure %s: %s, %s", one.figure, one.name, one.prompt)
    folder = root / "figures" / one.figure
    clip, out = load_masks(folder / one.masks), folder / one.name
    made = make_video(loaded, one.prompt, clip, options.sampling, out)
    write_png(out.with_suffix(".png"), plain_and_outlined(read_clip(made.video), clip.sequence))


def _plan(name: str, figure: FigureOptions, root: Path, grid: VideoFormat) -> Iterator[FigureVideo]:
    folder = root / "figures" / name
    write_recipe(name, {key: _input(root, text) for key, text in figure.inputs.items()}, folder, grid)
    about = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    for variant, facts in about["variants"].items():
        facts["prompts"] = list(figure.prompts.get(variant, facts["prompts"]))
    write_whole(folder / "recipe.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    for variant, facts in about["variants"].items():
        for index, prompt in enumerate(facts["prompts"]):
            yield FigureVideo(name, facts["masks"], f"{variant}-{index}", prompt)


def _input(root: Path, text: str) -> MaskInput:
    """The masks of "SET:NUMBER", a case of a test set, or any input that `open_input` reads."""
    name, mark, number = text.rpartition(":")
    if not mark or not number.isdigit() or not (root / "sets" / f"{name}.jsonl").is_file():
        return open_input(text)
    cases = read_cases(root, name)
    if int(number) >= len(cases):
        raise ConfigError(f"figures: {text}: {name} has {len(cases)} cases, 0 to {len(cases) - 1}")
    return open_input(str(root / "sets" / cases[int(number)].masks))
