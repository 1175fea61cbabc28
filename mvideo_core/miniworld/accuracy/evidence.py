"""What the pipeline said about each video of a world, laid beside its truth."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.records import CaptionRow, ClipRow, DetectionRow, MaskRow
from mvideo_core.masks import MaskSequence
from mvideo_core.miniworld.world.truth import SourceTruth, read_truth


@dataclass(frozen=True)
class Rows:
    """The rows of a run, all statuses, by stage; a stage that did not run is an empty list.

    Attributes:
        open_masks: the mask sequence a row points to.
        clip_path: a local file of the clip a row points to; only the page asks.
    """

    clips: list[ClipRow]
    detections: list[DetectionRow]
    masks: list[MaskRow]
    captions: list[CaptionRow]
    open_masks: Callable[[MaskRow], MaskSequence]
    clip_path: Callable[[ClipRow], Path]


@dataclass(frozen=True)
class VideoEvidence:
    """One video: truth and rows. Dictionaries are by clip key."""

    truth_path: Path
    truth: SourceTruth
    clips: list[ClipRow]
    detections: dict[str, DetectionRow]
    masks: dict[str, MaskRow]
    captions: dict[str, CaptionRow]
    ok_clips: list[ClipRow] = field(default_factory=list)

    def clip(self, key: str) -> ClipRow | None:
        """The clip of this key; None when it is not among the good ones."""
        return next((row for row in self.ok_clips if row.key == key), None)


def by_video(truth_folder: str | Path, rows: Rows) -> Iterator[VideoEvidence]:
    """One evidence per truth file, sorted by name; rows find their video by the clip row's parent (the file's stem).

    Raises:
        ConfigError: no truth file, or rows of no video that the truth knows.
    """
    files = visible_files(truth_folder, ".json")
    if not files:
        raise ConfigError(
            f"{truth_folder}: no truth file (*.json) here; give the `truth` folder of `mvideo world make`"
        )
    parents = {row.parent or row.key for row in rows.clips}
    known = {file.stem for file in files}
    if parents and not parents & known:
        raise ConfigError(
            f"clips come from {sorted(parents)[:3]}, the truth is about {sorted(known)[:3]}: other videos"
        )
    detections, masks, captions = _by_key(rows.detections), _by_key(rows.masks), _by_key(rows.captions)
    for file in files:
        truth = read_truth(file)
        clips = sorted((row for row in rows.clips if (row.parent or row.key) == truth.name), key=_place)
        ok = [row for row in clips if row.status == "ok"]
        keys = {row.key for row in ok}
        yield VideoEvidence(
            file,
            truth,
            clips,
            {key: row for key, row in detections.items() if key in keys},
            {key: row for key, row in masks.items() if key in keys},
            {key: row for key, row in captions.items() if key in keys},
            ok,
        )


def _by_key(rows: Iterable) -> dict:
    return {row.key: row for row in rows}


def _place(row: ClipRow) -> tuple[int, float, str]:
    return row.shot_index, row.start_s, row.key
