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
    """Every known model: kind, name, size (">": of the files whose size is known), files here or missing, licence."""
    for item in catalog.entries():
        states = catalog.check(item.name, digests=False)
        n_missing = sum(bool(state.problem) for state in states)
        here = f"{n_missing} of {len(states)} files missing" if n_missing else "here"
        names = f"{item.name} ({item.alias})" if item.alias else item.name
        sizes = [_size(file, state) for file, state in zip(item.files, states, strict=True)]
        typer.echo(f"{item.kind:<10} {names:<45} {_total(sizes):>10}  {here:<22} {item.licence}")
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


def _size(file: catalog.WeightsFile, state: catalog.FileState) -> int | None:
    """Bytes as published, else of the file that is here."""
    return file.size_bytes or (state.path.stat().st_size if state.path.is_file() else None)


def _total(sizes: list[int | None]) -> str:
    known = [size for size in sizes if size is not None]
    if not known:
        return "size ?"
    return f"{'' if len(known) == len(sizes) else '> '}{sum(known) / 1e6:.1f} MB"
