"""docs/reference/commands.md: every subcommand of `mvideo` with its arguments and options, from the command tree."""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from mvideo_core.cli.commands import LazyGroup, load
from mvideo_core.cli.main import app
from tests.reference import HEADER, cell, code, table
from tests.reference.types import type_text

INTRODUCTION = f"""{HEADER}
# Commands

Every command and option of `mvideo`, as `--help` shows them. What `--options FILE` and `--set NAME=VALUE` accept is in
[options.md](options.md). Exit codes: 0 success; 1 the work failed; 2 wrong arguments or options; 3 finished, but with
warnings.
"""


class Command(NamedTuple):
    """One command: its words after `mvideo`, and click's object."""

    words: tuple[str, ...]
    command: Any

    @property
    def name(self) -> str:
        """As it is typed."""
        return " ".join(("mvideo", *self.words))

    @property
    def inner(self) -> dict[str, Any]:
        """Subcommands; none of a plain command."""
        return dict(getattr(self.command, "commands", {}))


def every_command() -> Iterator[Command]:
    """`mvideo` itself, then every command and subcommand, depth first."""
    root = typer.main.get_command(app)
    assert isinstance(root, LazyGroup)
    yield Command((), root)
    for name in root.list_commands(None):
        yield from _below(Command((name,), load(name)))


def option_names(parameter: Any) -> list[str]:
    """Flags of an option, the long one first; the metavariable of an argument."""
    if parameter.param_type_name == "argument":
        return [parameter.metavar or parameter.name.upper()]
    return [*sorted(parameter.opts, key=lambda flag: not flag.startswith("--")), *parameter.secondary_opts]


def commands_page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(_section(command) for command in every_command())


def _below(command: Command) -> Iterator[Command]:
    yield command
    for name, inner in command.inner.items():
        yield from _below(Command((*command.words, name), inner))


def _section(command: Command) -> str:
    shown = [parameter for parameter in command.command.params if not getattr(parameter, "hidden", False)]
    arguments = [_usage(one) for one in shown if one.param_type_name == "argument"]
    flags = ["[OPTIONS]"] if any(one.param_type_name == "option" for one in shown) else []
    usage = " ".join([command.name, *flags, *arguments, *(["COMMAND ..."] if _is_group(command) else [])])
    parts = [f"\n{'#' * min(2 + max(0, len(command.words) - 1), 4)} {command.name}\n", f"```\n{usage}\n```\n"]
    parts.append(_prose(command.command.help or "") + "\n")
    if inner := command.inner:
        parts.append("Subcommands: " + ", ".join(code(name) for name in inner) + ".\n")
    if shown:
        rows = [_row(parameter) for parameter in shown]
        parts.append(table(("Argument or option", "Value", "Default", "Meaning"), rows))
    return "\n".join(parts)


def _is_group(command: Command) -> bool:
    return not command.words or bool(command.inner)


def _usage(argument: Any) -> str:
    name = option_names(argument)[0] + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _row(parameter: Any) -> tuple[str, ...]:
    default = "required" if parameter.required else _default(parameter)
    names = ", ".join(code(name) for name in option_names(parameter))
    value = "" if getattr(parameter, "is_flag", False) else cell(_value(parameter))
    return names, value, default, cell(_prose(getattr(parameter, "help", "") or ""))


def _default(parameter: Any) -> str:
    value = parameter.default() if callable(parameter.default) else parameter.default
    if value is None or value is False or value in ("", [], ()):
        return ""
    if isinstance(value, list | tuple):
        return code(", ".join(map(str, value)))
    return code(value if isinstance(value, str) else json.dumps(value, default=str))


def _value(parameter: Any) -> str:
    kind = type_text(parameter.type_descriptor.annotation).removeprefix("list of ").removesuffix(" or null")
    low, high = parameter.min, parameter.max
    limits = [f">= {low}"] * (low is not None) + [f"<= {high}"] * (high is not None)
    many = getattr(parameter, "multiple", False) or parameter.nargs == -1
    return ", ".join([kind, *limits, *["repeatable"] * many])


def _prose(text: str) -> str:
    """A docstring or help text without rich's escapes and without its indentation."""
    return re.sub(r"\\\[", "[", inspect.cleandoc(text.replace("\f", "")))
