"""mvideo studio: edit mask sequences in the browser."""

from pathlib import Path

import typer

from mvideo_core.cli.settings import local_only, needs_a_look


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(needs_a_look("mvideo_core.editing")(studio))


def studio(
    masks: list[str] = typer.Argument(None, help="Masks to open, back to front: .masks and the like, DATASET#KEY."),
    out: str = typer.Option("studio.html", "--out", help="The page.", callback=local_only),
    fps: float = typer.Option(0.0, "--fps", min=0, help="Frame rate of masks that do not store one."),
    as_: str = typer.Option("", "--as", help="How to read ambiguous masks (docs/masks.md)."),
) -> None:
    """Edit masks in the browser: objects along paths, scale, zoom, slope, time, layers; saves recipe, masks and video.

    Writes one page that works offline, from a folder, or on any web server. It also opens .masks files itself.
    """
    from mvideo_core.base.disk import write_whole
    from mvideo_core.editing.inputs import open_input
    from mvideo_core.masks.io.mask_form import MaskForm
    from mvideo_core.pages.studio.build import OpenedMasks, studio_page

    form = MaskForm.parse(as_)
    opened = [OpenedMasks(name, open_input(name, fps or None, form=form).clip) for name in masks or ()]
    write_whole(Path(out), studio_page(opened))
    typer.echo(f"studio: {Path(out).resolve().as_uri()}")
