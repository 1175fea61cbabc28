"""mvideo weights list | check | fetch: public weights and the mini ones that come with the project."""

import typer

from mvideo_core.weights import catalog
from mvideo_core.weights.fetch import fetch

weights_app = typer.Typer(no_args_is_help=True, help="Weights: what there is, where it comes from, whether it is here.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    app.add_typer(weights_app, name="weights")


@weights_app.command("list")
def list_() -> None:
    """Every known model: kind, name, size, licence, and whether its files are on this machine."""
    for item in catalog.entries():
        missing = [state for state in catalog.check(item.name, digests=False) if state.problem]
        size = sum(file.size_bytes or 0 for file in item.files) / 1e6
        here = "here" if not missing else f"{len(missing)} of {len(item.files)} files missing"
        names = f"{item.name} ({item.alias})" if item.alias else item.name
        told = f"{size:.1f} MB" if size else "size ?"
        typer.echo(f"{item.kind:<10} {names:<40} {told:>9}  {item.licence:<12} {here}")
    typer.echo(f"folder: {catalog.weights_dir()} (MVIDEO_WEIGHTS sets another)")


@weights_app.command()
def check(name: str = typer.Argument(help="Name from `mvideo weights list`.")) -> None:
    """Sizes and SHA-256 of a model's files; exit code 1 when something is wrong."""
    states = catalog.check(name)
    for state in states:
        fine = "fine" if state.pinned else "there (not pinned: no digest known, content not compared)"
        typer.echo(f"{state.path}: {state.problem or fine}")
    raise typer.Exit(1 if any(state.problem for state in states) else 0)


@weights_app.command("fetch")
def fetch_(name: str = typer.Argument(help="Name from `mvideo weights list`.")) -> None:
    """Download a model's files from their publisher, resuming where a download broke off, and check them."""
    typer.echo(f"{name}: {fetch(name)}")
