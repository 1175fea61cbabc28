"""Checks, what they are asked about, what they find."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mvideo_core.base import errors
from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.base.records import Record
from mvideo_core.base.registry import Registry

if TYPE_CHECKING:
    from mvideo_core.cogvideox.base import BaseOptions
    from mvideo_core.curation.pipeline import PipelineOptions
    from mvideo_core.training.latents.options import LatentOptions
    from mvideo_core.training.options import TrainOptions

Status = Literal["ok", "warning", "unknown", "problem"]
Part = Literal["data", "encode", "train", "generate", "server"]
ALL: tuple[Part, ...] = ("data", "encode", "train", "generate", "server")
COMMANDS = "mvideo.commands"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is about to run; checks skip what is not given.

    Attributes:
        workspace: folder or URL; "" for none.
        source_bytes: size of the raw videos; 0: unknown.
        pipeline, latents, training, base: options of the data half, of encoding, of training, of generating.
    """

    workspace: str = ""
    source_bytes: int = 0
    pipeline: "PipelineOptions | None" = None
    latents: "LatentOptions | None" = None
    training: "TrainOptions | None" = None
    base: "BaseOptions | None" = None


class Finding(Record):
    """What one check found.

    Attributes:
        status: "problem": it will fail; "warning": it may, or will be slow; "unknown": it cannot be seen from here.
        what: value seen, and value allowed. next_step: what to do; "" when nothing is wrong.
        kind: class of the error that a run would end with.
    """

    check: str = ""
    status: Status = "ok"
    what: str
    next_step: str = ""
    kind: str = ConfigError.__name__


Function = Callable[[Asked], Iterable[Finding]]


class Check(NamedTuple):
    """A check and the parts of the work that it concerns."""

    name: str
    parts: frozenset[Part]
    function: Function


CHECKS: Registry[Check] = Registry("check", "mvideo_core.doctor.checks")


def check(name: str, *parts: Part) -> Callable[[Function], Function]:
    """Decorator that registers a function as a check of these parts; of all parts when none is given."""

    def add(function: Function) -> Function:
        CHECKS.register(name)(Check(name, frozenset(parts or ALL), function))
        return function

    return add


def problem(error: MVideoError) -> Finding:
    """An error of ours as a finding; its message has the next step already."""
    return Finding(status="problem", what=str(error), kind=type(error).__name__)


def run_checks(parts: Iterable[Part], asked: Asked) -> Iterator[Finding]:
    """Findings of all checks that concern these parts, by name of the check."""
    _load_others()
    wanted = set(parts)
    for name in CHECKS.names():
        one = CHECKS.get(name)
        if one.parts & wanted:
            for found in one.function(asked):
                yield found.model_copy(update={"check": name})


def require(part: Part, asked: Asked) -> None:
    """Stop before the work begins when a check of this part finds a problem; warnings are for `mvideo doctor`.

    Raises:
        ConfigError, ModelError, StoreError: of the first problem's kind; the message has all of them.
    """
    found = [one for one in run_checks([part], asked) if one.status == "problem"]
    if not found:
        return
    said = [one.what + (f"; {one.next_step}" if one.next_step else "") for one in found]
    kind: type[MVideoError] = getattr(errors, found[0].kind, ConfigError)
    more = "".join(f"\n  {text}" for text in said[1:])
    raise kind(said[0] + (f"\nand {len(said) - 1} more before this can run:{more}" if more else ""))


def _load_others() -> None:
    """Import the module `checks` beside every command that other packages add."""
    for point in importlib.metadata.entry_points(group=COMMANDS):
        package = point.module.rpartition(".")[0]
        if package and importlib.util.find_spec(f"{package}.checks"):
            importlib.import_module(f"{package}.checks")
