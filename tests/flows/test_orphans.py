import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mvideo.flows._orphans import ENGINE, has_no_reader

ENGINE_CODE = """
import sys, time
sys.orig_argv.append("prefect.engine")
import mvideo.flows
print("begun", flush=True)
time.sleep(60)
"""
WORKER_CODE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=open(sys.argv[2], "w"))
print(child.pid, flush=True)
time.sleep(60)
"""


def orphan(folder: Path, **variables: str) -> int:
    """Process id of an engine whose worker was killed after it had begun."""
    out = folder / "out"
    command = [sys.executable, "-c", WORKER_CODE, ENGINE_CODE, str(out)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **variables}, text=True)
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    while not out.exists() or "begun" not in out.read_text():
        time.sleep(0.05)
    worker.kill()
    worker.communicate()
    return pid


def ended(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_an_engine_ends_with_its_worker(tmp_path: Path) -> None:
    pid = orphan(tmp_path, **{ENGINE: "a"})
    assert ended(pid, 4)


def test_other_processes_that_import_flows_do_not(tmp_path: Path) -> None:
    pid = orphan(tmp_path)
    try:
        assert not ended(pid, 3)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_pipe_without_a_reader_is_seen() -> None:
    read, write = os.pipe()
    assert not has_no_reader(write)
    os.close(read)
    assert has_no_reader(write)
    os.close(write)
