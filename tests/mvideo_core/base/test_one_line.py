"""Commands whose reader leaves early, as real processes with real pipes."""

import os
import subprocess
import sys

import pytest

LONG = "print('line\\n' * 100_000)"
OTHER_PIPE = "import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')"


def run(body: str, read: bool, **environment: str) -> tuple[int, str]:
    """Exit code and standard error of a command that does this; its standard output is closed unless it is read."""
    script = f"from mvideo_core.base.one_line import errors_in_one_line\nwith errors_in_one_line():\n    {body}"
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | environment,
    )
    assert child.stdout is not None
    if not read:
        child.stdout.close()
    _, error = child.communicate() if read else ("", child.stderr.read() if child.stderr else "")
    return child.wait(), error


@pytest.mark.parametrize(("body", "code"), [(LONG, 1), ("print('one line')", 0), ("print(1); raise SystemExit(3)", 3)])
def test_a_reader_that_leaves_early_gets_no_error_message(body: str, code: int) -> None:
    assert run(body, read=False) == (code, "")


def test_the_same_without_buffers() -> None:
    assert run("print('one line')", read=False, PYTHONUNBUFFERED="1") == (1, "")


def test_another_broken_pipe_is_an_error() -> None:
    code, error = run(OTHER_PIPE, read=True)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("StoreError: Broken pipe")
