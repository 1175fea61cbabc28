import pytest

from mvideo_core.base.durations import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (0.44, "0.44 s"), (3.21, "3.2 s"), (8, "8 s"), (9.6, "10 s"), (89, "89 s"), (600, "10 min"),
        (5400, "1.5 h"), (90_000, "25.0 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words
