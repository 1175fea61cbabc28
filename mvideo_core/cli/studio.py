"""mvideo studio: edit mask sequences in the browser, and generate from them."""

from pathlib import Path

import typer

from mvideo_core.base.devices import default_device
from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.settings import exit_on_warnings, local_only


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(exit_on_warnings("mvideo_core.editing")(studio))


def studio(
    masks: list[str] = typer.Argument(None, help="Masks to open, back to front: .masks and the like, DATASET#KEY."),
    out: str = typer.Option(
        "", "--out", help="Only write the page to this file: it works offline, without generation.", callback=local_only
    ),
    fps: float = typer.Option(0.0, "--fps", min=0, help="Frame rate of masks that do not store one."),
    as_: str = typer.Option("", "--as", help="How to read ambiguous masks (docs/reference/masks.md)."),
    base: str = typer.Option("mini", "--base", help="Weights: catalog name, diffusers folder, random:SIZE."),
    dtype: str = typer.Option("", "--dtype", help="bf16, fp16 or fp32; default: bf16 on a GPU, fp32 on a CPU."),
    adapter: str = typer.Option("", "--adapter", help="Training output folder or catalog name; default: the base's."),
    videos: str = typer.Option("studio", "--videos", help="Folder for generated videos.", callback=local_only),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="Port on 127.0.0.1. Default: any free one."),
) -> None:
    """Edit masks in the browser: paths, scale, zoom, slope, time, layers; save them, or generate a video beside them.

    Prints the page's address, and serves it to this machine until Ctrl-C. With --out, writes the page and ends.
    """
    from mvideo_core.base.disk import write_whole
    from mvideo_core.editing.inputs import open_input
    from mvideo_core.masks.io.mask_form import MaskForm
    from mvideo_core.pages.studio.build import OpenedMasks, studio_page

    form = MaskForm.parse(as_)
    opened = [OpenedMasks(name, open_input(name, fps or None, form=form).clip) for name in masks or ()]
    if out:
        write_whole(Path(out), studio_page(opened))
        typer.echo(f"studio: {Path(out).resolve().as_uri()}")
        return

    from mvideo_core.cogvideox.base import BaseOptions
    from mvideo_core.doctor import CheckContext, require
    from mvideo_core.generation.loading import check_pipeline
    from mvideo_core.pages.studio.job import Job
    from mvideo_core.pages.studio.server import StudioServer

    kind = dtype or ("bf16" if default_device() == "cuda" else "fp32")
    weights = BaseOptions.parse({"weights": base, "dtype": kind}, "studio")
    require("generate", CheckContext(base=weights))
    if Path(videos).exists() and not Path(videos).is_dir():
        raise ConfigError(f"--videos {videos}: a file; give a folder")
    job = Job(weights, adapter, Path(videos))
    check_pipeline(weights, job.adapter, masks=True)
    with StudioServer(studio_page(opened, served=True), job, port) as server:
        about = job.model()
        typer.echo(f"model: {about['model']}. {about['note']}".strip())
        typer.echo(f"studio: {server.url} (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            job.stop()
