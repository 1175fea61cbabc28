import io
from uuid import UUID

import pytest
from prefect import flow, runtime
from prefect.client.orchestration import get_client

from mvideo.deployments._lines import LiveLines
from mvideo.deployments._watching import follow
from mvideo.flows._progress import StageBoard
from mvideo.tasks._bar import CountBar, ProgressBar

pytestmark = pytest.mark.usefixtures("prefect_server")


@flow
def inner(seconds: list[float]) -> None:
    bar = CountBar("videos", "videos", now=lambda: seconds.pop(0))
    for done in (2, 3, 4):
        bar(done, 4)


@flow
def outer(fails: bool) -> UUID:
    board = StageBoard("cut", "nowhere", 2)
    board.begin()
    board.mark_finished([0, 1])
    board.publish(last=True)
    inner([0.0, 4.0, 8.0])
    ProgressBar("train").show(40, "step 4 of 10, loss 0.5, 2 s/step, about 12 s left")
    if fails:
        raise ValueError("no more")
    return UUID(runtime.flow_run.id)


def test_a_run_is_shown_by_a_line_per_bar_of_its_own_and_of_its_subflows() -> None:
    run_id, out = outer(False), io.StringIO()
    with get_client(sync_client=True) as client:
        state = follow(client, run_id, LiveLines(out))
    assert state.name == "Completed"
    assert out.getvalue().splitlines() == [
        "    cut               100%  2 of 2 parts",
        "    videos            100%  4 of 4 videos, 0.25 videos/s",
        "    train              40%  step 4 of 10, loss 0.5, 2 s/step, about 12 s left",
    ]


@flow
def many(count: int) -> UUID:
    for number in range(count):
        inner([0.0, 4.0, 8.0] if number else [0.0, 1.0, 2.0])
    return UUID(runtime.flow_run.id)


def test_subflows_and_bars_beyond_the_first_page_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvideo.deployments._pages.PAGE", 2)
    run_id, out = many(5), io.StringIO()
    with get_client(sync_client=True) as client:
        follow(client, run_id, LiveLines(out))
    rates = ["1.00", *["0.25"] * 4]
    lines = [f"    videos            100%  4 of 4 videos, {rate} videos/s" for rate in rates]
    assert out.getvalue().splitlines() == lines


def test_a_run_that_failed_is_followed_to_its_last_state() -> None:
    with get_client(sync_client=True) as client:
        state = outer(True, return_state=True)
        run_id = state.state_details.flow_run_id
        assert run_id is not None
        found = follow(client, run_id, LiveLines(io.StringIO()))
    assert (found.type.value, "no more" in (found.message or "")) == ("FAILED", True)


def test_rate_and_time_left_leave_out_what_was_done_before() -> None:
    seconds = [0.0, 10.0, 20.0]
    bar = CountBar("x", "clips", now=lambda: seconds.pop(0))
    assert bar.words(5, 20) == "5 of 20 clips"
    assert bar.words(6, 20) == "6 of 20 clips, 0.10 clips/s, about 2 min left"
    assert bar.words(20, 20) == "20 of 20 clips, 0.75 clips/s"
