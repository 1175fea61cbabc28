"""Work in processes of their own: order, errors, and no orphan after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.miniworld.world.make import make_world
from mvideo_core.processes.parallel_map import side_by_side


def told(number: int) -> tuple[int, int, str]:
    time.sleep(0.3 if number == 0 else 0)
    if number == 9:
        raise MediaError("number 9 is bad")
    return number * number, os.getpid(), os.environ.get("OMP_NUM_THREADS", "")


def test_results_come_in_the_order_of_the_items() -> None:
    found = list(side_by_side(told, [0, 1, 2, 3], processes=2))
    assert [square for square, _, _ in found] == [0, 1, 4, 9]
    assert os.getpid() not in {process for _, process, _ in found}
    assert {threads for _, _, threads in found} == {str(max(1, (os.cpu_count() or 1) // 2))}
    assert [process for _, process, _ in side_by_side(told, [1, 2], processes=1)] == [os.getpid()] * 2


def test_an_error_of_a_process_is_ours() -> None:
    with pytest.raises(MediaError, match="number 9 is bad"):
        list(side_by_side(told, [1, 9, 2], processes=2))


SLEEPER = """
import os, sys, time
from pathlib import Path
from mvideo_core.processes.parallel_map import side_by_side

def sleep(place):
    Path(place).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(side_by_side(sleep, sys.argv[1:], processes=2))
"""


def test_a_killed_parent_leaves_nothing_behind(tmp_path: Path) -> None:
    script, places = tmp_path / "sleeper.py", [tmp_path / "a", tmp_path / "b"]
    script.write_text(SLEEPER)
    parent = subprocess.Popen(
        [sys.executable, str(script), *map(str, places)], env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    deadline = time.monotonic() + 120
    while not all(place.exists() and place.read_text() for place in places):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(Path(f"/proc/{place.read_text()}/cmdline").exists() for place in places):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_drawn_videos_do_not_depend_on_the_processes(tmp_path: Path) -> None:
    for processes in (1, 2):
        make_world(tmp_path / str(processes), 2, seed=3, n_shots=1, processes=processes)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*") if path.is_file())
    assert len(files) >= 6
    for file in files:
        assert (tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes()
