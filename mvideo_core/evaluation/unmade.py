"""Videos that could not be made: the note beside their place, which counts for more than an older video there.

<out>/videos/<id>/failed.json   why there is no video of this request; removed when there is one
"""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import MVideoError
from mvideo_core.base.listing import exists

FAILED = "failed.json"
NOT_MADE = "NotMade"
"""Error of a row whose video could not be generated."""


class Absence(NamedTuple):
    """Why an item has no video to score: "missing" = nobody delivered it, "failed" = it could not be made."""

    status: Literal["missing", "failed"]
    why: str


def absence_of(video: str) -> Absence | None:
    """Why there is nothing to score at an item's absolute video path; None when there is."""
    if not video:
        return Absence("missing", "the manifest names no video")
    if why := failure_of(video):
        old = f" (the {Path(video).name} beside {FAILED} is of an earlier request and is not scored)"
        return Absence("failed", why + (old if exists(video) else ""))
    return None if exists(video) else Absence("missing", f"{video} is not there")


def note_failure(folder: Path, name: str, error: MVideoError) -> None:
    """Say why the video of this folder, of the item of that id, could not be made."""
    page = {"item": name, "error": type(error).__name__, "message": str(error)}
    write_whole(folder / FAILED, json.dumps(page, indent=1, ensure_ascii=False) + "\n")


def forget_failure(folder: Path) -> None:
    """The video is there now."""
    (folder / FAILED).unlink(missing_ok=True)


def failure_of(video: str) -> str:
    """Why a video could not be made; "" when nothing is noted beside its place."""
    try:
        return str(json.loads((Path(video).parent / FAILED).read_text(encoding="utf-8"))["message"]) if video else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
