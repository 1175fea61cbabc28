"""Delete failed scores, so that the next run scores those videos again.

A failed score is kept like any other: most broken videos stay broken. This is for scores that failed for a temporary
reason (a timeout on a busy machine, an unavailable file system).
"""

from collections.abc import Iterator
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.evaluation.record_files import read_record
from mvideo_core.evaluation.result import PartNote
from mvideo_core.evaluation.scores import StoredScore


def forget_failed(out: str | Path) -> int:
    """Delete the failed scores in `out`, and the notes of parts with failures.

    Returns:
        Number of deleted scores.

    Raises:
        ConfigError: `out` contains no evaluation. StoreError: a score or note is from another version.
    """
    place = Path(out)
    if not (place / "scores").is_dir() and not (place / "parts").is_dir():
        raise ConfigError(f"{place}: contains no evaluation; pass the --out of `mvideo eval run`")
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
