"""mvideo accuracy: the data half against the mini world's exact truth."""

import typer

from mvideo_core.cli.settings import local_only
from mvideo_core.cli.workspace import WORKSPACE


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(accuracy)


def accuracy(
    workspace: str = WORKSPACE,
    world: str = typer.Option(..., "--world", help="Folder made by `mvideo world make`, the source of the workspace."),
    out: str = typer.Option(
        "build/accuracy", "--out", help="Folder for accuracy.json and the page.", callback=local_only
    ),
    strips: int = typer.Option(
        12, "--strips", min=0, max=500, help="Crossings drawn on the page, and as many returns, at most."
    ),
) -> None:
    """Cuts, boxes, masks, captions and funnel of a workspace against the truth of the world it was made from."""
    from mvideo_core.miniworld.accuracy.workspace import measure_workspace

    for line in measure_workspace(workspace, world, out, strips):
        typer.echo(line)
