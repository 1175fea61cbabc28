"""Videos that could not be generated: a note in their folder, which overrides an older video there.

<out>/videos/<id>/failed.json   why there is no video for this request; removed once there is one
"""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import MVideoError
from mvideo_core.base.listing import exists, is_file

FAILED = "failed.json"
NOT_MADE = "NotMade"
"""Error of a row whose video could not be generated."""


class Absence(NamedTuple):
    """Why an item has no video to score: "missing" = does not exist, "failed" = generation failed."""

    status: Literal["missing", "failed"]
    why: str


def absence_of(video: str) -> Absence | None:
    """Why there is no video to score at an absolute path; None if there is one."""
    if not video:
        return Absence("missing", "the manifest names no video")
    if why := failure_of(video):
        old = f" ({Path(video).name} next to {FAILED} is from an earlier request and is not scored)"
        return Absence("failed", why + (old if exists(video) else ""))
    return None if exists(video) else Absence("missing", f"{video} does not exist")


def note_failure(folder: Path, name: str, error: MVideoError) -> None:
    """Record why the video of an item, in this folder, could not be generated."""
    page = {"item": name, "error": type(error).__name__, "message": str(error)}
    write_whole(folder / FAILED, json.dumps(page, indent=1, ensure_ascii=False) + "\n")


def forget_failure(folder: Path) -> None:
    """Remove the note: the video exists now."""
    (folder / FAILED).unlink(missing_ok=True)


def failure_of(video: str) -> str:
    """Why a video could not be generated; "" if there is no note in its folder."""
    note = Path(video).parent / FAILED
    if not video or not is_file(note):
        return ""
    try:
        return str(json.loads(note.read_text(encoding="utf-8"))["message"])
    except (OSError, ValueError, KeyError, TypeError) as error:  # the video may be from an earlier request
        return (
            f"{note}: damaged ({error!r}); generate the video again, or delete this file if the video is the right one"
        )
