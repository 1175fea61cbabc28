"""Figures 4 to 9 of the paper: mask-editing recipes, and videos generated with the edited masks.

root/figures/<recipe>/recipe.json, <variant>.masks, <variant>.mp4 (overlay), overview.png      the masks
root/figures/<recipe>/<variant>-<n>/video.mp4                                                  prompt n with these masks
root/figures/<recipe>/<variant>-<n>.png                                                        frames with contours
"""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
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


def make_figures(options: PaperOptions, root: Path) -> list[Path]:
    """Make every figure in the options; up-to-date ones are kept.

    Returns:
        The figures' folders.

    Raises:
        ConfigError: unknown recipe or input. ModelError, StoreError: from loading and generation.
    """
    if not options.figures:
        return []
    loaded = load_pipeline(options.base, adapter_of(root, options.alpha), options.sampling)
    return [_figure(name, figure, options, root, loaded) for name, figure in options.figures.items()]


def _figure(name: str, figure: FigureOptions, options: PaperOptions, root: Path, loaded: "Loaded") -> Path:
    folder, grid = root / "figures" / name, loaded.pipeline.format
    inputs = {key: _input(root, text) for key, text in figure.inputs.items()}
    write_recipe(name, inputs, folder, grid)
    about = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    for variant, facts in about["variants"].items():
        prompts = figure.prompts.get(variant, facts["prompts"])
        for index, prompt in enumerate(prompts):
            log.info("figure %s: %s, %s", name, variant, prompt)
            _video(folder / f"{variant}-{index}", folder / facts["masks"], prompt, options, loaded)
        facts["prompts"] = list(prompts)
    write_whole(folder / "recipe.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return folder


def _video(out: Path, masks: Path, prompt: str, options: PaperOptions, loaded: "Loaded") -> None:
    clip = load_masks(masks)
    made = make_video(loaded, prompt, clip, options.sampling, out)
    write_png(out.with_suffix(".png"), plain_and_outlined(read_clip(made.video), clip.sequence))


def _input(root: Path, text: str) -> MaskInput:
    """The masks of "SET:NUMBER", a case of a test set, or any input that `open_input` reads."""
    name, mark, number = text.rpartition(":")
    if not mark or not number.isdigit() or not (root / "sets" / f"{name}.jsonl").is_file():
        return open_input(text)
    cases = read_cases(root, name)
    if int(number) >= len(cases):
        raise ConfigError(f"figures: {text}: {name} has {len(cases)} cases, 0 to {len(cases) - 1}")
    return open_input(str(root / "sets" / cases[int(number)].masks))
