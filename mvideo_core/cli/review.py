"""mvideo review: look at masks, starting with the clips where a correction helps most, and decide in the browser."""

from pathlib import Path

import typer

from mvideo_core.cli.workspace import WORKSPACE


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(review)


def review(
    workspace: str = WORKSPACE,
    decisions: str = typer.Option(
        "",
        "--decisions",
        help="Keep the decisions in this file from now on. Default: review/decisions.jsonl in the workspace.",
    ),
    who: str = typer.Option("", "--who", help="Reviewer name."),
    port: int = typer.Option(0, "--port", min=0, max=65535, help="Port on 127.0.0.1. Default: any free one."),
) -> None:
    """Show clips, starting with those where a correction helps most; accept, reject, relabel, or correct a frame.

    The next run applies your decisions.
    Prints the page's address, and serves it to this machine until Ctrl-C.
    """
    from mvideo_core.pages.review.server import ReviewServer
    from mvideo_core.store.decisions import DecisionFile
    from mvideo_core.store.workspace import Workspace

    ws = Workspace.open_existing(workspace)
    if decisions:
        DecisionFile(ws).choose(Path(decisions))
    with ReviewServer(ws, port, who) as server:
        typer.echo(f"decisions: {server.decisions.path}")
        typer.echo(f"review: {server.url} (Ctrl-C ends)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo(f"{len(server.decisions.read())} decisions; `mvideo run` applies them")
