import pytest

from mvideo_core.evaluation.aggregate import GroupKey, ScoreRow, aggregate
from mvideo_core.evaluation.suite import IntervalOptions

OPTIONS = IntervalOptions()


def row(name: str, value: float | None, status: str = "ok", **known: float) -> ScoreRow:
    return ScoreRow.model_validate({"id": name, "metric": "m", "status": status, "value": value, **known})


def test_macro_is_over_videos_and_micro_over_frames() -> None:
    rows = [
        row("a", 0.5, n_frames=10, frames_sum=5.0),
        row("b", 1.0, n_frames=2, frames_sum=2.0, n_frames_skipped=8),
        row("c", None, "missing"),
        row("d", None, "failed"),
        row("e", None, "inapplicable"),
    ]
    got = aggregate(rows, list("abcde"), OPTIONS)
    assert got.mean == 0.75
    assert got.micro == pytest.approx(7 / 12)
    assert (got.n, got.n_missing, got.n_failed, got.n_inapplicable) == (2, 1, 1, 1)
    assert (got.n_frames, got.n_frames_skipped) == (12, 8)


def test_nothing_scored_gives_no_number() -> None:
    got = aggregate([row("a", None, "missing")], ["a"], OPTIONS)
    assert (got.mean, got.low, got.high, got.micro, got.n) == (None, None, None, None, 0)


def test_details_are_means_over_the_videos_that_have_them() -> None:
    rows = [
        ScoreRow(id="a", metric="m", status="ok", value=1, details={"j": 0.2, "f": 0.5}),
        ScoreRow(id="b", metric="m", status="ok", value=1, details={"j": 0.4}),
    ]
    assert aggregate(rows, ["a", "b"], OPTIONS).details == pytest.approx({"j": 0.3, "f": 0.5})


@pytest.mark.parametrize(
    ("key", "short", "title"),
    [
        (GroupKey("sets", "ours", "8 s"), "ours, 8 s", "ours, 8 s, sets"),
        (GroupKey("sets", "ours", "1 clips"), "ours, 1 clip", "ours, 1 clip, sets"),
        (GroupKey("", "ours", "11 clips"), "ours, 11 clips", "ours, 11 clips"),
        (GroupKey("", "", "1.1 clips"), "1.1 clips", "1.1 clips"),
        (GroupKey("", "", ""), "", "(unnamed)"),
    ],
)
def test_titles_are_for_people(key: GroupKey, short: str, title: str) -> None:
    assert (key.short_title, key.title) == (short, title)
