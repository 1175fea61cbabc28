from functools import partial

import pytest

from mvideo.flows._progress import StageBoard
from mvideo.tasks import _items
from mvideo_core.base.live_status import on_status, report_status
from mvideo_core.perception.segmentation.base import report_progress


def test_rate_and_time_left_count_only_fresh_work() -> None:
    board = StageBoard("cut", "w", 4)
    board.begin()
    start = board.started
    _items.note("w", "cut", 0, 10, 10)  # found in the store: no speed
    board.mark_finished([0])
    _items.note("w", "cut", 1, 0, 10)
    _items.note("w", "cut", 1, 5, 10)  # half of part 1 in 20 s
    percent, line = board.line(start + 20)
    assert percent == 37.5  # (1 + 0.5) / 4 parts
    # 5 items in 20 s; an eighth of the whole took 20 s, five eighths are left: 100 s
    assert line == "cut: 1 of 4 parts, 15 items, 0.25 items/s, about 2 min left"


def test_items_in_all_are_named_once_every_part_is_known() -> None:
    board = StageBoard("segment", "w", 2)
    board.begin()
    _items.note("w", "segment", 0, 0, 6)
    _items.note("w", "segment", 0, 3, 6)
    assert "0 of 2 parts, 3 items" in board.line(board.started + 1)[1]
    _items.note("w", "segment", 1, 0, 4)
    assert "0 of 2 parts, 3 of 10 items" in board.line(board.started + 1)[1]


def test_parts_of_other_processes_count_by_parts() -> None:
    board = StageBoard("detect", "w", 8)
    board.begin()
    board.mark_finished([0, 1])
    percent, line = board.line(board.started + 30)
    assert percent == 25.0
    assert line == "detect: 2 of 8 parts, about 90 s left".replace("90 s", "2 min")


def test_frames_of_the_clip_in_progress_are_shown_from_the_first_clip_on(monkeypatch: pytest.MonkeyPatch) -> None:
    board = StageBoard("segment", "w", 1)
    shown: list[tuple[float, str]] = []
    monkeypatch.setattr(board.bar, "show", lambda *given: shown.append(given))
    board.begin()
    _items.note("w", "segment", 0, 0, 3)
    board.publish()
    assert not shown  # nothing has happened yet
    with on_status(partial(_items.set_status, "w", "segment", 0)):
        masks = report_progress("abcd", "a clip", 4)
        assert [next(masks), next(masks)] == ["a", "b"]
    board.publish()
    assert shown == [(0.0, "segment: 0 of 1 parts, 0 of 3 items, a clip: masks of 1 of 4 frames")]
    report_status("nobody listens here")
    _items.note("w", "segment", 0, 1, 3)
    assert "frames" not in board.line(board.started + 1)[1]
