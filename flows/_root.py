"""How relative paths in a deployment's parameters are resolved.

They are relative to `$MVIDEO_ROOT` in the worker's environment; if it is not set, to the checkout that the code is
imported from; without a checkout, to `~/mvideo`. The working directory does not count, because a process worker starts
each run in a temporary folder and removes it afterwards.
"""

import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from prefect.context import FlowRunContext

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.home import ensure_home
from mvideo_core.base.shipped import checkout

log = logging.getLogger(__name__)

VARIABLE = "MVIDEO_ROOT"

P = ParamSpec("P")
R = TypeVar("R")


class Root(NamedTuple):
    """The folder, and the rule that selected it."""

    path: Path
    rule: str


def in_root(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator below `@flow`: a deployment's run changes to the root and logs it; subflows and direct calls do not."""

    @functools.wraps(function)
    def body(*args: P.args, **named: P.kwargs) -> R:
        context = FlowRunContext.get()
        if context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None:
            enter_root()
        return function(*args, **named)

    return body


def enter_root() -> None:
    """Change this process's working directory to the root, and log it.

    Raises:
        ConfigError: MVIDEO_ROOT does not name a folder.
    """
    found = root()
    os.chdir(found.path)
    log.info("relative paths count from %s (%s)", found.path, found.rule)


def root() -> Root:
    """The root of this process; the folder in the home directory is created if needed.

    Raises:
        ConfigError: MVIDEO_ROOT does not name a folder.
    """
    if given := os.environ.get(VARIABLE):
        path = Path(given).expanduser()
        if not path.is_absolute() or not path.is_dir():
            raise ConfigError(f"{VARIABLE}={given}: no such folder; give the absolute path of one, or unset it")
        return Root(path, VARIABLE)
    if found := checkout():
        return Root(found, f"the checkout; {VARIABLE} is not set")
    ensure_home()
    path = Path.home() / "mvideo"
    path.mkdir(exist_ok=True)
    return Root(path, f"{VARIABLE} is not set")
