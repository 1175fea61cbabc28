"""Entry point of `mvideo`: turns our errors into one clear message and an exit code. The commands: see `index`."""

import logging
import sys

import typer

from mvideo_core import __version__
from mvideo_core.cli.index import LazyGroup
from mvideo_core.disk import disk_errors
from mvideo_core.errors import ConfigError, MVideoError
from mvideo_core.home import ensure_home

app = typer.Typer(
    cls=LazyGroup,
    name="mvideo",
    help="From raw footage to mask-controlled video. Stages run here without any server, or under Prefect "
    "(`mvideo server up`, then `prefect deployment run build-mask-dataset/build-mask-dataset`).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def options(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
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
    """Run the command line. Exit code 2: the call or the options are wrong; 1: the work failed; 3: it is done, but its
    result needs a look (warnings).
    """
    try:
        with disk_errors():
            ensure_home()
            app()
    except MVideoError as error:
        typer.secho(f"{type(error).__name__}: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except OSError as error:  # a path that a command reads or writes; the library calls turn theirs into ours
        logging.getLogger("mvideo_core").debug("%r", error, exc_info=error)
        where = f"{error.filename}: " if error.filename else ""
        typer.secho(
            f"StoreError: {where}{error.strerror or error}; check the path, its permissions and the disk",
            fg=typer.colors.RED, err=True,
        )  # fmt: skip
        sys.exit(1)
    except KeyboardInterrupt:
        typer.secho("stopped; run the same command again to continue from here", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
