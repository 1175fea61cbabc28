"""mvideo world make | gallery: the synthetic world with exact ground truth (docs/reference/world.md)."""

from typing import Literal

import typer

from mvideo_core.cli.settings import local_only

world_app = typer.Typer(no_args_is_help=True, help="Synthetic videos with known cuts, boxes and masks.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(world_app, name="world")


@world_app.command()
def make(
    folder: str = typer.Argument(help="Folder for the MP4 files, with ground truth in `truth/`.", callback=local_only),
    videos: int = typer.Option(4, min=1, help="Number of multi-shot source videos."),
    seed: int = typer.Option(0, min=0, help="First seed; the same seeds give the same bytes."),
    split: Literal["train", "val", "heldout"] = typer.Option("heldout", help="Disjoint lists of seeds."),
    shots: int = typer.Option(0, min=0, help="Shots per video; 0: 3 to 5, by seed."),
    unseen_frac: float = typer.Option(-1.0, help="Share of shots with a class outside COCO; -1: the split's default."),
    processes: int = typer.Option(1, min=1, help="Videos rendered in parallel."),
) -> None:
    """Render source videos; finished ones are kept, so rerunning the command resumes."""
    from mvideo_core.miniworld.world.make import make_world

    frac = None if unseen_frac < 0 else unseen_frac
    made = make_world(folder, videos, seed, split, frac, shots or None, processes)
    n_shots = sum(len(truth.shots) for truth in made)
    typer.echo(f"{len(made)} videos in {folder}, {n_shots} shots; truth in {folder}/truth")


@world_app.command()
def gallery(folder: str = typer.Argument(help="A folder made by `mvideo world make`.")) -> None:
    """Build a page with every class, and each video's cuts, shots and captions."""
    from mvideo_core.miniworld.world.gallery import make_gallery

    typer.echo(f"gallery: {make_gallery(folder)}")
