"""Parts of an evaluation as runs of its deployment: who scores what when workers are absent, slow or dead."""

import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.states import Completed, Crashed, Failed, Running

from mvideo.flows import _evaluation, _shared_jobs
from mvideo.flows._evaluation import score_parts
from mvideo.flows.evaluate_mvideo import evaluate_mvideo
from mvideo_core.base.errors import StoreError
from mvideo_core.evaluation.plan import Part
from mvideo_core.evaluation.request import EvaluateRequest
from mvideo_core.evaluation.result import collect
from mvideo_core.evaluation.run import run_suite, score_part
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.media.encode import write_mp4

pytestmark = pytest.mark.usefixtures("prefect_server")

N_PARTS = 2


@pytest.fixture(autouse=True)
def deployment(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deployment is there, and nobody works on it."""
    monkeypatch.setattr(_shared_jobs, "POLL_S", 0.2)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(evaluate_mvideo)
        client.create_deployment(flow_id=flow_id, name="evaluate-mvideo")


@pytest.fixture
def request_of_two(tmp_path: Path) -> EvaluateRequest:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(3):
        write_mp4((np.full((32, 48, 3), 40 + number * t, np.uint8) for t in range(5)), folder / f"v{number}-0.mp4", 8)
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}]})
    return EvaluateRequest(manifests=(str(folder),), out=str(tmp_path / "out"), suite=suite)


def asking(request: EvaluateRequest, times: int = 1) -> None:
    """A flow run that scores all parts, as often as said: again = as after a kill and a retry."""

    @flow(name="asks")
    def asks() -> list[int]:
        return [score_parts(request, N_PARTS) for _ in range(times)]

    assert asks() == [N_PARTS] * times


def runs_of(client: SyncPrefectClient, request: EvaluateRequest) -> list[Any]:
    """Runs of this request's further parts, the oldest first."""
    found = [run for run in client.read_flow_runs() if run.parameters.get("out") == request.out]
    return sorted(found, key=lambda run: run.expected_start_time)


class Fate(threading.Thread):
    """A worker's place: takes the first run of a further part before anybody scores, then lets it end."""

    def __init__(self, request: EvaluateRequest, monkeypatch: pytest.MonkeyPatch, end: State[Any], scores: bool):
        super().__init__(daemon=True)
        self.request, self.end, self.scores = request, end, scores
        self.begun, self.own_parts = threading.Event(), []
        score = _evaluation.score

        def own(asked: EvaluateRequest, part: str) -> dict[str, str]:
            self.own_parts.append(part)
            self.begun.wait(60)
            return score(asked, part)

        monkeypatch.setattr(_evaluation, "score", own)
        self.start()

    def run(self) -> None:
        with get_client(sync_client=True) as client:
            while not (runs := runs_of(client, self.request)):
                time.sleep(0.1)
            taken: UUID = runs[0].id
            client.set_flow_run_state(taken, Running(), force=True)
            self.begun.set()
            if self.scores:
                score_part(self.request.plan(), Part(1, N_PARTS), self.request.out)
            time.sleep(0.5)
            client.set_flow_run_state(taken, self.end, force=True)


def test_a_part_that_no_worker_begins_is_taken_back(request_of_two: EvaluateRequest, tmp_path: Path) -> None:
    asking(request_of_two)
    with get_client(sync_client=True) as client:
        (run,) = runs_of(client, request_of_two)
    assert (run.name, run.parameters["part"]) == ("score part 1 of 2", "1/2")
    assert (run.state.type.value, run.state.message) == ("CANCELLED", "done by the run that requested it")
    collect(request_of_two.plan(), N_PARTS, request_of_two.out)
    run_suite(request_of_two.plan(), tmp_path / "straight")
    name = "result.json"
    assert (tmp_path / "straight" / name).read_bytes() == (Path(request_of_two.out) / name).read_bytes()


def test_a_part_whose_run_crashed_is_scored_by_the_run_that_asked(
    request_of_two: EvaluateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    fate = Fate(request_of_two, monkeypatch, Crashed(message="the host is gone"), scores=False)
    asking(request_of_two)
    assert fate.own_parts == ["0/2", "1/2"]
    with get_client(sync_client=True) as client:
        assert [run.state.type.value for run in runs_of(client, request_of_two)] == ["CRASHED"]


def test_a_part_that_a_worker_finished_is_neither_scored_nor_asked_for_again(
    request_of_two: EvaluateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    fate = Fate(request_of_two, monkeypatch, Completed(), scores=True)
    asking(request_of_two, times=2)
    assert fate.own_parts == ["0/2", "0/2"]
    with get_client(sync_client=True) as client:
        assert len(runs_of(client, request_of_two)) == 1


def test_a_finished_part_whose_video_changed_is_scored_again(
    request_of_two: EvaluateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    fate = Fate(request_of_two, monkeypatch, Completed(), scores=False)  # its note will be that of another video
    folder = Path(request_of_two.manifests[0])
    score_part(request_of_two.plan(), Part(1, N_PARTS), request_of_two.out)
    (folder / "v1-0.mp4").write_bytes((folder / "v2-0.mp4").read_bytes())
    asking(request_of_two)
    assert fate.own_parts == ["0/2", "1/2"]
    collect(request_of_two.plan(), N_PARTS, request_of_two.out)


def test_a_part_whose_run_failed_stops_the_run_that_asked(
    request_of_two: EvaluateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fate(request_of_two, monkeypatch, Failed(message="no such suite"), scores=False)
    with pytest.raises(StoreError, match="score part 1 of 2 ended Failed: no such suite; retry this run"):
        asking(request_of_two)
