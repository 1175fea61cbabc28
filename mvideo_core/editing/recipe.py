"""A recipe is a YAML file with the names of its input masks and with variants, each of which has edits and prompts.

Each variant gives a `.masks` file, resampled for the model, and an overlay `.mp4`; `overview.png` shows all variants.
In a list in brackets, quote prompts that contain a comma; otherwise YAML splits them. The files in
`mvideo_core/editing/recipes` are the paper's case studies (figures 4 to 9).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options, read_yaml
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.combine import CombineOptions, Layer, Tail, combine
from mvideo_core.editing.edits import apply_edits, parse_edits
from mvideo_core.editing.inputs import MaskInput
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.editing.preview import PreviewOptions, overview, write_preview
from mvideo_core.editing.resample import ResampleOptions, resample
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.media.encode import write_png

FOLDER = Path(__file__).with_name("recipes")


class RecipeLayer(Options):
    """One input in the picture, back to front."""

    input: str = Field(description="name of an input")
    edits: list[Any] = Field(default_factory=list, description="edits of this layer, as for `mvideo masks edit`")
    start_s: float = Field(default=0.0, description="seconds; when it starts")
    tail: Tail = Field(default="hide", description="after its end: hide, hold, loop or bounce")


class Variant(Options):
    """One mask sequence that a recipe makes, and the prompts for it."""

    about: str = Field(default="", description="what it shows")
    layers: list[RecipeLayer] = Field(min_length=1, description="back to front")
    combine: CombineOptions = Field(default=CombineOptions(), description="how layers are combined")
    edits: list[Any] = Field(default_factory=list, description="edits of the whole picture")
    prompts: list[str] = Field(min_length=1, description="texts to generate with, one video each")


class Recipe(Options):
    """A case study."""

    title: str = Field(description="what it is")
    paper: str = Field(default="", description="where the paper shows it")
    about: str = Field(default="", description="what to look for")
    inputs: dict[str, str] = Field(min_length=1, description="name -> which masks it needs")
    resample: ResampleOptions = Field(default=ResampleOptions(), description="how results are resampled for the model")
    variants: dict[str, Variant] = Field(min_length=1, description="name -> result")


class Cooked(NamedTuple):
    """A variant's masks, resampled for the model."""

    name: str
    clip: MaskClip
    prompts: list[str]


def recipe_names() -> list[str]:
    """The recipes shipped with the project."""
    return [file.stem for file in visible_files(FOLDER, ".yaml")]


def load_recipe(name: str) -> Recipe:
    """A recipe by name, or by the path of a YAML file.

    Raises:
        ConfigError: no such recipe, or one that names inputs or operations that do not exist.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"no recipe {name!r}; use a YAML file or one of: {', '.join(recipe_names())}")
    values = read_yaml(path)
    _check_prompts(path)
    recipe = Recipe.parse(values, str(path))
    for variant_name, variant in recipe.variants.items():
        unknown = sorted({layer.input for layer in variant.layers} - set(recipe.inputs))
        if unknown:
            raise ConfigError(f"{path}: variant {variant_name}: no input {unknown}; inputs: {sorted(recipe.inputs)}")
        for edits in [variant.edits, *(layer.edits for layer in variant.layers)]:
            parse_edits(edits, f"{path}: variant {variant_name}")
    return recipe


def _check_prompts(path: Path) -> None:
    """Catch unquoted prompts in brackets: YAML splits a prompt at its comma, so two entries may be one prompt."""
    nodes = [yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            nodes.append(value)
            plain = (
                [one.value for one in value.value if isinstance(one, yaml.ScalarNode) and one.style is None]
                if (key.value == "prompts" and isinstance(value, yaml.SequenceNode) and value.flow_style)
                else []
            )
            if len(value.value) > 1 and plain:
                raise ConfigError(
                    f"{path}: line {value.start_mark.line + 1}: prompts: {plain[0]!r} in brackets ends at a comma; "
                    f"quote each prompt, or put each on its own line after `- `"
                )


def run_recipe(recipe: Recipe, inputs: Mapping[str, MaskClip], video_format: VideoFormat) -> Iterator[Cooked]:
    """Every variant, one after another.

    Raises:
        ConfigError: an input is missing or unexpected, or an edit does not fit its masks.
    """
    if set(inputs) != set(recipe.inputs):
        wanted = "; ".join(f"{name}: {about}" for name, about in recipe.inputs.items())
        raise ConfigError(f"got inputs {sorted(inputs)}; the recipe needs {wanted}")
    for name, variant in recipe.variants.items():
        layers = [
            Layer(apply_edits(inputs[one.input], parse_edits(one.edits, name)), one.start_s, one.tail)
            for one in variant.layers
        ]
        clip = apply_edits(combine(layers, variant.combine), parse_edits(variant.edits, name))
        yield Cooked(name, resample(clip, video_format, recipe.resample), variant.prompts)


def write_recipe(
    name: str, inputs: Mapping[str, MaskInput], folder: str | Path, video_format: VideoFormat | None = None,
    preview: PreviewOptions | None = None,
) -> list[Path]:  # fmt: skip
    """Run a recipe and write, per variant, `.masks` and overlay `.mp4`; then `overview.png` of all; `recipe.json` last.

    Returns:
        The mask files.

    Raises:
        ConfigError: from `load_recipe` and `run_recipe`. StoreError: disk error.
    """
    recipe, video_format = load_recipe(name), video_format or VideoFormat()
    place = Path(folder)
    written: list[Path] = []
    variants: dict[str, Any] = {}
    shown = {f"in: {key}": one.clip for key, one in inputs.items()}
    for cooked in run_recipe(recipe, {key: one.clip for key, one in inputs.items()}, video_format):
        file = save_masks(place / f"{cooked.name}.masks", cooked.clip.sequence, cooked.clip.fps, cooked.clip.labels)
        write_preview(cooked.clip, file.with_suffix(".mp4"), options=preview)
        shown[cooked.name] = cooked.clip
        variants[cooked.name] = {
            "masks": file.name, "prompts": cooked.prompts, "n_frames": cooked.clip.sequence.n_frames,
            "recipe": recipe.variants[cooked.name].model_dump(mode="json"),
        }  # fmt: skip
        written.append(file)
    about = {
        "recipe": name, "title": recipe.title, "paper": recipe.paper,
        "inputs": {key: one.origin for key, one in inputs.items()},
        "format": video_format.model_dump(mode="json"), "resample": recipe.resample.model_dump(mode="json"),
        "variants": variants,
    }  # fmt: skip
    write_png(place / "overview.png", overview(shown, preview or PreviewOptions()))
    write_whole(place / "recipe.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return written
