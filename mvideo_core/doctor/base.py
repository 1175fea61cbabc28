"""Checks, their input and their findings."""

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
class CheckContext:
    """What is about to run; checks skip fields that are not set.

    Attributes:
        workspace: folder or URL; "" for none.
        source_bytes: size of the raw videos; 0 = unknown.
        pipeline, latents, training, base: options for data curation, encoding, training and generation.
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
        status: "problem": will fail; "warning": may fail or be slow; "unknown": cannot be checked from here.
        what: the value seen and the value allowed. next_step: what to do; "" if nothing is wrong.
        kind: class of the error a run would end with.
    """

    check: str = ""
    status: Status = "ok"
    what: str
    next_step: str = ""
    kind: str = ConfigError.__name__


Function = Callable[[CheckContext], Iterable[Finding]]


class Check(NamedTuple):
    """A check and the parts of the work it applies to."""

    name: str
    parts: frozenset[Part]
    function: Function


CHECKS: Registry[Check] = Registry("check", "mvideo_core.doctor.checks")


def check(name: str, *parts: Part) -> Callable[[Function], Function]:
    """Decorator that registers a function as a check for these parts; for all parts if none is given."""

    def add(function: Function) -> Function:
        CHECKS.register(name)(Check(name, frozenset(parts or ALL), function))
        return function

    return add


def problem(error: MVideoError) -> Finding:
    """One of our errors as a finding; its message already includes the next step."""
    return Finding(status="problem", what=str(error), kind=type(error).__name__)


def run_checks(parts: Iterable[Part], context: CheckContext) -> Iterator[Finding]:
    """Findings of all checks that apply to these parts, ordered by check name."""
    _load_others()
    wanted = set(parts)
    for name in CHECKS.names():
        one = CHECKS.get(name)
        if one.parts & wanted:
            for found in one.function(context):
                yield found.model_copy(update={"check": name})


def require(part: Part, context: CheckContext) -> None:
    """Raise before work starts if a check for this part finds a problem; `mvideo doctor` shows warnings too.

    Raises:
        ConfigError, ModelError, StoreError: the first problem's kind; the message lists all of them.
    """
    found = [one for one in run_checks([part], context) if one.status == "problem"]
    if not found:
        return
    said = [one.what + (f"; {one.next_step}" if one.next_step else "") for one in found]
    kind: type[MVideoError] = getattr(errors, found[0].kind, ConfigError)
    more = "".join(f"\n  {text}" for text in said[1:])
    raise kind(said[0] + (f"\nand {len(said) - 1} more before this can run:{more}" if more else ""))


def _load_others() -> None:
    """Import the module `checks` of every package that adds commands."""
    for point in importlib.metadata.entry_points(group=COMMANDS):
        package = point.module.rpartition(".")[0]
        if package and importlib.util.find_spec(f"{package}.checks"):
            importlib.import_module(f"{package}.checks")
