"""What a user reads when a training dies: real tracebacks, real signals, torchrun's real account of its children."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mvideo_core.base.errors import ConfigError, TrainError
from mvideo_core.training.distributed import RankLost
from mvideo_core.training.failures import explain_death, read_error, write_failure
from mvideo_core.training.launch import launch
from mvideo_core.training.options import TrainOptions

Make = Callable[..., TrainOptions]
RAISES = "import os\nif os.environ.get('RANK', '1') == '1':\n    raise ZeroDivisionError('step 3 of\\nnothing')\n"
KILLED = "import os, time\nif os.environ.get('RANK', '1') == '1':\n    os.kill(os.getpid(), 9)\ntime.sleep(60)\n"


def run_of(tmp_path: Path, script: str, torchrun: bool) -> tuple[int, Path, int]:
    """Exit code and log of a process that runs the script, as the launcher keeps them."""
    path, log = tmp_path / "script.py", tmp_path / "log"
    path.write_text(script)
    log.write_text("Traceback (most recent call last):\nOldError: of the launch before\n")
    start = log.stat().st_size
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] if torchrun else []
    with log.open("ab") as out:
        done = subprocess.run([sys.executable, *several, path], stdout=out, stderr=out, timeout=120)
    return done.returncode, log, start


@pytest.mark.parametrize("torchrun", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_traceback_in_the_log_is_the_error(tmp_path: Path, torchrun: bool) -> None:
    message = str(explain_death(*run_of(tmp_path, RAISES, torchrun)))
    assert message.startswith("ZeroDivisionError: step 3 of")
    assert str(tmp_path / "log") in message
    assert "memory" not in message
    assert "kill" not in message


@pytest.mark.parametrize("torchrun", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_killed_process_is_named_with_its_signal(tmp_path: Path, torchrun: bool) -> None:
    message = str(explain_death(*run_of(tmp_path, KILLED, torchrun)))
    assert message.startswith("a process of the training was ended by signal SIGKILL; out of memory, the kernel kills")


def test_other_signals_do_not_speak_of_memory(tmp_path: Path) -> None:
    code, log, start = run_of(tmp_path, "import os\nos.kill(os.getpid(), 11)\n", torchrun=False)
    message = str(explain_death(code, log, start))
    assert "ended by signal SIGSEGV." in message
    assert "memory" not in message


def test_an_exit_without_a_word_shows_the_end_of_the_log(tmp_path: Path) -> None:
    code, log, start = run_of(tmp_path, "print('reading')\nraise SystemExit(3)\n", torchrun=False)
    message = str(explain_death(code, log, start))
    assert "ended with code 3 and no message" in message
    assert "\n  reading\n" in message
    assert "OldError" not in message


def test_errors_of_ours_come_back_as_they_are_and_others_with_type_and_log(tmp_path: Path) -> None:
    write_failure(tmp_path, 0, RankLost("rank 0: another process stopped responding"))
    assert read_error(tmp_path) is None
    write_failure(tmp_path, 1, ConfigError("steps: 0; at least 1"))
    ours = read_error(tmp_path)
    assert (type(ours), str(ours)) == (ConfigError, "steps: 0; at least 1")
    foreign = torch._dynamo.exc.FailOnRecompileLimitHit("Hard failure\n\n  due to " + "=" * 500)
    write_failure(tmp_path / "other", 3, foreign)
    told = read_error(tmp_path / "other", Path("launch/a.log"))
    assert type(told) is TrainError
    first = str(told).split("=")[0]
    assert first == "torch._dynamo.exc.FailOnRecompileLimitHit: Hard failure due to "
    assert "... (the traceback is in launch/a.log)" in str(told)
    assert "\n" not in str(told)


def test_an_error_of_torch_in_a_child_is_shown_as_it_is(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word in TORCH_LOGS that torch does not know is a ValueError while it is imported."""
    monkeypatch.setenv("TORCH_LOGS", "recompile")
    options = tiny()
    with pytest.raises(TrainError, match=r"^ValueError: Invalid log settings: recompile, must") as caught:
        launch(options)
    log = next((Path(options.out) / "launch").glob("*.log"))
    assert f"(the traceback is in {log})" in str(caught.value)
    assert "ValueError" in log.read_text()
    assert "memory" not in str(caught.value)


@pytest.mark.slow
def test_a_training_whose_compiler_fails_says_so(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole launch on a machine without a C++ compiler, whose exception is no RuntimeError of torch's core."""
    monkeypatch.setenv("CXX", "/nowhere/g++")
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    options = tiny(execution={"compile": True}, steps=1, validation={"every": 0})
    with pytest.raises(TrainError, match=r"^torch\._inductor\.exc\.\w+: .*(InvalidCxxCompiler|compiler).*\.log\)"):
        launch(options)
