"""Generation as a deployment, on masks of the dataset that the data half made: killed, retried, same bytes."""

from pathlib import Path
from typing import Any

from mvideo_core.generation.request import GenerateRequest, generate
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.store.workspace import Workspace
from tests.e2e.conftest import Material
from tests.e2e.harness import Trial, kill, until
from tests.mvideo_core.generation.conftest import tiny_adapter


def request(material: Material, adapter: Path) -> dict[str, Any]:
    """Masks and caption of a sample, held for five clips of 9 frames: after the first one a kill is early."""
    pointer = Workspace(str(material.workspace)).pointer("dataset")
    assert pointer is not None
    root = f"{material.workspace}/{pointer['path']}"
    return {
        "source": {"sample": f"{root}#{MaskVideoDataset(root).keys[0]}", "resample": {"n_clips": 5, "fit": "stretch"}},
        "base": {"weights": "random:tiny-sincos", "dtype": "fp32"},
        "adapter": str(adapter),
        "options": {"steps": 2, "seed": 5},
    }


def test_kill_9_then_retry_goes_on_at_the_missing_clip(trial: Trial, material: Material, tmp_path: Path) -> None:
    trial.stack.up(deploy=False)
    out, values = tmp_path / "video", request(material, tiny_adapter(tmp_path / "adapter"))
    run = trial.start("generate-video/generate-video", {"out": str(out), **values})
    until(lambda: (out / "clips" / "0000.mp4").exists(), 600, trial.tail, every_s=0.01)
    for pid in trial.engines(run):
        kill(pid)
    assert trial.wait(run, 300) == "CRASHED"
    trial.retry(run)
    assert trial.wait(run, 600, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    straight = generate(GenerateRequest.parse(values), str(tmp_path / "straight"))
    assert straight.clips == 5
    assert (out / "video.mp4").read_bytes() == Path(straight.video).read_bytes()
