"""Training as a flow and as a deployment, on the shards that the data half made: killed and run again."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import torch
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from safetensors.torch import load_file

from mvideo.flows.train_mvideo import train_mvideo
from mvideo_core.base.errors import TrainError
from mvideo_core.base.options import read_yaml
from mvideo_core.cogvideox.adapter_files import LORA_FILE
from mvideo_core.training import main
from mvideo_core.training.options import TrainOptions
from tests.e2e.conftest import Material
from tests.e2e.harness import Trial, kill, until

BASE = {"weights": "random:tiny-sincos", "dtype": "fp32"}
TINY = {
    "steps": 12,
    "global_batch": 2,
    "micro_batch": 1,
    "base": BASE,
    "data": {"holdout": 0},
    "lora": {"rank": 4, "alpha": 2},
    "validation": {"every": 0},
    "samples": {"every": 0},
    "metrics": {"every": 1},
    "checkpoints": {"every": 2, "keep": 0},
}
"""Clips of the tiny videos are 96x64 and the tiny model's 64x32: `max_stretch` lets them through."""


def parameters(material: Material, out: Path, **overrides: Any) -> dict[str, Any]:
    return {
        "workspace": str(material.workspace),
        "out": str(out),
        "profile": "mini",
        "overrides": TINY | overrides,
        "latents": {"base": BASE, "max_stretch": 1.0},
    }


def adapter_digest(run: Path) -> str:
    newest = sorted((run / "checkpoints").iterdir())[-1]
    files = sorted(newest.rglob("*.safetensors"))
    assert [path.name for path in files if path.name == LORA_FILE], files
    digest = hashlib.sha256()
    for path in files:  # by tensors: safetensors writes the metadata fields of its header in any order
        for name, tensor in sorted(load_file(path).items()):
            digest.update(f"{path.name} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def test_a_killed_training_resumes_in_the_next_run_and_ends_as_an_undisturbed_one(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    """The flow runs here, its training in a child process, which is killed once."""
    out = tmp_path / "killed"

    def kill_once() -> None:
        until(lambda: any((out / "checkpoints").glob("*4")), 600, trial.tail, every_s=0.01)
        kill(int((out / ".lock").read_text()))

    killer = threading.Thread(target=kill_once)
    with trial.in_process():
        killer.start()
        with pytest.raises(TrainError):
            train_mvideo(**parameters(material, out))
        killer.join()
        assert not (out / "report.json").exists()
        assert train_mvideo(**parameters(material, out)).step == TINY["steps"]
    runs = trial.runs_of(out)
    assert [trial.wait(run, 60) for run in runs] == ["FAILED", "COMPLETED"]
    check_shown(trial, runs, out)
    check_same(out, tmp_path / "straight")
    names = trial.task_names(runs[-1], "train")
    assert any(name.startswith("encode part") and name.endswith("(reused)") for name in names), names


@pytest.mark.slow
def test_the_literal_command_killed_and_retried_trains_as_an_undisturbed_run(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    trial.stack.up(deploy=False)
    out = tmp_path / "killed"
    done = trial.prefect("deployment", "run", "train-mvideo", "--params", json.dumps(parameters(material, out)))
    assert done.returncode == 0, done.stdout + done.stderr + trial.tail()
    (run,) = trial.runs_of(out)
    until(lambda: any((out / "checkpoints").glob("*4")), 600, trial.tail, every_s=0.01)
    for pid in trial.engines(run):
        kill(pid)
    assert trial.wait(run, 300) == "CRASHED"
    assert not (out / "report.json").exists()
    trial.retry(run)
    assert trial.wait(run, 600, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    check_shown(trial, [run], out)
    check_same(out, tmp_path / "straight")
    names = trial.task_names(run, "train")
    assert any(name.startswith("encode part") and name.endswith("(reused)") for name in names), names


def check_same(out: Path, straight: Path) -> None:
    """The undisturbed run is of this process, with the options that the flow's run wrote down."""
    torch.set_num_threads(1)
    main.train(TrainOptions.parse(read_yaml(out / "options.yaml") | {"out": str(straight)}))
    assert adapter_digest(out) == adapter_digest(straight)


def check_shown(trial: Trial, runs: list[UUID], out: Path) -> None:
    """Every step once in the metrics, and the artifacts of encoding and training."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/loss" in line] == list(range(1, 13))
    assert json.loads((out / "report.json").read_text())["finished"] is True
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=runs))
    found = sorted(trial.client.read_artifacts(artifact_filter=mine), key=lambda artifact: artifact.created)
    artifacts = {artifact.key: artifact for artifact in found}  # the newest wins over the killed attempt
    assert {"encode-progress", "train-progress", "train-metrics", "train-report"} <= set(artifacts)
    assert artifacts["train-progress"].data == 100.0
    assert "data:image/svg+xml;base64," in str(artifacts["train-report"].data)
