"""Evaluation as a deployment: killed amid the videos, retried, nothing scored twice; broken videos counted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.media.encode import write_mp4
from tests.e2e.harness import Trial, kill, until

N_GOOD = 24
SUITE: dict[str, Any] = {
    "name": "e2e",
    "metrics": [
        {"metric": "temporal_flickering"},
        {"metric": "mask_miou", "options": {"segmenter": "sam2", "segmenter_options": {"weights": "./no-such-folder"}}},
    ],
}


def draw(folder: Path, n_good: int = N_GOOD) -> None:
    """Good videos of growing brightness steps, a text under a video's name, and a video cut short."""
    folder.mkdir()
    for number in range(n_good):
        frames = (np.full((240, 360, 3), 20 + (number % 5 + 1) * t, np.uint8) for t in range(33))
        write_mp4(frames, folder / f"good {number:02d}-0.mp4", 8)
    (folder / "text-0.mp4").write_text("no video at all")
    whole = (folder / "good 00-0.mp4").read_bytes()
    (folder / "cut-0.mp4").write_bytes(whole[: len(whole) // 2])


def scores(out: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every score file: another pair means it was written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("scores/*/*.json")}


@pytest.mark.slow
def test_kill_9_then_retry_scores_only_what_is_missing(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    videos, out = tmp_path / "videos", tmp_path / "out"
    draw(videos)
    values = {"manifests": [str(videos)], "out": str(out), "suite": "", "options": SUITE, "report": False}
    run = trial.start("evaluate-mvideo/evaluate-mvideo", values)
    until(lambda: len(scores(out)) >= 3, 600, trial.tail, every_s=0.01)
    for pid in trial.engines(run):
        kill(pid)
    assert trial.wait(run, 300) == "CRASHED"
    before = scores(out)
    assert 3 <= len(before) < N_GOOD
    trial.retry(run)
    assert trial.wait(run, 600, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    after = scores(out)
    assert {name: after[name] for name in before} == before
    result = json.loads((out / "result.json").read_text())
    assert "no-such-folder" in result["unavailable"]["mask_miou"]
    group = result["groups"][0]
    counts = group["metrics"]["temporal_flickering"]
    assert (counts["n"], counts["n_failed"], counts["n_missing"]) == (N_GOOD, 2, 0)
    assert "mask_miou" not in group["metrics"]
    straight = tmp_path / "straight"
    run_suite(make_plan(SuiteOptions.parse(SUITE), [str(videos)]), straight)
    for name in ("result.json", "rows.jsonl", "items.jsonl"):
        assert (straight / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.slow
def test_several_gpus_give_the_result_of_one(trial: Trial, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    videos, out = tmp_path / "videos", tmp_path / "out"
    draw(videos, n_good=6)
    values = {"manifests": [str(videos)], "out": str(out), "suite": "", "options": SUITE, "gpus": 2}
    run = trial.start("evaluate-mvideo/evaluate-mvideo", values)
    assert trial.wait(run, 400, "COMPLETED", "FAILED", "CRASHED") == "COMPLETED", trial.tail()
    assert sorted(path.name for path in (out / "parts").iterdir()) == ["0-of-2.json", "1-of-2.json"]
    run_suite(make_plan(SuiteOptions.parse(SUITE), [str(videos)]), tmp_path / "straight")
    for name in ("result.json", "rows.jsonl"):
        assert (tmp_path / "straight" / name).read_bytes() == (out / name).read_bytes()
    assert any((out / "report").rglob("*.html"))
