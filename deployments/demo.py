"""`make demo`: synthetic videos -> mask dataset -> short LoRA training -> videos from masks -> scores -> one page.

Starts a local Prefect server and workers, and runs two deployments with the commands a user would type: `prefect
deployment run build-mask-dataset` and `prefect deployment run reproduce-paper` (profile demo). Everything is under
build/demo. If interrupted, rerun it to resume. The last line says where the page is; build/demo.json has the figures. A
terminal gets one live line per stage and per training run; a log gets a line periodically. -v shows Prefect's events.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from mvideo.deployments._lines import LiveLines
from mvideo.deployments._watching import follow
from mvideo.deployments.stack import Stack
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.curation.pipeline import stage_rows
from mvideo_core.store.stage_counts import stage_status
from mvideo_core.store.workspace import Workspace

ROOT = Path("build/demo").resolve()
DATA, PAPER = "build-mask-dataset", "reproduce-paper"


def main(argv: list[str] | None = None) -> int:
    """Run the demo; exit code 1 if the flow run did not complete."""
    given = _arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    started = time.monotonic()
    videos = Path(given.folder).resolve() if given.folder else ROOT / "videos"
    stack = Stack(ROOT / "state", port=given.port, tied=not given.keep)
    if not given.folder:
        _say(f"1/5 rendering {given.videos} videos of the mini world into {_short(videos)}")
    with render_in_background(videos, 0 if given.folder else given.videos):
        _say("2/5 starting a Prefect server and workers on this machine")
        stack.up()
    try:
        _say(f"3/5 prefect deployment run {DATA}: videos -> cuts -> boxes -> masks -> captions -> shards")
        source = {"workspace": str(ROOT / "workspace"), "source": {"folder": str(videos)}, "profile": "mini"}
        code = run_deployment(stack, DATA, source, given.verbose)
        if not code and not given.data_only:
            _say(f"4/5 prefect deployment run {PAPER}: LoRA training, videos from masks, scores")
            mine = {"train": {"workspace": str(ROOT / "workspace")}}
            request = {"out": str(ROOT / "paper"), "profile": "demo", "overrides": mine}
            code = run_deployment(stack, PAPER, request, given.verbose)
    finally:
        if not given.keep:
            stack.down()
    if code:
        _say(f"the flow run did not complete; see {_short(stack.folder / 'logs')}, then `make demo` again to resume")
        return 1
    _say("5/5 results")
    _write_summary(ROOT / "workspace", None if given.data_only else ROOT / "paper", time.monotonic() - started)
    return 0


@contextmanager
def render_in_background(folder: Path, n_videos: int) -> Iterator[None]:
    """Render held-out videos of the mini world, two at a time, while the body runs. Existing videos are kept."""
    with ProcessPoolExecutor(max_workers=2) as pool:
        made = pool.map(_make_one, [str(folder)] * n_videos, range(n_videos))
        yield
        list(made)


def make_videos(folder: Path, n_videos: int) -> None:
    """Render videos as `render_in_background` does, and wait for them."""
    with render_in_background(folder, n_videos):
        pass


def run_deployment(stack: Stack, name: str, parameters: dict[str, Any], verbose: bool = False) -> int:
    """Run the command a user would type and follow its run to the end; returns its exit code.

    Args:
        verbose: show Prefect's own events instead of one line per stage.
    """
    label = f"{name}-{uuid.uuid4().hex[:8]}"
    command = [sys.executable, "-m", "prefect", "deployment", "run", name, "--flow-run-name", label]
    command += ["--params", json.dumps(parameters)]
    # The short name works through our startup hook, which prefect.toml turns on only in a checkout.
    environment = {**os.environ, **stack.settings, "PREFECT_API_URL": stack.url, "PREFECT_PLUGINS_ENABLED": "true"}
    if verbose:
        return subprocess.run([*command, "--watch", "--watch-interval", "5"], env=environment, check=False).returncode
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        _say(done.stdout + done.stderr)
        return done.returncode
    with stack.client() as client:
        (run,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=[label])))
        _say(f"    {stack.url.removesuffix('/api')}/runs/flow-run/{run.id}")
        state = follow(client, run.id, LiveLines(sys.stdout))
    if state.name != "Completed":
        _say(f"    {state.name}: {state.message}")
    return 0 if state.is_completed() else 1


def _make_one(folder: str, seed: int) -> None:
    from mvideo_core.miniworld.world.make import make_world

    make_world(folder, 1, seed=seed, n_shots=3)


def _write_summary(path: Path, paper: Path | None, seconds: float) -> None:
    workspace = Workspace(str(path))
    stages: dict[str, Any] = {}
    for name in stage_rows():
        state = stage_status(workspace, name)
        counts = {status: state.counts.get(status, 0) for status in ("ok", "filtered", "failed")}
        stages[name] = {**counts, "reasons": state.reasons, "seconds": state.seconds}
        _say(f"    {name:<8} {counts['ok']:>4} ok {counts['filtered']:>4} filtered {counts['failed']:>4} failed")
    dataset, report = workspace.pointer("dataset") or {}, workspace.pointer("report") or {}
    summary = {"seconds": round(seconds, 1), "stages": stages, "dataset": dataset, "report": report}
    _say(f"    dataset: {_short(path / dataset.get('path', ''))} (digest {dataset.get('digest', '')[:16]})")
    page = f"report: {_short(path / report.get('path', ''))}"
    if paper is not None:
        summary["paper"] = json.loads((paper / "tables" / "comparisons.json").read_text(encoding="utf-8"))
        means = json.loads((paper / "scores" / "results.json").read_text(encoding="utf-8"))["rows"]
        for line in score_lines(means):
            _say(f"    {line}")
        _say(f"    data {page}")
        page = f"page: {_short(paper / 'index.html')}"
    Path("build/demo.json").write_text(json.dumps(summary, indent=1))
    _say(f"make demo: done in {seconds:.0f} s; {page}")


def score_lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    """S_m of guided videos with its controls, one line per system and test set.

    Args:
        rows: of results.json: the mean of a system for a metric.
    """
    means = {(row["test_set"], row["system"], row["metric"]): row["mean"] for row in rows}
    for row in rows:
        test_set, system = row["test_set"], row["system"]
        if row["metric"] != "mini_mask_miou" or system == "base":
            continue
        names = [(system, ""), ("base", ""), (system, "_shuffled"), (system, "_source")]
        found = [means.get((test_set, name, f"mini_mask_miou{end}")) for name, end in names]
        masked, free, shuffled, source = ("not measured" if one is None else f"{one:.1f}" for one in found)
        yield (
            f"mask mIoU ({row['n']} videos): {masked} with masks, {free} without, {shuffled} with shuffled masks; "
            f"upper bound {source}"
        )


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mvideo.deployments.demo", description=__doc__)
    parser.add_argument("--folder", default="", help="your own folder of videos instead of rendered ones")
    parser.add_argument("--videos", type=int, default=3, help="rendered videos, three shots each")
    parser.add_argument("--data-only", action="store_true", help="stop after the dataset: no training, no generation")
    parser.add_argument(
        "--port", type=int, default=None, help="port of the Prefect server; any free one if it is taken"
    )
    parser.add_argument("--keep", action="store_true", help="leave server and workers running (mvideo server down)")
    parser.add_argument("-v", "--verbose", action="store_true", help="Prefect's own events instead of a line per stage")
    return parser.parse_args(argv)


def _short(path: Path) -> str:
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    with errors_in_one_line():
        sys.exit(main())
