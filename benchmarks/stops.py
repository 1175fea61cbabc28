"""Times of a cancel and of a worker's death, stage by stage; and the dataset afterwards.

    python -m benchmarks.stops --rounds 10

Drawn videos, tiny models, a server and a worker. First an undisturbed run without a server. Then runs of
build-mask-dataset that are stopped at a random moment of each stage in turn, and retried:

* cancel: from the request until no process of the run is left, and until the server calls it Cancelled;
* kill: kill -9 of the worker, until no process of the run is left.

In the end every dataset must have the digest of the undisturbed run, with no failed row. Prints a table, writes
build/stops.json; exit code 1 when a digest differs.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from benchmarks.timing import spread
from mvideo_core.ingest.sources import SourceOptions
from mvideo_core.pipeline import PART_STAGES, load_profile, run_pipeline, stage_rows
from mvideo_core.store.workspace import Workspace
from tests.e2e.harness import Trial, kill, until
from tests.e2e.tiny import draw_videos, write_models, write_profile

ROOT = Path("build/stops").resolve()
DEPLOYMENT = "build-mask-dataset/build-mask-dataset"
LONG_S = 600.0
Took = dict[str, dict[str, list[float]]]
"""Seconds by kind of stop and stage."""
CLIP_FRAMES = 25
WITHIN_S = {"ingest": 0.1, "cut": 0.5, "detect": 0.3, "segment": 3.0, "caption": 0.1}
"""A stop comes at a random moment within so many seconds of the stage's first journaled batch."""


def main(argv: list[str] | None = None) -> int:
    """Run it."""
    given = _arguments(argv)
    draw = random.Random(given.seed)
    shutil.rmtree(ROOT, ignore_errors=True)
    profile, expected = _material(given.videos)
    took: Took = {how: {stage: [] for stage in PART_STAGES} for how in STOPS}
    digests: list[str] = []
    with Trial(ROOT / "state") as trial:
        for number in range(given.rounds):
            for how, stop in STOPS.items():
                workspace = ROOT / f"{how}-{number}"
                _round(trial, workspace, profile, draw, stop, took[how])
                digests.append(_dataset(workspace))
                print(f"{workspace.name}: {'same' if digests[-1] == expected else 'DIFFERENT'} digest", flush=True)
                _write(took, digests, expected)
                shutil.rmtree(workspace)
    return _finish(took, digests, expected)


def _material(n_videos: int) -> tuple[Path, str]:
    """Videos and a profile with clips long enough to be stopped inside one; the digest of an undisturbed run."""
    draw_videos(ROOT / "videos", n_videos, shot_s=(CLIP_FRAMES + 16) / 8)
    profile = ROOT / "tiny.yaml"
    write_profile(profile, write_models(ROOT / "models"), part_size=n_videos)
    values = yaml.safe_load(profile.read_text())
    values["cut"] |= {"max_frames": CLIP_FRAMES, "min_frames": CLIP_FRAMES}
    profile.write_text(yaml.safe_dump(values))
    run_pipeline(
        Workspace(str(ROOT / "undisturbed")), SourceOptions(folder=str(ROOT / "videos")), load_profile(str(profile))
    )
    return profile, _dataset(ROOT / "undisturbed")


def _dataset(path: Path) -> str:
    """Digest of the dataset and whether any row failed, which the dataset alone would not show."""
    workspace = Workspace(str(path))
    failed = [
        f"{stage} {row.key}: {row.message}"
        for stage, row_class in stage_rows().items()
        for row in workspace.current_rows(stage, row_class)
        if row.status == "failed"
    ]
    return (workspace.pointer("dataset") or {})["digest"] + "".join(f"; {line}" for line in failed)


def _round(
    trial: Trial,
    workspace: Path,
    profile: Path,
    draw: random.Random,
    stop: Callable[[Trial, UUID], float],
    took: dict[str, list[float]],
) -> None:
    """One run, stopped once in every stage."""
    values = {"workspace": str(workspace), "source": {"folder": str(ROOT / "videos")}, "profile": str(profile)}
    run = trial.start(DEPLOYMENT, values)
    for stage in PART_STAGES:
        if not _under_way(workspace, stage):
            print(f"{workspace.name}: {stage} was over before it could be stopped", flush=True)
            continue
        time.sleep(draw.uniform(0, WITHIN_S[stage]))
        took[stage].append(stop(trial, run))
        print(f"{workspace.name} {stage}: {took[stage][-1]:.1f} s", flush=True)
        trial.stack.up(deploy=False)
        trial.retry(run)
    assert trial.wait(run, LONG_S, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()


def _under_way(workspace: Path, stage: str) -> bool:
    """Wait until a stage has begun a batch; False when it is finished already."""

    def begun() -> bool:
        return any((workspace / "journal" / stage).glob("*.jsonl")) or _done(workspace, stage)

    until(begun, LONG_S, lambda: f"{stage} does not begin", every_s=0.01)
    return not _done(workspace, stage)


def _done(workspace: Path, stage: str) -> bool:
    return any((workspace / "done" / stage).glob("*.json"))


def _cancel(trial: Trial, run: UUID) -> float:
    from prefect.states import Cancelling

    began = time.monotonic()
    with trial.stack.client() as client:
        client.set_flow_run_state(run, Cancelling())
    until(lambda: not trial.engines(run), LONG_S, trial.tail, every_s=0.05)
    took_s = time.monotonic() - began
    assert trial.wait(run, LONG_S) == "CANCELLED", trial.tail()
    return took_s


def _kill(trial: Trial, run: UUID) -> float:
    began = time.monotonic()
    for pid in trial.workers():
        kill(pid)
    until(lambda: not trial.engines(run), LONG_S, trial.tail, every_s=0.05)
    took_s = time.monotonic() - began
    trial.stack.up(deploy=False)  # also puts the run right if it could not say itself that it ended
    trial.wait(run, LONG_S)
    return took_s


STOPS: dict[str, Callable[[Trial, UUID], float]] = {"cancel": _cancel, "kill": _kill}


def _write(took: Took, digests: list[str], expected: str) -> None:
    result: dict[str, Any] = {"same": digests.count(expected), "runs": len(digests), "seconds": took}
    ROOT.with_suffix(".json").write_text(json.dumps(result, indent=1))


def _finish(took: Took, digests: list[str], expected: str) -> int:
    print(f"{'stage':<8} {'cancel':>22} {'kill -9 of the worker':>24}")
    for stage in PART_STAGES:
        cells = [_cell(took[how][stage]) for how in ("cancel", "kill")]
        print(f"{stage:<8} {cells[0]:>22} {cells[1]:>24}")
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
    parser.add_argument("--videos", type=int, default=3, help="drawn source videos of two clips each")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which runs are stopped")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
