"""`make chaos`: kill -9 of a run's processes at random; the dataset must come out the same.

First an uninterrupted run without a server. Then `build-mask-dataset` as a deployment, in rounds, while its processes
are killed: the flow's engine, workers, and the children that stages start (decoders, encoders, probes). Dead workers
are restarted, zombie runs corrected, crashed runs retried; nothing else is touched. After each round the dataset must
have the digest of the uninterrupted run, every key once, every byte as recorded. Ends with one line and
build/chaos.json.
"""

import argparse
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import FlowRun

from mvideo.deployments import _processes as processes
from mvideo.deployments._reap import retry_crashed
from mvideo.deployments.demo import make_videos
from mvideo.deployments.stack import Stack
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile, run_pipeline
from mvideo_core.shards.dataset import MaskVideoDataset, read_info
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.verify import verify_dataset
from mvideo_core.store.workspace import Workspace

ROOT = Path("build/chaos").resolve()
DEPLOYMENT = "build-mask-dataset/build-mask-dataset"
OVERRIDES = {"plan": {"part_size": 1}}
KINDS = ("engine", "child", "worker")
WEIGHTS = (5, 4, 2)


def main(argv: list[str] | None = None) -> int:
    """Run it; exit code 1 if a digest differs, a sample is lost or duplicated, or a run does not end."""
    given = _arguments(argv)
    draw = random.Random(given.seed)
    shutil.rmtree(ROOT / "state", ignore_errors=True)
    videos = ROOT / "videos"
    make_videos(videos, given.videos)
    expected = _run_unbroken(videos)
    _say(f"uninterrupted run: digest {expected['digest'][:16]}, {len(expected['keys'])} samples")
    stack = Stack(ROOT / "state", port=0, tied=True)
    stack.up()
    kills: Counter[str] = Counter()
    rounds: list[dict[str, Any]] = []
    try:
        while sum(kills.values()) < given.kills:
            result = _round(stack, videos, len(rounds), draw, kills, given)
            rounds.append(_judge(result, expected))
            _say(f"round {len(rounds)}: {rounds[-1]}, {sum(kills.values())} kills so far {dict(kills)}")
    finally:
        stack.down()
    return _finish(rounds, kills, expected)


def _run_unbroken(videos: Path) -> dict[str, Any]:
    shutil.rmtree(ROOT / "unbroken", ignore_errors=True)
    workspace = Workspace(str(ROOT / "unbroken"))
    run_pipeline(workspace, SourceOptions(folder=str(videos)), load_profile("mini", OVERRIDES))
    return _state(workspace)


def _round(
    stack: Stack, videos: Path, number: int, draw: random.Random, kills: Counter[str], given: argparse.Namespace
) -> Workspace:
    """One deployment run to its end, with kills at random times until the required number is reached."""
    folder = ROOT / f"round-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    run = _start_run(stack, folder, videos)
    deadline = time.monotonic() + given.round_s
    next_kill = time.monotonic() + draw.uniform(given.least_s, given.most_s)
    while time.monotonic() < deadline:
        with stack.client() as client:
            state = client.read_flow_run(run.id).state
            if state is not None and state.is_completed():
                return Workspace(str(folder))
            if state is not None and state.is_failed():
                raise SystemExit(f"the run failed in a way that no retry fixes:  {state.message}")
            retry_crashed(client, max_runs=10_000)
        if time.monotonic() > next_kill and sum(kills.values()) < given.kills:
            if (kind := _kill_one(stack, draw)) is not None:
                kills[kind] += 1
            next_kill = time.monotonic() + draw.uniform(given.least_s, given.most_s)
        wanted = {plan.name for plan in stack.plan_workers()} | {"server"}
        if wanted - {process.name for process in stack.find_running()}:
            stack.up(deploy=False)
        stack.reap()
        time.sleep(0.5)
    raise SystemExit(f"round {number} did not end in {given.round_s:.0f} s; logs in {stack.folder / 'logs'}")


def _start_run(stack: Stack, folder: Path, videos: Path) -> FlowRun:
    parameters = {
        "workspace": str(folder), "source": {"folder": str(videos)}, "profile": "mini", "overrides": OVERRIDES
    }  # fmt: skip
    with stack.client() as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        return client.create_flow_run_from_deployment(deployment.id, parameters=parameters)


def _kill_one(stack: Stack, draw: random.Random) -> str | None:
    """SIGKILL a random live process of a random kind; None if there is none of that kind."""
    found: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for member in processes.members(stack.folder):
        if "worker start" in member.command:
            found["worker"].append(member.pid)
        elif member.flow_run_id and "prefect" in member.command:
            found["engine"].append(member.pid)
        elif member.flow_run_id:
            found["child"].append(member.pid)
    kind = draw.choices(KINDS, WEIGHTS)[0]
    if not found[kind]:
        return None
    try:
        os.kill(draw.choice(sorted(found[kind])), signal.SIGKILL)
    except ProcessLookupError:
        return None
    return kind


def _state(workspace: Workspace) -> dict[str, Any]:
    """Digest, keys and problems of a workspace's dataset."""
    root = workspace.folder.at(workspace.pointer("dataset")["path"])  # type: ignore[index]
    info = read_info(DatasetFiles(root))
    keys = [str(key) for split in info.splits for key in MaskVideoDataset(root, split).keys]
    return {"digest": info.digest, "keys": sorted(keys), "problems": len(verify_dataset(root, deep=True))}


def _judge(workspace: Workspace, expected: dict[str, Any]) -> dict[str, Any]:
    found = _state(workspace)
    seen, wanted = Counter(found["keys"]), set(expected["keys"])
    return {
        "same_digest": found["digest"] == expected["digest"],
        "lost": len(wanted - seen.keys()),
        "twice": sum(count - 1 for count in seen.values()),
        "foreign": len(seen.keys() - wanted),
        "problems": found["problems"],
    }


def _finish(rounds: list[dict[str, Any]], kills: Counter[str], expected: dict[str, Any]) -> int:
    good = all(one["same_digest"] and not (one["lost"] or one["twice"] or one["problems"]) for one in rounds)
    total = sum(kills.values())
    result = {"kills": total, "by_kind": dict(kills), "rounds": rounds, "digest": expected["digest"], "ok": good}
    (ROOT.parent / "chaos.json").write_text(json.dumps(result, indent=1))
    lost, twice = (sum(one[what] for one in rounds) for what in ("lost", "twice"))
    verdict = "the same digest every time" if good else "DIFFERENT"
    _say(f"make chaos: {total} kills in {len(rounds)} rounds, {verdict}, {lost} lost, {twice} twice; build/chaos.json")
    return 0 if good else 1


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="minimum number of kill -9")
    parser.add_argument("--videos", type=int, default=3, help="rendered source videos")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is killed and when")
    parser.add_argument("--least-s", type=float, default=2.0, help="shortest time between two kills")
    parser.add_argument("--most-s", type=float, default=15.0, help="longest time between two kills")
    parser.add_argument("--round-s", type=float, default=3600.0, help="longest time one round may take")
    return parser.parse_args(argv)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
