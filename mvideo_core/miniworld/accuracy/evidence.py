"""Match the pipeline's rows with the ground truth of each video of a world."""

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
    """All rows of a run, any status, by stage; a stage that did not run has an empty list.

    Attributes:
        open_masks: opens the mask sequence a row points to.
        clip_path: returns a local file of the clip a row points to; only the page needs it.
    """

    clips: list[ClipRow]
    detections: list[DetectionRow]
    masks: list[MaskRow]
    captions: list[CaptionRow]
    open_masks: Callable[[MaskRow], MaskSequence]
    clip_path: Callable[[ClipRow], Path]


@dataclass(frozen=True)
class VideoEvidence:
    """One video: truth and rows. Dictionary keys are clip keys."""

    truth_path: Path
    truth: SourceTruth
    clips: list[ClipRow]
    detections: dict[str, DetectionRow]
    masks: dict[str, MaskRow]
    captions: dict[str, CaptionRow]
    ok_clips: list[ClipRow] = field(default_factory=list)

    def clip(self, key: str) -> ClipRow | None:
        """The clip with this key; None if it is not an ok clip."""
        return next((row for row in self.ok_clips if row.key == key), None)


def by_video(truth_folder: str | Path, rows: Rows) -> Iterator[VideoEvidence]:
    """One record per truth file, sorted by name; rows are matched by the clip row's parent (the file's stem).

    Raises:
        ConfigError: no truth file, or rows for videos without truth.
    """
    files = visible_files(truth_folder, ".json")
    if not files:
        raise ConfigError(
            f"{truth_folder}: no truth file (*.json) found; use the `truth` folder of `mvideo world make`"
        )
    parents = {row.parent or row.key for row in rows.clips}
    known = {file.stem for file in files}
    if parents and not parents & known:
        raise ConfigError(
            f"clips are from {sorted(parents)[:3]}, but the truth is for {sorted(known)[:3]}: different videos"
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
