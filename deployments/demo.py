"""`make demo`: drawn videos -> Prefect server and workers -> `prefect deployment run build-mask-dataset` -> report.

Everything lies under build/demo. Interrupted, the same command goes on where it stopped. The last line says where the
report is; build/demo.json holds the same in numbers.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from deployments.stack import Stack
from mvideo_core.errors import MVideoError
from mvideo_core.pipeline import stage_rows
from mvideo_core.store.status import stage_status
from mvideo_core.store.workspace import Workspace

ROOT = Path("build/demo").resolve()
DEPLOYMENT = "build-mask-dataset"


def main(argv: list[str] | None = None) -> int:
    """Run the demo; exit code 1 when the flow run did not complete."""
    given = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    started = time.monotonic()
    videos = Path(given.folder).resolve() if given.folder else ROOT / "videos"
    if not given.folder:
        _say(f"1/4 drawing {given.videos} videos of the mini world into {_short(videos)}")
        make_videos(videos, given.videos)
    _say("2/4 starting a Prefect server and workers on this machine")
    stack = Stack(ROOT / "state", port=given.port, tied=not given.keep)
    stack.up()
    try:
        _say(f"    UI: {stack.url.removesuffix('/api')} (logs: {_short(stack.folder / 'logs')})")
        _say(f"3/4 prefect deployment run {DEPLOYMENT}")
        code = run_deployment(stack, ROOT / "workspace", videos)
    finally:
        if not given.keep:
            stack.down()
    if code:
        _say(f"the flow run did not complete; see {_short(stack.folder / 'logs')}, then `make demo` again goes on")
        return 1
    _say("4/4 what came out")
    _write_summary(ROOT / "workspace", time.monotonic() - started)
    return 0


def make_videos(folder: Path, n_videos: int) -> None:
    """Held-out videos of the mini world, two drawn at a time; those already there are kept."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        list(pool.map(_make_one, [str(folder)] * n_videos, range(n_videos)))


def run_deployment(stack: Stack, workspace: Path, videos: Path) -> int:
    """The literal command, with its run watched to the end; its exit code."""
    parameters = {"workspace": str(workspace), "source": {"folder": str(videos)}, "profile": "mini"}
    command = [sys.executable, "-m", "prefect", "deployment", "run", DEPLOYMENT]
    command += ["--params", json.dumps(parameters), "--watch", "--watch-interval", "5"]
    environment = {**os.environ, **stack.settings, "PREFECT_API_URL": stack.url}
    return subprocess.run(command, env=environment, check=False).returncode


def _make_one(folder: str, seed: int) -> None:
    from mvideo_core.world.make import make_world

    make_world(folder, 1, seed=seed, n_shots=3)


def _write_summary(path: Path, seconds: float) -> None:
    workspace = Workspace(str(path))
    stages: dict[str, Any] = {}
    for name in stage_rows():
        state = stage_status(workspace, name)
        counts = {status: state.counts.get(status, 0) for status in ("ok", "filtered", "failed")}
        stages[name] = {**counts, "reasons": state.reasons, "seconds": state.seconds}
        _say(f"    {name:<8} {counts['ok']:>4} ok {counts['filtered']:>4} filtered {counts['failed']:>4} failed")
    dataset, report = workspace.pointer("dataset") or {}, workspace.pointer("report") or {}
    summary = {"seconds": round(seconds, 1), "stages": stages, "dataset": dataset, "report": report}
    Path("build/demo.json").write_text(json.dumps(summary, indent=1))
    _say(f"    dataset: {_short(path / dataset.get('path', ''))} (digest {dataset.get('digest', '')[:16]})")
    _say(f"make demo: done in {seconds:.0f} s; report: {_short(path / report.get('path', ''))}")


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.demo", description=__doc__)
    parser.add_argument("--folder", default="", help="your own folder of videos instead of drawn ones")
    parser.add_argument("--videos", type=int, default=3, help="drawn videos, three shots each")
    parser.add_argument("--port", type=int, default=None, help="of the Prefect server; any free one if it is taken")
    parser.add_argument("--keep", action="store_true", help="leave server and workers running (mvideo server down)")
    return parser.parse_args(argv)


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MVideoError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None
