"""docs/reference/environment.md: environment variables, and which of them the code reads."""

import ast
import importlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.reference import HEADER, REPOSITORY, cell, code, table

PRODUCT = ("mvideo_core", "deployments", "flows", "tasks")

INTRODUCTION = f"""{HEADER}
# Environment variables

An API key has no variable of its own: `caption.captioner_options.api_key_env` names the variable that holds it.
"""

READ = {
    "MVIDEO_WEIGHTS": ("`~/.cache/mvideo/weights`", "folder of public weights, one folder per model"),
    "MVIDEO_FFMPEG": ("that of imageio-ffmpeg, otherwise `ffmpeg` of PATH", "path of an ffmpeg, version 9 or newer"),
    "MVIDEO_CPU_KERNELS": (
        "AVX2",
        "`native` allows the fastest kernels of this processor; the bits of results then depend on the processor",
    ),
    "ONEDNN_MAX_CPU_ISA": ("`AVX2`", "kernels of oneDNN; set unless MVIDEO_CPU_KERNELS is `native`"),
    "MVIDEO_STATE": ("`~/.mvideo`", "state folder of `mvideo server`: database, logs, list of processes"),
    "MVIDEO_ROOT": (
        "the checkout, or `~/mvideo` for an installed package",
        "folder on the worker's host against which relative paths in run parameters are resolved",
    ),
    "MVIDEO_STACK": ("set by `mvideo server up`", "state folder, in every process it starts; `down` finds them by it"),
    "MVIDEO_LAUNCHED": ("set by `mvideo train run`", "marks training processes that the launcher started"),
    "PREFECT_API_URL": ("the server that `mvideo server up` started", "Prefect server of commands and workers"),
    "PREFECT__FLOW_RUN_ID": ("set by Prefect", "flow run of a process; `mvideo server down` and `reap` read it"),
    "HF_ENDPOINT": ("the public hub", "hub that `mvideo weights fetch` uses, such as a mirror"),
    "CUDA_VISIBLE_DEVICES": ("every GPU", "GPUs that a process may use; set for GPU workers"),
    "XDG_CACHE_HOME": ("`~/.cache`", "contains `mvideo/digests`, the SHA-256 of large weight files"),
    "VBENCH_CACHE_DIR": ("`~/.cache/vbench`", "weights of the vbench package (`mvideo eval vbench`)"),
    "HOME": ("of the user's entry in passwd", "a user without one gets `mvideo-home-UID` in the temporary folder"),
    "LOGNAME": ("", "names the user; if none of LOGNAME, USER, LNAME, USERNAME is set, USER is set to `uidUID`"),
    "USER": ("", "see LOGNAME"),
    "LNAME": ("", "see LOGNAME"),
    "USERNAME": ("", "see LOGNAME"),
    "RANK": ("set by torchrun", "number of a training process"),
    "LOCAL_RANK": ("set by torchrun", "its number on this host, which chooses the GPU"),
    "WORLD_SIZE": ("set by torchrun", "number of training processes"),
    "TORCHELASTIC_RUN_ID": ("set by torchrun", "a process with this variable ends with its torchrun"),
}  # fmt: skip
"""Variables that this project's code reads: default, meaning."""

LIBRARIES = {
    "HF_HOME": ("huggingface_hub", "its cache, from which `mvideo weights fetch` takes files"),
    "HF_HUB_CACHE": ("huggingface_hub", "the same, for the cache of repositories only"),
    "HF_TOKEN": ("huggingface_hub", "token for gated and private repositories"),
    "HF_HUB_OFFLINE": ("huggingface_hub", "`1`: take everything from the cache"),
    "HTTPS_PROXY": ("httpx", "proxy for https; captions, weights"),
    "HTTP_PROXY": ("httpx", "proxy for http"),
    "ALL_PROXY": ("httpx", "proxy for both"),
    "NO_PROXY": ("httpx", "hosts that are contacted without a proxy"),
    "OMP_NUM_THREADS": ("torch", "CPU threads of one process; set when several processes run in parallel"),
    "ATEN_CPU_CAPABILITY": ("torch", "set to `avx2` unless it is set already or MVIDEO_CPU_KERNELS is `native`"),
    "MKL_CBWR": ("MKL", "set to `AVX2`, likewise"),
    "WANDB_MODE": ("wandb", "`offline`: Weights & Biases keeps the metrics in the run folder"),
    "PREFECT_PLUGINS_ENABLED": ("Prefect", "`1`: short names of deployments outside the checkout"),
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": ("Prefect", "PostgreSQL for the server"),
    "PREFECT_SERVER_API_AUTH_STRING": ("Prefect", "password of the server"),
    "PREFECT_API_AUTH_STRING": ("Prefect", "password that clients send"),
    "RAY_AUTH_MODE": ("Ray", "`disabled`: no token is written"),
    "RAY_USAGE_STATS_ENABLED": ("Ray", "`0`: no statistics are sent"),
}
"""Variables of libraries that the docs name or the code sets: library, meaning."""

TESTS = {"MVIDEO_VBENCH_PYTHON": "Python of an environment with the vbench package, for tests marked `vbench`"}


class Read(NamedTuple):
    """One place where the environment is read: names; none where an option holds the name."""

    file: str
    line: int
    names: tuple[str, ...]


def variables_page() -> str:
    """The whole page."""
    ours = [(code(name), default, cell(meaning)) for name, (default, meaning) in READ.items()]
    theirs = [(code(name), library, cell(meaning)) for name, (library, meaning) in LIBRARIES.items()]
    tests = [(code(name), cell(meaning)) for name, meaning in TESTS.items()]
    return (
        f"{INTRODUCTION}\n## Read by MVideo\n\n{table(('Variable', 'Default', 'Meaning'), ours)}"
        f"\n## Read by libraries\n\n{table(('Variable', 'Library', 'Meaning'), theirs)}"
        f"\n## Read by tests\n\n{table(('Variable', 'Meaning'), tests)}"
    )


def reads() -> Iterator[Read]:
    """Every read of the environment in the product packages, found in their syntax trees."""
    for package in PRODUCT:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield from reads_of(path.read_text(encoding="utf-8"), str(path.relative_to(REPOSITORY)))


def reads_of(source: str, file: str) -> Iterator[Read]:
    """The same of one file."""
    if "environ" not in source and "getenv" not in source:
        return
    tree = ast.parse(source)
    aliases = {"os.environ"} | {name for node in ast.walk(tree) for name in _aliases(node)}
    for node in ast.walk(tree):
        for key in _keys(node, aliases):
            yield Read(file, node.lineno, _names(key, tree, file))  # type: ignore[attr-defined]


def _aliases(node: ast.AST) -> list[str]:
    """Parameters whose default is os.environ."""
    if not isinstance(node, ast.FunctionDef):
        return []
    with_default = node.args.args[len(node.args.args) - len(node.args.defaults) :]
    pairs = zip(with_default, node.args.defaults, strict=True)
    return [argument.arg for argument, default in pairs if ast.unparse(default) == "os.environ"]


def _keys(node: ast.AST, aliases: set[str]) -> list[ast.expr]:
    """Expressions of the names that this node reads."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        receiver, _, method = called.rpartition(".")
        if called == "os.getenv" or (receiver in aliases and method in ("get", "pop")):
            return [node.args[0]]
        if called == "_values" and ast.unparse(node.args[0]) == "pid":  # of another process: deployments/_processes.py
            return [node.args[1]]
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and ast.unparse(node.value) in aliases:
        return [node.slice]
    if isinstance(node, ast.Compare) and any(ast.unparse(one) in aliases for one in node.comparators):
        return [node.left]
    return []


def _names(key: ast.expr, tree: ast.Module, file: str) -> tuple[str, ...]:
    """Values of an expression: a text, a constant of its module, or a loop variable over constants."""
    if isinstance(key, ast.Constant):
        return (str(key.value),)
    name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = importlib.import_module(name if name.startswith("mvideo_core") else f"mvideo.{name}")
    word = ast.unparse(key)
    if hasattr(module, word):
        return (str(getattr(module, word)),)
    for scope in ast.walk(tree):
        loops = [loop for loop in getattr(scope, "generators", []) if key in ast.walk(scope)]
        for loop in loops:
            names: list[Any] = [one.id for one in ast.walk(loop.target) if isinstance(one, ast.Name)]
            if word in names:
                values = eval(ast.unparse(loop.iter), vars(module))  # our own source
                return tuple(one if isinstance(one, str) else one[names.index(word)] for one in values)
    return ()
