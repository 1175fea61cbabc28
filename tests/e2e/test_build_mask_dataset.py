"""The real stages, server, worker and deployment over drawn videos."""

import json
import signal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import LogSort

from mvideo_core.curation.pipeline import PART_STAGES, stage_rows
from mvideo_core.store.verify import verify_stage
from mvideo_core.store.workspace import Workspace
from tests.e2e.conftest import Material
from tests.e2e.harness import Trial, kill, until

NEWEST = LogSort.TIMESTAMP_DESC


def parameters(workspace: Path, material: Material) -> dict[str, Any]:
    return {
        "workspace": str(workspace),
        "source": {"folder": str(material.videos)},
        "profile": str(material.profile),
    }


def check_dataset(path: Path, material: Material) -> None:
    """The same dataset as without a server; every item once; every file as recorded. A kill right after a commit may
    leave the part's journal, which `gc` removes; a journal of an unfinished part would be work that was lost.
    """
    workspace = Workspace(str(path))
    pointer = workspace.pointer("dataset")
    assert pointer is not None
    assert pointer["digest"] == material.digest
    for stage, row_class in stage_rows().items():
        assert list(verify_stage(workspace, stage, row_class, deep=True)) == []
        keys = [row.key for row in workspace.current_rows(stage, row_class)]
        assert len(keys) == len(set(keys))
    for journal in (path / "journal").rglob("*.jsonl"):
        assert workspace.marker(journal.parent.name, journal.stem) is not None, journal


def check_shown(trial: Trial, run: UUID, path: Path) -> None:
    """The artifacts of a run, the newest of each name, and its lines in the logs tab."""
    mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
    found = sorted(trial.client.read_artifacts(artifact_filter=mine), key=lambda artifact: artifact.created)
    artifacts = {artifact.key: artifact for artifact in found}
    assert trial.read(run).state_name == "Completed"
    assert {f"{stage}-progress" for stage in (*PART_STAGES, "shard") if stage != "clean"} <= set(artifacts)
    assert {"funnel", "overlays", "report"} <= set(artifacts)
    assert artifacts["cut-progress"].data == 100.0
    funnel = {line["stage"]: line for line in json.loads(artifacts["funnel"].data)}
    assert (funnel["ingest"]["entered"], funnel["cut"]["kept"]) == (3, 6)
    assert str(artifacts["overlays"].data).count("(data:image/jpeg;base64,") == 6
    page = (Workspace(str(path)).pointer("report") or {})["path"]
    assert page in str(artifacts["report"].data)
    own = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run]))

    def logged() -> bool:
        """Our own lines reach the server in batches; a part that an earlier attempt finished has none."""
        found = [*trial.client.read_logs(own, limit=200), *trial.client.read_logs(own, limit=200, sort=NEWEST)]
        lines = [f"{line.name}: {line.message}" for line in found]
        return all(
            any(line.startswith(words) for line in lines)
            for words in (
                "mvideo.flows.build_mask_dataset: plan: 3 sources in ",
                "mvideo_core.engine.part: shard part 0: ",
            )
        )

    until(logged, 60, trial.tail)


def literal_command(path: Path, material: Material) -> list[str]:
    values = json.dumps(parameters(path, material))
    return ["deployment", "run", "build-mask-dataset", "--params", values, "--watch"]


@pytest.mark.slow
def test_the_literal_command_ends_with_a_dataset_and_its_report(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    path = tmp_path / "ws"
    done = trial.prefect(*literal_command(path, material))
    assert done.returncode == 0, done.stdout + done.stderr + trial.tail()
    check_dataset(path, material)
    (run,) = trial.runs_of(path)
    check_shown(trial, run, path)


def test_the_literal_command_killed_with_9_then_its_worker_stopped_then_retried(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    """The dataset and what the run shows are those of an undisturbed run."""
    path = tmp_path / "ws"
    command = trial.begin(*literal_command(path, material))
    until(lambda: any((path / "done" / "ingest").glob("*.json")), 600, trial.tail, every_s=0.02)
    (run,) = trial.runs_of(path)
    for pid in trial.engines(run):
        kill(pid)
    assert trial.wait(run, 300) == "CRASHED"
    said, errors = command.communicate(timeout=120)
    assert command.returncode != 0, said + errors
    done = trial.prefect("flow-run", "retry", str(run))
    assert done.returncode == 0, done.stdout + done.stderr

    until(lambda: any((path / "done" / "cut").glob("*.json")), 600, trial.tail, every_s=0.02)
    for pid in trial.workers():
        kill(pid, signal.SIGTERM)
    until(lambda: not trial.workers() and not trial.engines(run), 240, trial.tail)
    assert (
        trial.wait(run, 20, "RUNNING", "COMPLETED") == "RUNNING"
    )  # a zombie: nothing works for it, and it cannot be retried
    trial.stack.up(deploy=False)
    assert trial.wait(run, 60) == "CRASHED"

    trial.retry(run)
    assert trial.wait(run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    check_dataset(path, material)
    check_shown(trial, run, path)
    names = trial.task_names(run)
    assert any(name.startswith("ingest part") and name.endswith("(reused)") for name in names), names


@pytest.mark.slow
def test_a_second_run_reuses_everything_and_one_changed_option_only_its_stages(
    trial: Trial, material: Material, tmp_path: Path
) -> None:
    from mvideo_core.curation.ingest.sources import SourceOptions
    from mvideo_core.curation.pipeline import load_profile, run_pipeline

    trial.stack.up(deploy=False)
    path = tmp_path / "ws"
    run_pipeline(
        Workspace(str(path)), SourceOptions(folder=str(material.videos)), load_profile(str(material.profile))
    )  # what the CLI does; the deployment continues from it
    values = parameters(path, material) | {"overrides": {"caption": {"max_tokens": 100}}}
    run = trial.start("build-mask-dataset/build-mask-dataset", values)
    assert trial.wait(run, 900, "COMPLETED", "FAILED") == "COMPLETED", trial.tail()
    names = trial.task_names(run)
    for stage in ("ingest", "cut", "detect", "segment"):
        assert [name for name in names if name.startswith(f"{stage} part") and "(reused)" not in name] == []
    assert [name for name in names if name.startswith("caption part") and "(reused)" not in name] != []
