"""Makes `prefect deployment run build-mask-dataset` work.

Prefect expects "<flow>/<deployment>". This startup hook (documented in Prefect, group "prefect.plugins", turned on by
prefect.toml in the repository) expands a bare name of one of our deployments to "<name>/<name>" before the command line
is parsed, and points the command line at the server that `mvideo server up` started, unless PREFECT_API_URL is set.

It runs at every `import prefect` in a process with plugins on, so it imports almost nothing.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from prefect.plugins import SetupResult, register_hook

from mvideo.deployments.names import deployment_names

if TYPE_CHECKING:
    from prefect.plugins import HookContext

VERBS = ("run", "inspect", "delete", "pause", "resume")


@register_hook
def setup_environment(*, ctx: "HookContext") -> SetupResult | None:
    """Rewrite the command line of `prefect deployment ...`; pass our own server's address to any `prefect ...`."""
    if not is_prefect_command(sys.argv):
        return None
    sys.argv[:] = with_full_names(sys.argv)
    if ctx.api_url or "PREFECT_API_URL" in os.environ:
        return None
    from mvideo.deployments._state import find_api_url

    url = find_api_url()
    if url:
        return SetupResult(env={"PREFECT_API_URL": url}, note="server started by `mvideo server up`")
    if asks_for_ours(sys.argv):
        sys.exit("no server found: start one with `mvideo server up`, or set PREFECT_API_URL to yours")
    return None


def is_prefect_command(argv: list[str]) -> bool:
    """True for `prefect ...` and `python -m prefect ...`, not for scripts, workers' engines or tests."""
    path = Path(argv[0]) if argv else Path()
    return path.name == "prefect" or path.parts[-2:] == ("prefect", "__main__.py") or _is_module_call()


def asks_for_ours(argv: list[str]) -> bool:
    """True for `deployment run` of one of our deployments; without a server, Prefect would start an empty one."""
    return "run" in argv and not {f"{name}/{name}" for name in deployment_names()}.isdisjoint(argv)


def with_full_names(argv: list[str]) -> list[str]:
    """The command line with "build-mask-dataset/build-mask-dataset" for "build-mask-dataset" after `deployment run`."""
    words = list(argv)
    for at, word in enumerate(words[:-2]):
        if word in ("deployment", "deployments") and words[at + 1] in VERBS:
            known = deployment_names()
            for position in range(at + 2, len(words)):
                if words[position] in known:
                    words[position] = f"{words[position]}/{words[position]}"
                    break
            break
    return words


def _is_module_call() -> bool:
    original = getattr(sys, "orig_argv", [])
    return "-m" in original and original[original.index("-m") + 1 : original.index("-m") + 2] == ["prefect"]
