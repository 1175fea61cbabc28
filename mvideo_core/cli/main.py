"""Entry point of `mvideo`: turns our errors into one clear message and an exit code. Commands: see `commands.py`."""

import logging

import typer

from mvideo_core import __version__
from mvideo_core.base.home import ensure_home
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.cli.commands import LazyGroup

app = typer.Typer(
    cls=LazyGroup,
    name="mvideo",
    help="From raw footage to mask-controlled video. Stages run here without a server, or under Prefect "
    "(`mvideo server up`, then `prefect deployment run build-mask-dataset/build-mask-dataset`).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Only warnings and results."),
) -> None:
    """Options before the command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mvideo_core").setLevel(level)


def main() -> None:
    """Run the command line. Exit code 2: wrong arguments or options; 1: the work failed; 3: it is done, but look at
    its result (warnings).
    """
    with errors_in_one_line():
        ensure_home()
        app()


if __name__ == "__main__":
    main()
