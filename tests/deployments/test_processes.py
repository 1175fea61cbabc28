import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mvideo.deployments import _processes as processes
from mvideo.deployments._state import StackState, Started, find_api_url, is_alive, read_state, write_state
from mvideo_core.processes.identity import ticks_of

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
ROOT = Path(__file__).resolve().parents[2]


def test_processes_are_found_by_their_stack_and_ended(tmp_path: Path) -> None:
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    started = processes.start("a", [sys.executable, "-c", parent], dict(os.environ), tmp_path, tied=False)
    other = processes.start("b", SLEEP, dict(os.environ), tmp_path / "other", tied=False)
    try:
        deadline = time.monotonic() + 120
        while len(processes.members(tmp_path)) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        found = [member.pid for member in processes.members(tmp_path)]
        assert len(found) == 2  # the process and its child, not the other stack's
        assert started.pid in found
    finally:
        processes.end([member.pid for member in processes.members(tmp_path)], 5.0)
        processes.end([other.pid], 5.0)
    assert processes.members(tmp_path) == []
    assert not is_alive(started)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    started = processes.start("s", [sys.executable, "-c", stubborn], dict(os.environ), tmp_path, tied=False)
    log = tmp_path / "logs" / "s.log"
    deadline = time.monotonic() + 120
    while "on" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes.end([started.pid], 0.5)
    assert not is_alive(started)


def test_sigint_works_in_children_even_if_we_were_started_with_it_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        started = processes.start("i", SLEEP, dict(os.environ), tmp_path, tied=False)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    status = Path(f"/proc/{started.pid}/status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")), 16)
    processes.end([started.pid], 5.0)
    assert ignored >> (signal.SIGINT - 1) & 1 == 0


def test_tied_processes_die_with_the_one_that_started_them(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from mvideo.deployments import _processes as p\n"
        f"s = p.start('t', {SLEEP!r}, dict(os.environ), Path({str(tmp_path)!r}), tied=True)\n"
        "print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert ticks_of(child) is not None
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while ticks_of(child) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert ticks_of(child) is None


def test_state_survives_damage_and_a_reused_process_id(tmp_path: Path) -> None:
    me = Started("server", os.getpid(), ticks_of(os.getpid()) or 0)
    write_state(tmp_path, StackState(4321, "laptop", [me]))
    assert read_state(tmp_path).processes == [me]
    assert find_api_url(tmp_path) == "http://127.0.0.1:4321/api"
    write_state(tmp_path, StackState(4321, "laptop", [Started("server", os.getpid(), me.ticks + 1)]))
    assert find_api_url(tmp_path) is None
    (tmp_path / "stack.json").write_text('{"port": 4')
    assert read_state(tmp_path) == StackState()
