"""Times of a cancellation, a killed worker and a signal, stage by stage; and a check of the dataset afterwards.

    python -m benchmarks.stops --rounds 10

Rendered videos and tiny models. First an undisturbed run. Then runs that are stopped at a random moment of each stage
in turn and resumed:

* cancel: `build-mask-dataset` on a server, from the request until the run's process is gone;
* kill: the same, from kill -9 of its worker;
* signal: `mvideo run`, SIGINT or SIGTERM in turn to its whole process group, until no process is left.

In the end every dataset must have the digest of the undisturbed run, with no failed row. Prints a table, writes
build/stops.json after every run; exit code 1 if a digest differs.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import yaml
from prefect.states import Cancelling

from benchmarks.timing import spread
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import PART_STAGES, load_profile, run_pipeline, stage_rows
from mvideo_core.store.workspace import Workspace
from tests.e2e.harness import Trial, kill, until
from tests.e2e.tiny import draw_videos, write_models, write_profile

ROOT = Path("build/stops").resolve()
DEPLOYMENT = "build-mask-dataset/build-mask-dataset"
LONG_S = 600.0
TWICE_S = 10.0
"""Prefect's runner may act on a cancel twice, seconds apart, and would end a run that was retried in between."""
KINDS = ("cancel", "kill", "signal")
Took = dict[str, dict[str, list[float]]]
"""Seconds by kind of stop and stage."""
CLIP_FRAMES = 25
WITHIN_S = {"ingest": 0.1, "cut": 0.5, "clean": 0.1, "detect": 0.3, "segment": 3.0, "caption": 0.1}
"""A stop comes at a random moment within this many seconds of the stage's first journaled batch."""


def main(argv: list[str] | None = None) -> int:
    """Run it."""
    given = _arguments(argv)
    draw = random.Random(given.seed)
    shutil.rmtree(ROOT, ignore_errors=True)
    profile, expected = _material(given.videos)
    took: Took = {how: {stage: [] for stage in PART_STAGES} for how in given.kinds}
    digests: list[str] = []
    with ExitStack() as held:
        trial = held.enter_context(Trial(ROOT / "state")) if {"cancel", "kill"} & set(given.kinds) else None
        for number in range(given.rounds):
            for how in given.kinds:
                workspace = ROOT / f"{how}-{number}"
                run = (
                    Command(workspace, profile)
                    if trial is None or how == "signal"
                    else Deployed(trial, how, workspace, profile)
                )
                _round(run, workspace, draw, took[how])
                digests.append(_dataset(workspace))
                print(f"{workspace.name}: {'same' if digests[-1] == expected else 'DIFFERENT'} digest", flush=True)
                _write(took, digests, expected)
                shutil.rmtree(workspace)
    return _finish(took, digests, expected)


def _material(n_videos: int) -> tuple[Path, str]:
    """Videos and their profile; the digest of an undisturbed run."""
    draw_videos(ROOT / "videos", n_videos, shot_s=(CLIP_FRAMES + 16) / 8)
    profile = ROOT / "tiny.yaml"
    write_long_profile(profile, write_models(ROOT / "models"), n_videos)
    run_pipeline(
        Workspace(str(ROOT / "undisturbed")), SourceOptions(folder=str(ROOT / "videos")), load_profile(str(profile))
    )
    return profile, _dataset(ROOT / "undisturbed")


def write_long_profile(path: Path, models: dict[str, str], n_videos: int) -> None:
    """A profile with every stage, and with clips long enough to be stopped inside one."""
    write_profile(path, models, part_size=n_videos)
    values = yaml.safe_load(path.read_text())
    values["cut"] |= {"max_frames": CLIP_FRAMES, "min_frames": CLIP_FRAMES}
    values["clean"] = {"filters": {"frozen": {}}}
    path.write_text(yaml.safe_dump(values))


def _dataset(path: Path) -> str:
    """Digest of the dataset, and whether any row failed, which the dataset alone would not show."""
    workspace = Workspace(str(path))
    failed = [
        f"{stage} {row.key}: {row.message}"
        for stage, row_class in stage_rows().items()
        for row in workspace.current_rows(stage, row_class)
        if row.status == "failed"
    ]
    return (workspace.pointer("dataset") or {})["digest"] + "".join(f"; {line}" for line in failed)


class Run(Protocol):
    """One run, started on construction."""

    def stop(self) -> float:
        """Stop it; returns the seconds until no process of it is left."""

    def resume(self) -> None:
        """Start it again."""

    def finish(self) -> None:
        """Wait for its end, which must be a success."""


class Deployed:
    """A run of the deployment.

    Args:
        how: "cancel" or "kill".
    """

    def __init__(self, trial: Trial, how: str, workspace: Path, profile: Path):
        self.trial, self.how = trial, how
        values = {"workspace": str(workspace), "source": {"folder": str(ROOT / "videos")}, "profile": str(profile)}
        self.run: UUID = trial.start(DEPLOYMENT, values)

    def stop(self) -> float:
        """By a cancel, or by kill -9 of the worker. Not counted: the process in which a worker then looks for hooks."""
        engines = set(self.trial.engines(self.run))
        began = time.monotonic()
        if self.how == "cancel":
            with self.trial.stack.client() as client:
                client.set_flow_run_state(self.run, Cancelling())
        else:
            for pid in self.trial.workers():
                kill(pid)
        until(lambda: engines.isdisjoint(self.trial.engines(self.run)), LONG_S, self.trial.tail, every_s=0.05)
        return time.monotonic() - began

    def resume(self) -> None:
        """Bring the worker back, which also marks a run that could not report its end; retry."""
        self.trial.stack.up(deploy=False)
        self.trial.wait(self.run, LONG_S)
        if self.how == "cancel":
            time.sleep(TWICE_S)
        self.trial.retry(self.run)

    def finish(self) -> None:
        """Wait until it is Completed."""
        assert self.trial.wait(self.run, LONG_S, "COMPLETED", "FAILED") == "COMPLETED", self.trial.tail()


class Command:
    """`mvideo run` in its own process group."""

    def __init__(self, workspace: Path, profile: Path):
        words = ["run", "-w", str(workspace), "--folder", str(ROOT / "videos"), "-p", str(profile)]
        self.argv = [sys.executable, "-m", "mvideo_core.cli.main", *words]
        self.signals = itertools.cycle((signal.SIGINT, signal.SIGTERM))
        self.resume()

    def stop(self) -> float:
        """By a signal to the whole group, as sent by Ctrl-C or a service manager."""
        began = time.monotonic()
        os.killpg(self.process.pid, next(self.signals))
        self.process.wait(LONG_S)
        until(lambda: not _group(self.process.pid), LONG_S, lambda: "a process is left", every_s=0.02)
        return time.monotonic() - began

    def resume(self) -> None:
        """Run the same command again."""
        self.process = subprocess.Popen(
            self.argv, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def finish(self) -> None:
        """Wait until it ends with 0, or 3 for a dataset with warnings."""
        assert self.process.wait(LONG_S) in (0, 3)


def _group(group: int) -> bool:
    """Whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _round(run: Run, workspace: Path, draw: random.Random, took: dict[str, list[float]]) -> None:
    """One run, stopped once in every stage."""
    for stage in PART_STAGES:
        if not _under_way(workspace, stage):
            print(f"{workspace.name}: {stage} was over before it could be stopped", flush=True)
            continue
        time.sleep(draw.uniform(0, WITHIN_S[stage]))
        took[stage].append(run.stop())
        print(f"{workspace.name} {stage}: {took[stage][-1]:.1f} s", flush=True)
        run.resume()
    run.finish()


def _under_way(workspace: Path, stage: str) -> bool:
    """Wait until a stage has started a batch; False if it has already finished."""

    def has_begun() -> bool:
        return any((workspace / "journal" / stage).glob("*.jsonl")) or _is_done(workspace, stage)

    until(has_begun, LONG_S, lambda: f"{stage} does not start", every_s=0.01)
    return not _is_done(workspace, stage)


def _is_done(workspace: Path, stage: str) -> bool:
    return any((workspace / "done" / stage).glob("*.json"))


def _write(took: Took, digests: list[str], expected: str) -> None:
    result: dict[str, Any] = {"same": digests.count(expected), "runs": len(digests), "seconds": took}
    ROOT.with_suffix(".json").write_text(json.dumps(result, indent=1))


def _finish(took: Took, digests: list[str], expected: str) -> int:
    print("stage   " + "".join(f"{how:>28}" for how in took))
    for stage in PART_STAGES:
        print(f"{stage:<8}" + "".join(f"{_cell(took[how][stage]):>28}" for how in took))
    for digest in sorted(set(digests) - {expected}):
        print(f"DIFFERENT: {digest}")
    print(f"stops: {digests.count(expected)} of {len(digests)} datasets equal the undisturbed one; build/stops.json")
    return 0 if digests.count(expected) == len(digests) else 1


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    found = spread(values)
    return f"{found.median:.1f} s, worst {found.high:.1f} s ({len(values)})"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stops", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="stops of each kind per stage")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of stops; default: all")
    parser.add_argument("--videos", type=int, default=3, help="rendered source videos with two clips each")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments at which runs are stopped")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
