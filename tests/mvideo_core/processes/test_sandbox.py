"""Guarded children: limits hold, nothing outlives its parent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mvideo_core.base.errors import ConfigError, KilledError, MediaError
from mvideo_core.media import ffmpeg
from mvideo_core.processes import sandbox

PYTHON = os.path.realpath(sys.executable)


def test_output_of_a_good_child():
    assert sandbox.run([PYTHON, "-c", "print(6 * 7)"], sandbox.Limits(wall_s=20), "sum") == b"42\n"


def test_failure_names_the_item_and_the_childs_last_line():
    with pytest.raises(MediaError, match=r"clip a: exit code 3: .*broken header"):
        sandbox.run(
            [PYTHON, "-c", "import sys; print('broken header', file=sys.stderr); sys.exit(3)"],
            sandbox.Limits(),
            "clip a",
        )


def test_clock_limit():
    start = time.monotonic()
    with pytest.raises(MediaError, match=r"killed after 0.3 s"):
        sandbox.run([PYTHON, "-c", "import time; time.sleep(60)"], sandbox.Limits(wall_s=0.3), "sleeper")
    assert time.monotonic() - start < 10


def test_memory_limit():
    with pytest.raises(MediaError, match="MemoryError"):
        sandbox.run([PYTHON, "-c", "bytearray(1 << 30)"], sandbox.Limits(wall_s=20, memory_bytes=512 << 20), "hog")


def test_processor_limit():
    with pytest.raises(MediaError, match=f"killed by signal {int(signal.SIGXCPU)}") as caught:
        sandbox.run([PYTHON, "-c", "while True: pass"], sandbox.Limits(wall_s=30, cpu_s=1), "spinner")
    assert caught.type is MediaError  # the file's fault: not tried again


def test_a_kill_from_outside_is_told_apart():
    with pytest.raises(KilledError, match="clip a: killed by signal 9"):
        sandbox.run([PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"], sandbox.Limits(wall_s=30, cpu_s=9), "clip a")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_that_comes_before_the_launcher_leaves_it_to_us_is_from_outside(stop):
    for _ in range(20):  # on a busy machine the launcher may be faster
        with sandbox.child([PYTHON, "-c", "print('begun')"], sandbox.Limits()) as running:
            running.popen.send_signal(stop)  # at once: Python has not started yet
            code, tail = running.finish()
        if code == -stop:
            break
    assert code == -stop
    assert isinstance(sandbox.death_error("clip a", code, tail, running.timed_out, sandbox.Limits()), KilledError)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_of_the_whole_tree_is_no_fault_of_the_video_under_the_encoder(stop, tmp_path):
    source = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=1.5"]
    argv = [ffmpeg.ffmpeg_path(), "-v", "error", "-y", "-re", *source, str(tmp_path / "out.mp4")]
    with sandbox.child(argv, sandbox.Limits()) as running:
        time.sleep(0.5)
        running.popen.send_signal(stop)
        assert running.finish() == (0, "")


def test_child_dies_with_a_killed_parent(tmp_path):
    script = (
        "import sys\nfrom mvideo_core.processes import sandbox\n"
        f"with sandbox.child([{PYTHON!r}, '-c', 'import time; time.sleep(60)'], sandbox.Limits()) as c:\n"
        "    print(c.popen.pid, flush=True)\n    import time; time.sleep(60)\n"
    )
    parent = subprocess.Popen([PYTHON, "-c", script], stdout=subprocess.PIPE, cwd=os.getcwd())
    pid = int(parent.stdout.readline())
    time.sleep(0.3)  # let the launcher ask for the signal
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not alive(pid):
            break
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def program(path, version):
    path.write_text(f"#!/bin/sh\nprintf '{version}'\n")
    path.chmod(0o755)
    return path


def test_ffmpeg_path_obeys_the_variable_and_prefers_the_bundled_program(monkeypatch, tmp_path):
    monkeypatch.setenv("MVIDEO_FFMPEG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="MVIDEO_FFMPEG"):
        ffmpeg.ffmpeg_path()
    chosen = program(tmp_path / "ffmpeg", r"ffmpeg version n9.1 Copyright\nlibavcodec     63.  1.102 / 63.  1.102\n")
    monkeypatch.setenv("MVIDEO_FFMPEG", str(chosen))
    assert ffmpeg.ffmpeg_path() == str(chosen)
    monkeypatch.delenv("MVIDEO_FFMPEG")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "imageio_ffmpeg" in ffmpeg.ffmpeg_path()


def test_an_old_ffmpeg_or_another_program_is_refused(monkeypatch, tmp_path):
    """Debian 12's 5.1 gives wrong colors; a program that is no ffmpeg has no version of libavcodec."""
    old = program(tmp_path / "ffmpeg", r"ffmpeg version 5.1.9-0+deb12u1 Copyright\nlibavcodec     59. 37.100\n")
    monkeypatch.setenv("MVIDEO_FFMPEG", str(old))
    with pytest.raises(ConfigError, match=r"ffmpeg is 'ffmpeg version 5\.1\.9.*FFmpeg 9 or newer is needed.*unset"):
        ffmpeg.ffmpeg_path()
    monkeypatch.setenv("MVIDEO_FFMPEG", PYTHON)
    with pytest.raises(ConfigError, match=r"does not run|is needed"):
        ffmpeg.ffmpeg_path()
    monkeypatch.delenv("MVIDEO_FFMPEG")
    monkeypatch.setattr("imageio_ffmpeg.__file__", str(tmp_path / "no_wheel.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="set MVIDEO_FFMPEG to a newer one"):
        ffmpeg.ffmpeg_path()
    old.unlink()
    with pytest.raises(ConfigError, match="no ffmpeg program"):
        ffmpeg.ffmpeg_path()


def test_names_never_reach_the_command_line(tmp_path):
    path = os.fsencode(tmp_path) + b"/-a b'\"\xff.txt"
    with open(path, "wb") as handle:
        handle.write(b"not a video")
    fd = os.open(path, os.O_RDONLY)
    graph = ffmpeg.open_input(fd).output("pipe:", format="null")
    argv = ffmpeg.compile_argv(graph)
    assert argv[argv.index("-i") + 1] == f"file:/dev/fd/{fd}"
    assert argv[argv.index("-protocol_whitelist") + 1] == "file"
    with pytest.raises(MediaError, match=r"that file: .*Invalid data"):
        sandbox.run(argv, sandbox.Limits(wall_s=20), "that file", pass_fds=(fd,))
    os.close(fd)


@pytest.mark.parametrize("deaf", [False, True])
def test_only_who_is_asked_to_be_is_deaf_to_a_stop(deaf):
    """Workers and trainings begin through the same launcher, and must hear it."""
    code = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('SigBlk')][0])"
    argv = sandbox.guard_argv([PYTHON, "-c", code], sandbox.Limits(), deaf)
    blocked = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout, 16)
    assert blocked == (0x4003 if deaf else 0)
