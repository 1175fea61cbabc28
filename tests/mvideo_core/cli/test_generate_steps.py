"""What `mvideo generate` says while it works."""

import pytest

from mvideo_core.cli.generate import Steps


def test_steps_are_said_every_ten_seconds_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Two clips of 20 steps, three seconds each."""
    now = [0.0]
    say = Steps(lambda: now[0])
    for done in range(41):
        say(done, 40)
        now[0] += 3
    say(40, 40)  # again, when the last clip is decoded
    said = capsys.readouterr().err.splitlines()
    assert said == [f"step {done} of 40" for done in (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40)]
