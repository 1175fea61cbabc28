"""mvideo adapter export | show: use trained adapters in other programs."""

from typing import Literal

import typer
import yaml

from mvideo_core.cli.settings import local_only

adapter_app = typer.Typer(no_args_is_help=True, help="Trained adapters for other programs.")
ADAPTER = typer.Argument(help="Adapter, checkpoint or run folder, .safetensors file, or catalog name.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(adapter_app, name="adapter")


@adapter_app.command()
def export(
    adapter: str = ADAPTER,
    for_: Literal["videox-fun", "comfyui", "kohya"] = typer.Option(..., "--for", help="Program that will load it."),
    out: str = typer.Option(..., "--out", help="The .safetensors file to write.", callback=local_only),
    title: str = typer.Option("", "--title", help="Name shown by other programs; default: the adapter's own."),
    author: str = typer.Option("", "--author", help="Who made it."),
    description: str = typer.Option("", "--description", help="What it was trained on and what it does."),
    license_: str = typer.Option("", "--license", help="Name or text of the license."),
    trigger: str = typer.Option("", "--trigger", help="Words in a prompt that trigger what was trained."),
    tags: str = typer.Option("", "--tags", help="Categories, separated by commas."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace --out if it exists."),
) -> None:
    """Export the LoRA with the names that another program expects and alpha as tensors; the header describes it."""
    from mvideo_core.cogvideox.adapter_export import TARGETS, export_adapter
    from mvideo_core.cogvideox.adapter_header import CardOptions

    card = CardOptions(
        title=title, author=author, description=description, license=license_, trigger=trigger, tags=tags
    )
    made = export_adapter(adapter, for_, out, card, overwrite)
    typer.echo(f"{made.path}: {made.layers} layers, rank {made.rank}, alpha {made.alpha:g}, for {TARGETS[for_].title}")
    if made.left_out:
        typer.echo(made.left_out, err=True)


@adapter_app.command()
def show(adapter: str = ADAPTER) -> None:
    """Print the header of the LoRA file: modelspec, kohya's ss_ keys, digests of base and data."""
    from mvideo_core.cogvideox.adapter_files import find_adapter
    from mvideo_core.cogvideox.adapter_header import read_header

    header = read_header(find_adapter(adapter).lora)
    keys = {key: value for key, value in header.items() if key not in ("format", "lora_adapter_metadata")}
    typer.echo(yaml.safe_dump(keys, sort_keys=True, allow_unicode=True).strip() if keys else "no keys of these kinds")
