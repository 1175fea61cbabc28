"""Ground truth of a source video: a JSON file, and masks in source pixels.

    <name>.mp4
    truth/<name>.json                          all ground truth but the masks
    truth/<name>.shot000.visible.masks         the visible part of each object, one file per shot
    truth/<name>.shot000.amodal.masks          the full silhouettes

The JSON file has the video's size, frame rate, cuts and shots. For each object, it has class, action, direction, color
and depth rank, and, for each frame, the box and area of the visible part and the area of the full silhouette.
`version`, now 1, increases when the rendering changes.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import problems_of
from mvideo_core.base.records import Record
from mvideo_core.masks import MaskSequence, from_bytes

VERSION = 1


class TruthCut(Record):
    """One join.

    Attributes:
        start_s, end_s: first mixed frame and first clean frame of the next shot; equal for a hard cut.
        time_s: the midpoint.
    """

    kind: Literal["hard", "dissolve", "fade"]
    time_s: float
    start_s: float
    end_s: float


class TruthObject(Record):
    """One object of a shot; lists are per frame of the shot.

    Attributes:
        action: name of the class's action; `verb` is its text in captions.
        direction: "right", "left", "back and forth" or "", travel in the world over the whole shot.
        depth_rank: 0 = farthest; a higher rank occludes a lower one.
        boxes_xyxy: boxes of the visible mask, source pixels, half-open; None where nothing is visible.
        visible_px: area of the visible mask.
        full_px: area of the full silhouette, including occluded parts and parts outside the frame.
    """

    object_id: int
    label: str
    unseen: bool
    action: str
    verb: str
    direction: str
    color: str = Field(validation_alias=AliasChoices("color", "colour"))  # "colour" in older worlds
    role: str
    depth_rank: int
    boxes_xyxy: list[list[int] | None]
    visible_px: list[int]
    full_px: list[int]


class TruthShot(Record):
    """One shot.

    Attributes:
        first_frame, n_frames: visible range, including transitions.
        start_s, end_s: the same in seconds, half-open.
        clean_start_s, clean_end_s: the range without mixing or fading.
        camera_xyz: per frame (x, y, zoom), world units.
    """

    index: int
    seed: int
    first_frame: int
    n_frames: int
    start_s: float
    end_s: float
    clean_start_s: float
    clean_end_s: float
    scene: str
    camera: str
    camera_xyz: list[list[float]]
    caption: str
    objects: list[TruthObject]
    visible_masks: str
    amodal_masks: str


class SourceTruth(Record):
    """Ground truth of one video. `fps` is `fps_num / fps_den`."""

    version: int = VERSION
    name: str
    video: str
    seed: int
    split: str
    width: int
    height: int
    fps_num: int
    fps_den: int
    n_frames: int
    cuts: list[TruthCut]
    shots: list[TruthShot]

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.fps_num / self.fps_den


def read_truth(path: str | Path) -> SourceTruth:
    """Read a truth file, without its masks.

    Raises:
        MediaError: missing, not a truth file, or another version.
    """
    path = Path(path)
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        truth = SourceTruth.model_validate(value)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read: {error.strerror}; recreate the world") from None
    except ValueError as error:
        raise MediaError(
            f"{path}: not a truth file of the mini world: {problems_of(error)}; recreate the world"
        ) from None
    if truth.version != VERSION:
        raise MediaError(f"{path}: truth version {truth.version}, expected {VERSION}; recreate the world")
    return truth


def read_masks(path: str | Path, shot: TruthShot, amodal: bool = False) -> MaskSequence:
    """Read the masks of one shot, (n_frames, objects, height, width) at source size.

    Args:
        path: the truth file.
        amodal: full silhouettes inside the frame instead of visible parts.

    Raises:
        MediaError: the mask file is missing or damaged.
    """
    file = Path(path).parent / (shot.amodal_masks if amodal else shot.visible_masks)
    try:
        return from_bytes(file.read_bytes())
    except OSError as error:
        raise MediaError(f"{file}: cannot be read: {error.strerror}; recreate the world") from None
