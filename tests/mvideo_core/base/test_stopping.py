import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.stopping import Stopped, pool_that_stops, raise_if_stopped, stop_between
from mvideo_core.engine import STAGES
from mvideo_core.engine.run import RunOptions, run_stage
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.store.workspace import Workspace
from tests.flows.toy import ToyOptions, planned


class Stop(BaseException):
    """What Prefect's TerminationSignal is: no `Exception`."""


def slow_frames(seen: list[int]) -> int:
    for n in stop_between(range(100)):
        seen.append(n)
        time.sleep(0.02)
    return len(seen)


def in_a_stopped_pool(error: type[BaseException], *works: Callable[[], object]) -> list[Future[object]]:
    """Futures of works whose pool is left by an error 0.3 s after they began."""
    futures: list[Future[object]] = []

    def block() -> None:
        with pool_that_stops(ThreadPoolExecutor(2)) as pool:
            futures.extend(pool.submit(work) for work in works)
            time.sleep(0.3)
            raise error

    with pytest.raises(error):
        block()
    return futures


def test_a_stop_ends_the_threads_at_their_next_frame_and_is_over_with_the_pool() -> None:
    seen: list[int] = []
    (future,) = in_a_stopped_pool(Stop, lambda: slow_frames(seen))
    assert isinstance(future.exception(), Stopped)
    assert 0 < len(seen) < 40
    raise_if_stopped()  # the next work in this process is not stopped


def test_after_an_error_the_other_threads_finish() -> None:
    (future,) = in_a_stopped_pool(ValueError, lambda: slow_frames([]))
    assert future.result() == 100


def test_a_pool_inside_a_stopping_one_leaves_the_stop_to_it() -> None:
    after: list[bool] = []

    def inner() -> None:
        try:
            with pool_that_stops(ThreadPoolExecutor(1)):
                slow_frames([])
        finally:
            with pytest.raises(Stopped):
                raise_if_stopped()
            after.append(True)

    (future,) = in_a_stopped_pool(Stop, inner)
    assert isinstance(future.exception(), Stopped)
    assert after == [True]
    raise_if_stopped()


def test_reading_and_writing_videos_look_for_a_stop_at_every_frame(tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), 8 * n, np.uint8) for n in range(20)]
    write_mp4(iter(frames), tmp_path / "a.mp4", 8)

    def read() -> list[None]:
        return [time.sleep(0.1) for _ in read_frames(tmp_path / "a.mp4")]

    def write() -> int:
        return write_mp4((frame for frame in frames if time.sleep(0.1) is None), tmp_path / "b.mp4", 8)

    began = time.monotonic()
    reading, writing = in_a_stopped_pool(Stop, read, write)
    assert time.monotonic() - began < 1.5  # two seconds of frames
    assert isinstance(reading.exception(), Stopped)
    assert isinstance(writing.exception(), Stopped)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_ctrl_c_ends_a_stage_of_many_jobs_within_a_batch(tmp_path: Path) -> None:
    """Four parts of eight items in batches of two, two parts at once: 3.2 s without the stop."""
    url, n_parts = planned(tmp_path, [f"k{n:02d}" for n in range(32)], part_size=8)
    assert n_parts == 4
    options, log = ToyOptions(pause_s=0.2, log=str(tmp_path / "items")), tmp_path / "items"

    def ctrl_c() -> None:
        while not log.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        run_stage(Workspace(url), STAGES.get("toy-a"), options, RunOptions(jobs=2))
    n_done = len(log.read_text().splitlines())
    assert 0 < n_done <= 12
    run_stage(Workspace(url), STAGES.get("toy-a"), options, RunOptions(jobs=2))
    lines = log.read_text().splitlines()
    assert len(set(lines)) == 32
    assert len(lines) <= 32 + 2 * 2, "only batches under way are begun again"
