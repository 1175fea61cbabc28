"""Shared by commands with a profile: values from `--options` and `--set`, the list of profiles, exit codes."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

import typer

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.local_paths import local_path
from mvideo_core.base.options import merge, parse_yaml, read_yaml

P = ParamSpec("P")


def read_values(options: str, settings: list[str]) -> dict[str, Any]:
    """The nested values of an options file, overridden by single settings.

    Args:
        options: path of a YAML file; "" = none.
        settings: each "cut.min_shot_s=4".

    Raises:
        ConfigError: no such file, or a setting without "=".
    """
    values = read_yaml(Path(options)) if options else {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        if not separator:
            raise ConfigError(f"--set {setting!r}: expected name=value, e.g. cut.min_shot_s=4")
        value = parse_yaml(text, f"--set {setting!r}")
        for key in reversed(path.split(".")):
            value = {key: value}
        values = merge(values, value)
    return values


def local_only(param: typer.CallbackParam, value: str) -> str:
    """Callback of options and arguments that name a local file or folder.

    Raises:
        ConfigError: a URL.
    """
    if value:
        local_path(value, param.opts[0])
    return value


FINISHED_WITH_WARNINGS = 3
"""Exit code of a command that did its work but whose result needs attention."""


def end_with(warnings: Sequence[str]) -> None:
    """Print warnings and end the command with exit code 3; do nothing if there are none."""
    for warning in warnings:
        typer.secho(f"warning: {warning}", fg=typer.colors.YELLOW, err=True)
    if warnings:
        raise typer.Exit(FINISHED_WITH_WARNINGS)


def exit_on_warnings(*packages: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Decorator of a command: after its work, exit with code 3 if these packages logged warnings."""

    def wrap(command: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            counter = _Counter(logging.WARNING)
            loggers = [logging.getLogger(package) for package in packages]
            for logger in loggers:
                logger.addHandler(counter)
            try:
                command(*args, **kwargs)
            finally:
                for logger in loggers:
                    logger.removeHandler(counter)
            if counter.seen:
                raise typer.Exit(FINISHED_WITH_WARNINGS)

        return run

    return wrap


class _Counter(logging.Handler):
    seen = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.seen += 1


def print_profiles(folder: Path) -> None:
    """Print the name and first comment line of each profile in a folder."""
    first = {path.stem: path.read_text(encoding="utf-8").split("\n", 1)[0] for path in visible_files(folder, ".yaml")}
    print_names({name: line.removeprefix("#").strip() for name, line in first.items()})


def print_names(meanings: Mapping[str, str]) -> None:
    """Print a line per name: the name, padded to the longest one, and its meaning."""
    width = max(map(len, meanings), default=0)
    for name, meaning in meanings.items():
        typer.echo(f"{name:<{width}}  {meaning}")
