"""Finished items of each part and the item in progress, as seen by this process; the flow's progress bars read it."""

import threading
from typing import NamedTuple

_lock = threading.Lock()
_seen: dict[tuple[str, str], dict[int, "ItemCount"]] = {}
_current: dict[tuple[str, str], dict[int, str]] = {}


class ItemCount(NamedTuple):
    """Items of one part: done at the first report (found in the store), done now, and in total."""

    at_first: int
    done: int
    total: int


def note(workspace: str, stage: str, part: int, done: int, total: int) -> None:
    """Record the state of one part."""
    with _lock:
        parts = _seen.setdefault((workspace, stage), {})
        at_first = parts[part].at_first if part in parts else done
        parts[part] = ItemCount(at_first, done, total)
        _current.get((workspace, stage), {}).pop(part, None)


def set_status(workspace: str, stage: str, part: int, words: str) -> None:
    """Record what a part is working on, such as "a clip: masks of 40 of 97 frames"; until its next finished item."""
    with _lock:
        _current.setdefault((workspace, stage), {})[part] = words


def items_in_progress(workspace: str, stage: str) -> list[str]:
    """What the parts are working on, by part."""
    with _lock:
        return [words for _, words in sorted(_current.get((workspace, stage), {}).items())]


def item_counts(workspace: str, stage: str) -> dict[int, ItemCount]:
    """Item counts by part; parts that run in other processes are not included."""
    with _lock:
        return dict(_seen.get((workspace, stage), {}))


def forget(workspace: str, stage: str) -> None:
    """Restart the count: a flow run begins this stage."""
    with _lock:
        _seen.pop((workspace, stage), None)
        _current.pop((workspace, stage), None)
