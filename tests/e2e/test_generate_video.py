"""Generation as a flow and as a deployment, on masks of the dataset that the data half made."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from mvideo.flows.generate_video import generate_video
from mvideo_core.generation.request import GenerateRequest, generate
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.store.workspace import Workspace
from tests.e2e.conftest import Material
from tests.e2e.harness import Trial, kill, until
from tests.mvideo_core.generation.conftest import tiny_adapter


def request(material: Material, adapter: Path, n_clips: int) -> dict[str, Any]:
    """Masks and caption of a sample, held for so many clips of 9 frames."""
    pointer = Workspace(str(material.workspace)).pointer("dataset")
    assert pointer is not None
    root = f"{material.workspace}/{pointer['path']}"
    return {
        "source": {
            "sample": f"{root}#{MaskVideoDataset(root).keys[0]}",
            "resample": {"n_clips": n_clips, "fit": "stretch"},
        },
        "base": {"weights": "random:tiny-sincos", "dtype": "fp32"},
        "adapter": str(adapter),
        "options": {"steps": 2, "seed": 5},
    }


def test_a_flow_run_makes_the_video_of_the_request_and_shows_where_it_is(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    out, values = tmp_path / "video", request(material, tiny_adapter(tmp_path / "adapter"), 2)
    with trial.in_process():
        made = generate_video(out=str(out), **values)
    straight = generate(GenerateRequest.parse(values), str(tmp_path / "straight"))
    assert made.clips == straight.clips == 2
    assert (out / "video.mp4").read_bytes() == Path(straight.video).read_bytes()
    (run,) = trial.runs_of(out)
    assert trial.wait(run, 60) == "COMPLETED"
    shown = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    pages = {page.key: str(page.data) for page in trial.client.read_artifacts(artifact_filter=shown)}
    assert f"Video: `{out / 'video.mp4'}`" in pages["generated-video"]


@pytest.mark.slow
def test_kill_9_then_retry_goes_on_at_the_missing_clip(trial: Trial, material: Material, tmp_path: Path) -> None:
    """With five clips, a kill after the first one is early."""
    trial.stack.up(deploy=False)
    out, values = tmp_path / "video", request(material, tiny_adapter(tmp_path / "adapter"), 5)
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
