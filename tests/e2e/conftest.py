"""One real server and worker for all tests of this folder, and drawn videos with tiny models."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from mvideo_core.base.options import read_yaml
from tests.e2e.harness import ENVIRONMENT, Trial
from tests.e2e.tiny import draw_videos, write_models, write_profile


class Material(NamedTuple):
    """Videos, a run profile for them, a workspace with what they give in an undisturbed run, its dataset's digest."""

    videos: Path
    profile: Path
    workspace: Path
    digest: str


@pytest.fixture(scope="package")
def trial(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Trial]:
    """The stack, with the project's own deployments and the toys; two polls a second would keep the server busy."""
    environment = tmp_path_factory.mktemp("environment") / "calm.yaml"
    environment.write_text(yaml.safe_dump({**read_yaml(Path(ENVIRONMENT)), "poll_s": 1}))
    with Trial(tmp_path_factory.mktemp("stack"), str(environment), database=prefect_database) as trial:
        for entrypoint in ("toy", "only_a", "only_b"):
            trial.register(f"tests/e2e/toy_flow.py:{entrypoint}")
        trial.register("tests/flows/ends_by_itself.py:ends_by_itself")
        trial.register("tests/e2e/toy_flow.py:neighbor", tags=())
        yield trial


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Three videos of two shots each, and what the pipeline makes of them without a server."""
    from mvideo_core.curation.ingest.sources import SourceOptions
    from mvideo_core.curation.pipeline import load_profile, run_pipeline
    from mvideo_core.store.workspace import Workspace

    folder = tmp_path_factory.mktemp("material")
    draw_videos(folder / "videos", 3)
    write_profile(folder / "tiny.yaml", write_models(folder / "models"))
    workspace = Workspace(str(folder / "reference"))
    run_pipeline(workspace, SourceOptions(folder=str(folder / "videos")), load_profile(str(folder / "tiny.yaml")))
    pointer = workspace.pointer("dataset")
    assert pointer is not None
    return Material(folder / "videos", folder / "tiny.yaml", folder / "reference", pointer["digest"])
