"""mvideo accuracy: the data pipeline against the mini world's exact ground truth."""

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
        12, "--strips", min=0, max=500, help="Maximum number of crossings, and of returns, drawn on the page."
    ),
) -> None:
    """Compare a workspace's cuts, boxes, masks, captions and funnel with the ground truth of its mini world."""
    from mvideo_core.miniworld.accuracy.workspace import measure_workspace

    for line in measure_workspace(workspace, world, out, strips):
        typer.echo(line)
