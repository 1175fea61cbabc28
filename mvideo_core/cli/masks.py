"""mvideo masks ...: motion conditions by hand: extract them from a video, edit, combine, resample for the model."""

from pathlib import Path
from typing import Any, Literal

import typer
import yaml
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, parse_yaml, read_yaml
from mvideo_core.cli.settings import exit_on_warnings, local_only, print_names, read_values
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing import mask_files as sequence
from mvideo_core.editing.combine import CombineOptions, Layer, combine
from mvideo_core.editing.draw import CanvasOptions, draw, parse_shapes, read_shapes
from mvideo_core.editing.edits import apply_edits, parse_edits, read_edits
from mvideo_core.editing.extract import ExtractOptions, extract_masks
from mvideo_core.editing.inputs import MaskInput, names_video, open_input
from mvideo_core.editing.operations import OPERATIONS
from mvideo_core.editing.preview import PreviewOptions, write_contact_sheet, write_preview
from mvideo_core.editing.recipe import load_recipe, recipe_names, write_recipe
from mvideo_core.editing.resample import ResampleOptions, resample
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.io.mask_form import HELP, MaskForm

FORMS = (
    "MASKS is a .masks, .npz or .npy file, a folder of pictures, a mask video, DATASET#KEY (a sample of a finished "
    "dataset), or VIDEO#NAME[,NAME] (extracted on the spot, see `mvideo masks extract`). The extension of OUT sets its "
    "format; no extension = a folder of PNGs. Exit code 3: done, but a warning says what needs attention."
)
masks_app = typer.Typer(
    no_args_is_help=True,
    help="Mask sequences, the model's motion condition: extract, edit, combine, resample, preview. " + FORMS,
)

MASKS = typer.Argument(help="Masks: a file, a folder of pictures, DATASET#KEY or VIDEO#NAME.")
OUT = typer.Argument(help="Output: .masks, .npz, .mp4, or no extension for a folder of PNGs.", callback=local_only)
FPS = typer.Option(0.0, "--fps", help="Frame rate of masks that do not store one.")
AS = typer.Option("", "--as", help=f"How to read ambiguous masks; {HELP}.")
checked = exit_on_warnings("mvideo_core.editing")
SIZE = typer.Option("480x720", "--size", help="HEIGHTxWIDTH of the model's frames, px.")
RATE = typer.Option(8.0, "--out-fps", help="Frames per second of the model.")
CLIP_FRAMES = typer.Option(33, "--clip-frames", help="Frames of one generated clip, 8n + 1.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(masks_app, name="masks")


@masks_app.command()
@checked
def extract(
    video: str = typer.Argument(help="Reference video."),
    out: str = OUT,
    name: list[str] = typer.Option(..., "--object", "-n", help="Name of an object, e.g. -n horse; repeat for more."),
    per_name: int | None = typer.Option(
        None, "--per-name", help="Maximum number of objects per name, best scores first; 1."
    ),
    threshold: float | None = typer.Option(None, "--threshold", help="Lowest score of a box; 0.3."),
    search: float | None = typer.Option(None, "--max-search-s", help="Seconds within which each name must appear; 10."),
    fps: float | None = typer.Option(None, "--fps", help="Masks per second, 0 = the video's own rate; 8."),
    start: float | None = typer.Option(None, "--start-s", help="Seconds to skip at the start; 0."),
    length: float | None = typer.Option(None, "--length-s", help="Seconds to use; default: to the end."),
    options: str = typer.Option("", "--options", "-o", help="YAML with any of ExtractOptions; flags override it."),
    preview: str = typer.Option("", "--preview", help="Also write an overlay .mp4 here."),
) -> None:
    """Extract masks of named objects from a video: GroundingDINO finds them, SAM2 tracks them forward and backward.

    mvideo masks extract run.mp4 horse.masks -n horse --preview horse.mp4

    Default weights: the mini models, for the mini world only. For real footage pass a file with --options, e.g.
    detector_options: {weights: swint-ogc} and segmenter_options: {weights: sam2.1-hiera-large} (`mvideo weights list`
    shows all).
    """
    given = {
        "per_name": per_name, "box_threshold": threshold, "max_search_s": search, "fps": fps, "start_s": start,
        "length_s": length,
    }  # fmt: skip
    flags = {key: value for key, value in given.items() if value is not None}
    chosen = ExtractOptions.parse((read_yaml(options) if options else {}) | flags, options or "extract")
    done = extract_masks(video, name, chosen)
    for number, one in enumerate(done.found):
        typer.echo(f"object {number}: {one.label}, score {one.score:.2f} at {one.frame / done.clip.fps:.2f} s")
    _save(done.clip, out)
    if preview:
        typer.echo(f"{preview}: {write_preview(done.clip, preview, video, start_s=chosen.start_s)} frames")


@masks_app.command("draw")
@checked
def draw_(
    out: str = OUT,
    shape: list[str] = typer.Option([], "--shape", help="A shape, e.g. --shape 'ellipse: {label: ball}'; repeatable."),
    shapes: str = typer.Option("", "--shapes", help="YAML file with a list under `shapes`; drawn before --shape."),
    size: str = SIZE,
    out_fps: float = RATE,
    frames: int = typer.Option(33, "--frames", min=1, help="Frames to draw: 33 for one clip, then 32 for each more."),
) -> None:
    """Draw masks without a reference video: ellipses, boxes, polygons, SVG paths and text, moving along keyframes.

    mvideo masks draw ball.masks --shape "ellipse: {label: ball, path: \\[[0, 0.1, 0.8], [2, 0.5, 0.2], [4, 0.9, 0.8]]}"

    Options of a shape: see docs/reference/masks.md and docs/reference/options.md.
    """
    height, width = _size(size)
    canvas = CanvasOptions.parse({"height_px": height, "width_px": width, "fps": out_fps, "frames": frames}, "draw")
    _save(draw((read_shapes(shapes) if shapes else []) + parse_shapes(shape, "--shape"), canvas), out)


@masks_app.command("suggest")
@checked
def suggest_(
    words: str = typer.Argument(help="What moves and how, e.g. 'a ball bounces twice to the right'."),
    out: str = typer.Argument(help="YAML file for the shapes; a contact sheet goes next to it.", callback=local_only),
    size: str = SIZE,
    out_fps: float = RATE,
    frames: int = typer.Option(33, "--frames", min=1, help="Frames to draw: 33 for one clip, then 32 for each more."),
    set_: list[str] = typer.Option([], "--set", "-s", help="The chat server, e.g. -s base_url=http://host:8000/v1."),
) -> None:
    """Turn a description into shapes with the captions' chat server; edit the YAML, then run `mvideo masks draw`."""
    from mvideo_core.editing import suggest

    height, width = _size(size)
    canvas = CanvasOptions.parse({"height_px": height, "width_px": width, "fps": out_fps, "frames": frames}, "suggest")
    made = suggest.suggest(words, canvas, suggest.server_of(read_values("", set_)))
    suggest.save(made, words, Path(out))
    write_contact_sheet(made.clip, Path(out).with_suffix(".png"))
    typer.echo(f"{out} and {Path(out).with_suffix('.png')}: {_summary(made.clip)}")
    typer.echo(f"mvideo masks draw OUT.masks --shapes {out} makes the masks")


@masks_app.command()
@checked
def edit(
    masks: str = MASKS,
    out: str = OUT,
    op: list[str] = typer.Option([], "--op", help="An edit, e.g. --op reverse --op 'zoom: {to: 1.4}', in order."),
    edits: str = typer.Option("", "--edits", help="YAML file with a list under `edits`; applied before --op."),
    fps: float = FPS,
    as_: str = AS,
) -> None:
    """Apply edits in order; `mvideo masks ops` lists them. A value can be keyframes: pairs [time, value].

    mvideo masks edit tiger.masks up.masks --op "slope: {direction: uphill, angle_deg: 15}" --op "zoom: {to: 0.8}"

    mvideo masks edit dance.masks 8s.npz --op "loop: {to_s: 8, mode: bounce}" --op "scale: {factor: \\[[0, 1], [4, 2]]}"
    """
    chosen = (read_edits(edits) if edits else []) + parse_edits(op, "--op")
    if not chosen:
        raise ConfigError("edit: no edit given; add --op 'name: {option: value}' or --edits FILE (`mvideo masks ops`)")
    _save(apply_edits(_input(masks, fps, as_).clip, chosen), out)


@masks_app.command()
def ops(name: str = typer.Argument("", help="An operation; default: list all.")) -> None:
    """List the edit operations, or one with its options."""
    if not name:
        print_names({known: OPERATIONS.get(known).about for known in OPERATIONS.names()})
        typer.echo("mvideo masks ops NAME shows the options of one")
        return
    operation = OPERATIONS.get(name)
    typer.echo(f"{name}: {operation.about}")
    _describe(operation.options)


@masks_app.command("combine")
@checked
def combine_(
    out: str = OUT,
    layer: list[str] = typer.Argument(
        help="Masks back to front; with options as YAML: 'tiger.masks: {start_s: 1, tail: loop, edits: \\[mirror]}'."
    ),
    occlude: bool = typer.Option(True, help="Layers hide the layers behind them."),
    length: str = typer.Option("longest", help="Which layer sets the length: longest, shortest or first."),
    size: str = typer.Option("", "--size", help="HEIGHTxWIDTH, px; default: the first layer's."),
    fit: str = typer.Option("crop", help="Layers with a different aspect ratio: crop, letterbox or stretch."),
    fps: float = FPS,
    as_: str = AS,
) -> None:
    """Combine several mask sequences into one, keeping objects apart.

    mvideo masks combine both.masks tiger.masks "dancers.masks: {start_s: 0.5, tail: bounce, edits: \\[mirror]}"
    """
    height, width = _size(size) if size else (0, 0)
    given = {"occlude": occlude, "length": length, "height_px": height, "width_px": width, "fit": fit}
    _save(combine([_layer(text, fps, as_) for text in layer], CombineOptions.parse(given, "combine")), out)


@masks_app.command("resample")
@checked
def resample_(
    masks: str = MASKS,
    out: str = OUT,
    size: str = SIZE,
    out_fps: float = RATE,
    clip_frames: int = CLIP_FRAMES,
    n_clips: int = typer.Option(0, "--clips", help="Number of clips; 0 = as many as the masks fill."),
    fit: str = typer.Option("crop", help="Different aspect ratio: crop, letterbox or stretch."),
    tail: str = typer.Option("hold", help="Past the end: hold, hide or bounce."),
    fps: float = FPS,
    as_: str = AS,
) -> None:
    """Resample masks for the model: its size, its frame rate, and n * (clip frames - 1) + 1 frames."""
    options = ResampleOptions.parse({"n_clips": n_clips, "fit": fit, "tail": tail}, "resample")
    _save(resample(_input(masks, fps, as_).clip, _format(size, out_fps, clip_frames), options), out)


@masks_app.command()
@checked
def preview(
    masks: str = MASKS,
    out: str = typer.Argument(help=".mp4: overlay video; .png: contact sheet.", callback=local_only),
    video: str = typer.Option("", "--video", help="Video to draw over; default: black."),
    frames: int = typer.Option(8, help="Pictures on a contact sheet."),
    columns: int = typer.Option(4, help="Pictures in a row of a contact sheet."),
    side: int = typer.Option(0, "--side", help="Longer side of the video, or of a sheet's picture, px; 0 = default."),
    fps: float = FPS,
    as_: str = AS,
) -> None:
    """Preview masks as an overlay video or a contact sheet."""
    given: dict[str, Any] = {"sheet_frames": frames, "sheet_columns": columns}
    if side:
        given |= {"max_side_px": side, "cell_px": side}
    source = _input(masks, fps, as_)
    under = video or source.video
    options = PreviewOptions.parse(given, "preview")
    if out.endswith(".png"):
        write_contact_sheet(source.clip, out, under, options)
    elif out.endswith(".mp4"):
        write_preview(source.clip, out, under, options)
    else:
        raise ConfigError(f"{out}: a preview is an .mp4 (video) or a .png (contact sheet)")
    typer.echo(out)


@masks_app.command()
@checked
def recipe(
    name: str = typer.Argument("", help="A recipe, or a YAML file in its format; default: list all."),
    given: list[str] = typer.Option([], "--input", "-i", help="NAME=MASKS, or just MASKS if the recipe has one input."),
    out: str = typer.Option("", "--out", help="Folder for masks, previews and recipe.json.", callback=local_only),
    size: str = SIZE,
    out_fps: float = RATE,
    clip_frames: int = CLIP_FRAMES,
    fps: float = FPS,
    as_: str = AS,
) -> None:
    """The paper's case studies (figures 4 to 9): masks resampled for the model, previews, and matching prompts.

    mvideo masks recipe                                   list

    mvideo masks recipe slope                             inputs and outputs

    mvideo masks recipe slope -i tiger.masks --out slope/
    """
    if not name:
        known = {one: load_recipe(one) for one in recipe_names()}
        print_names({one: f"{about.title} ({about.paper})" for one, about in known.items()})
        return
    found = load_recipe(name)
    if not given:
        typer.echo(yaml.safe_dump(found.model_dump(mode="json", exclude_defaults=True), sort_keys=False, width=110))
        return
    if not out:
        raise ConfigError("recipe: no output folder; give one with --out")
    names = dict(_split_assignment(text, list(found.inputs)) for text in given)
    inputs = {key: _input(text, fps, as_) for key, text in names.items()}
    for file in write_recipe(name, inputs, out, _format(size, out_fps, clip_frames)):
        typer.echo(f"{file}: {_summary(sequence.load_masks(file))}")
    typer.echo(f"prompts: {Path(out) / 'recipe.json'}")


@masks_app.command()
@checked
def convert(masks: str = MASKS, out: str = OUT, fps: float = FPS, as_: str = AS) -> None:
    """Convert masks to another format, otherwise unchanged; the converted file no longer needs `--as`.

    mvideo masks convert painted/ painted.masks --fps 24 --as colors
    """
    _save(_input(masks, fps, as_).clip, out)


@masks_app.command()
@checked
def info(masks: str = MASKS, as_: str = AS) -> None:
    """Show what masks contain: format, frames, size, rate, and each object's presence, area and travel."""
    from mvideo_core.editing.geometry import measure_motion
    from mvideo_core.masks.measure import areas

    found = _find_masks(masks, as_)
    n_frames, n_objects, height, width = found.sequence.shape
    rate = f"{found.fps:g} fps, {n_frames / found.fps:.2f} s" if found.fps else "frame rate unknown"
    typer.echo(f"{found.kind}: {n_frames} frames of {width}x{height}, {rate}, {n_objects} objects")
    areas_TN, motion = areas(found.sequence), measure_motion(found.sequence, found.fps or 1.0)
    for number in range(n_objects if n_frames else 0):
        seen = motion.visible_TN[:, number]
        mean = areas_TN[seen, number].mean() / (height * width) if seen.any() else 0.0
        x, y = motion.centers_TN2[-1, number] - motion.centers_TN2[0, number]
        label = found.labels[number] if found.labels else ""
        typer.echo(
            f"  {number} {label or '-':<14} seen in {int(seen.sum())} frames, mean area {100 * mean:.2f}%, "
            f"travels {x / width:+.3f} widths, {y / height:+.3f} heights"
        )
    if found.caption:
        typer.echo(f"  caption: {found.caption}")


def _find_masks(text: str, as_: str) -> sequence.ReadMasks:
    if not names_video(text):
        return sequence.read_masks(text, MaskForm.parse(as_))
    clip = _input(text, 0.0, as_).clip
    return sequence.ReadMasks(clip.sequence, clip.fps, clip.labels, f"extracted from {text.rpartition('#')[0]}")


def _input(text: str, fps: float, as_: str) -> MaskInput:
    return open_input(text, fps or None, form=MaskForm.parse(as_))


def _save(clip: MaskClip, out: str) -> None:
    place = sequence.save_masks(out, clip.sequence, clip.fps, clip.labels)
    typer.echo(f"{place}: {_summary(clip)}")


def _summary(clip: MaskClip) -> str:
    n_frames, n_objects, height, width = clip.sequence.shape
    return f"{n_frames} frames of {width}x{height} at {clip.fps:g} fps, {n_objects} objects"


def _layer(text: str, fps: float, as_: str) -> Layer:
    """A layer from its text: a path, or 'path: {options}'."""
    value = None if Path(text).exists() else _layer_yaml(text)
    if not isinstance(value, dict):
        return Layer(_input(text, fps, as_).clip)
    [(masks, options)] = value.items()
    chosen = LayerOptions.parse(options, text)
    clip = _input(str(masks), fps, chosen.read_as or as_).clip
    return Layer(apply_edits(clip, parse_edits(chosen.edits, text)), chosen.start_s, chosen.tail)


def _layer_yaml(text: str) -> Any:
    wanted = "expected a path, or 'path: {start_s: 1, tail: loop, edits: [mirror]}'"
    value = parse_yaml(text, f"layer {text!r}")
    options = next(iter(value.values()), None) if isinstance(value, dict) else {}
    if (isinstance(value, dict) and len(value) != 1) or not isinstance(options, dict | None):
        raise ConfigError(f"layer {text!r}: {wanted}")
    return value


class LayerOptions(Options):
    """Options in the braces of a layer."""

    start_s: float = Field(default=0.0, description="seconds; time of its first frame")
    tail: Literal["hide", "hold", "loop", "bounce"] = Field(default="hide", description="what it shows after its end")
    edits: list[Any] = Field(default_factory=list, description="edits of this layer")
    read_as: str = Field(default="", description="how to read its masks, as for --as; empty = the value of --as")


def _split_assignment(text: str, names: list[str]) -> tuple[str, str]:
    """Split NAME=MASKS; without a name, the recipe's only input."""
    name, mark, masks = text.partition("=")
    if mark and name in names:
        return name, masks
    if len(names) == 1:
        return names[0], text
    raise ConfigError(f"--input {text}: expected NAME=MASKS; names: {', '.join(names)}")


def _format(size: str, fps: float, clip_frames: int) -> VideoFormat:
    height, width = _size(size)
    given = {"height_px": height, "width_px": width, "fps": fps, "clip_frames": clip_frames}
    return VideoFormat.parse(given, "format")


def _size(text: str) -> tuple[int, int]:
    height, mark, width = text.lower().partition("x")
    if not mark or not (height.isdigit() and width.isdigit()):
        raise ConfigError(f"size {text!r}: expected HEIGHTxWIDTH in px, such as 480x720")
    return int(height), int(width)


def _describe(options: type[Options]) -> None:
    """Print the fields of an Options class, one per line."""
    for name, field in options.model_fields.items():
        default = "none" if field.default is None else field.get_default(call_default_factory=True)
        typer.echo(f"  {name}: {field.description} (default {default})")
