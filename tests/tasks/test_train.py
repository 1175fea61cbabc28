"""What the progress bar of a training says."""

import pytest

from mvideo.tasks import train as task


def test_phases_come_before_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar stays at 0 % while phases are shown; two steps in 6 s leave 3 s for the last of four."""
    shown: list[tuple[float, str]] = []
    monkeypatch.setattr(task.ProgressBar, "show", lambda self, percent, text: shown.append((percent, text)))
    now = [0.0]
    board = task.TrainingBoard(lambda: now[0])
    board.phase("loading the base mini")
    board.phase("loading the base mini (10 s)")
    board({"step": 1, "steps": 4, "train/loss": 0.5})
    now[0] = 6.0
    board({"step": 3, "steps": 4, "train/loss": 0.25})
    assert shown == [
        (0, "loading the base mini"),
        (0, "loading the base mini (10 s)"),
        (25, "step 1 of 4, loss 0.5000"),
        (75, "step 3 of 4, loss 0.2500, 3 s/step, about 3 s left"),
    ]
