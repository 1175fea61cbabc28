"""Forgetting failed scores, so that the next run scores those videos again.

A failed score is kept like any other: most broken videos stay broken. One that failed for a passing reason (a time
limit on a busy machine, a file system that was away) is given another chance here.
"""

from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.evaluation.result import PartNote
from mvideo_core.evaluation.scores import StoredScore
from mvideo_core.evaluation.stored import read_record


def forget_failed(out: str | Path) -> int:
    """Deletes the failed scores under `out`, and the notes of parts that counted failures.

    Returns:
        How many scores were deleted.

    Raises:
        ConfigError: `out` holds no evaluation. StoreError: a score or note is not of this version.
    """
    place = Path(out)
    if not (place / "scores").is_dir() and not (place / "parts").is_dir():
        raise ConfigError(f"{place}: no evaluation lies there; give the --out of `mvideo eval run`")
    for path in _notes_with_failures(place):
        path.unlink(missing_ok=True)
    failed = [path for path in visible_files(place / "scores", ".json", recursive=True) if _has_failed(path)]
    for path in failed:
        path.unlink(missing_ok=True)
    return len(failed)


def _has_failed(path: Path) -> bool:
    stored = read_record(StoredScore, path)
    return stored is not None and stored.status == "failed"


def _notes_with_failures(place: Path) -> Iterator[Path]:
    for path in visible_files(place / "parts", ".json"):
        note = read_record(PartNote, path)
        if note is not None and any(row.status == "failed" for row in note.rows):
            yield path
