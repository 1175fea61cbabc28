"""mvideo world make | gallery: the synthetic world with exact truth (docs/world.md)."""

from typing import Literal

import typer

from mvideo_core.cli.settings import local_only

world_app = typer.Typer(no_args_is_help=True, help="Drawn videos whose cuts, boxes and masks are known.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(world_app, name="world")


@world_app.command()
def make(
    folder: str = typer.Argument(help="Gets the mp4 files, and their truth in `truth/`.", callback=local_only),
    videos: int = typer.Option(4, min=1, help="Number of multi-shot source videos."),
    seed: int = typer.Option(0, min=0, help="First seed; the same seeds give the same bytes."),
    split: Literal["train", "val", "heldout"] = typer.Option("heldout", help="Disjoint lists of seeds."),
    shots: int = typer.Option(0, min=0, help="Shots per video; 3 to 5, by seed, when 0."),
    unseen_frac: float = typer.Option(-1.0, help="Share of shots with a class outside COCO; the split's own when -1."),
    processes: int = typer.Option(1, min=1, help="Videos drawn side by side."),
) -> None:
    """Draw source videos; finished ones are kept, so a stopped run goes on."""
    from mvideo_core.miniworld.world.make import make_world

    frac = None if unseen_frac < 0 else unseen_frac
    made = make_world(folder, videos, seed, split, frac, shots or None, processes)
    n_shots = sum(len(truth.shots) for truth in made)
    typer.echo(f"{len(made)} videos in {folder}, {n_shots} shots; truth in {folder}/truth")


@world_app.command()
def gallery(folder: str = typer.Argument(help="A folder made by `mvideo world make`.")) -> None:
    """A page with every class, and each video's cuts, shots and captions."""
    from mvideo_core.miniworld.world.gallery import make_gallery

    typer.echo(f"gallery: {make_gallery(folder)}")
