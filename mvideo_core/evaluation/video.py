"""One item as metrics see it: decoded on first use, released on close. Shape letters: T frames, H, W, C."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.base.listing import is_file
from mvideo_core.evaluation.manifest import EvalItem, Intervention, item_under
from mvideo_core.masks import MaskSequence
from mvideo_core.media.decode import read_clip
from mvideo_core.media.probe import MediaInfo, probe

if TYPE_CHECKING:
    from mvideo_core.editing.mask_files import ReadMasks

MAX_DECODED_BYTES = 16 << 30
"""Maximum bytes of one video's frames; checked before decoding."""


class EvalVideo:
    """One item, opened lazily. Metrics keep no frames after `score`; the harness closes each item.

    Args:
        item: item from the manifest.
        root: folder its relative paths refer to.
    """

    def __init__(self, item: EvalItem, root: str | Path = "."):
        self.item = item
        self.root = Path(root).absolute()
        self.masks_from = item
        self._fps: float | None = None
        self._frames: np.ndarray | None = None
        self._masks: MaskSequence | None = None
        self._masks_fps: float | None = None
        self._source: np.ndarray | None = None
        self._source_fps: float | None = None

    @classmethod
    def of_arrays(
        cls,
        frames_THWC: np.ndarray,
        fps: float = 8.0,
        item: EvalItem | None = None,
        masks: MaskSequence | None = None,
        masks_fps: float | None = None,
        source_THWC: np.ndarray | None = None,
        source_fps: float | None = None,
    ) -> "EvalVideo":
        """A video from arrays in memory; nothing is read from disk."""
        video = cls(item or EvalItem(id="in memory"))
        video._fps, video._frames, video._masks, video._source = fps, frames_THWC, masks, source_THWC
        video._masks_fps = masks_fps
        video._source_fps = fps if source_fps is None else source_fps
        return video

    @property
    def path(self) -> Path:
        """Path of the video file.

        Raises:
            MediaError: the item has none, or the file does not exist (missing).
        """
        return self._file(self.item.video, "video")

    @property
    def fps(self) -> float:
        """Frames per second of the video. Raises MediaError: unreadable."""
        if self._fps is None:
            self._fps = self.info().fps
        return self._fps

    @property
    def frames_THWC(self) -> np.ndarray:
        """Every frame in order without black bars, uint8 RGB (T, H, W, 3); decoded once.

        Raises:
            MediaError: unreadable, too large, or smaller than its bars.
        """
        if self._frames is None:
            self._frames = without_bars(_decode(self.path), self.item)
        return self._frames

    def info(self) -> MediaInfo:
        """Size, frame rate and length from the container, probed in a sandboxed process. Raises MediaError."""
        return probe(self.path)

    def masks(self) -> MaskSequence:
        """Masks of the item (or of the item it is shuffled with), at their own size and frame rate.

        Raises:
            MediaError: the item has none, or they cannot be read.
        """
        if self._masks is None:
            self._read_masks()
        assert self._masks is not None
        return self._masks

    @property
    def masks_fps(self) -> float | None:
        """Frames per second of the masks; None if their file does not say. Raises MediaError, see `masks`."""
        self.masks()
        return self._masks_fps

    def source_info(self) -> MediaInfo:
        """As `info`, of the video the masks come from. Raises MediaError: missing, unreadable."""
        return probe(self._file(self.item.source_video, "source_video"))

    def source_frames(self) -> np.ndarray:
        """Frames of the video the masks come from, uint8 RGB (T, H, W, 3). Raises MediaError: missing, unreadable."""
        if self._source is None:
            self._source = _decode(self._file(self.item.source_video, "source_video"))
        return self._source

    @property
    def source_fps(self) -> float:
        """Frames per second of the source video. Raises MediaError: missing, unreadable."""
        if self._source_fps is None:
            self._source_fps = self.source_info().fps
        return self._source_fps

    def pair(self, masks_from: EvalItem) -> None:
        """Make `masks()` return another item's masks, or the item's own again."""
        if masks_from.masks != self.masks_from.masks:
            self._masks = None
        self.masks_from = masks_from

    def under(self, one: Intervention) -> "EvalVideo":
        """The item under edited masks, as a separate video, which the caller must close."""
        return EvalVideo(item_under(self.item, one), self.root)

    def seen_masks(self) -> MaskSequence:
        """The item's masks of the objects in the video, at their own size, one per frame of the video.

        Raises:
            MediaError: the item names none, or they cannot be read.
        """
        return self._read(self.item.seen_masks, "seen_masks").sequence

    def close(self) -> None:
        """Release the decoded frames and masks."""
        self._frames = self._masks = self._source = None

    def _file(self, text: str, what: str) -> Path:
        if not text:
            raise MediaError(f"{self.item.id}: the manifest has no {what} for it")
        place = self.root / Path(text).expanduser()
        if not is_file(place):
            raise MediaError(f"{self.item.id}: {what} {place} does not exist")
        return place

    def _read_masks(self) -> None:
        found = self._read(self.masks_from.masks, "masks")
        self._masks, self._masks_fps = found.sequence, found.fps

    def _read(self, text: str, what: str) -> "ReadMasks":
        from mvideo_core.editing.mask_files import read_masks

        name = self.masks_from.id if what == "masks" else self.item.id
        if not text:
            raise MediaError(f"{name}: the manifest has no {what} for it")
        try:
            return read_masks(text if "://" in text else self.root / Path(text).expanduser())
        except ConfigError as error:
            raise MediaError(f"{name}: {what}: {error}") from None


def without_bars(frames_THWC: np.ndarray, item: EvalItem) -> np.ndarray:
    """The picture inside an item's bars.

    Raises:
        MediaError: the bars cover everything.
    """
    height, width = picture_px(item, *frames_THWC.shape[1:3])
    top, _, left, _ = item.bars_px
    return frames_THWC[:, top : top + height, left : left + width]


def picture_px(item: EvalItem, height: int, width: int) -> tuple[int, int]:
    """Height and width of the picture inside the bars of a video of that size. Raises MediaError: bars cover it all."""
    top, bottom, left, right = item.bars_px
    inside = height - top - bottom, width - left - right
    if min(item.bars_px) < 0 or min(inside) < 1:
        raise MediaError(
            f"{item.id}: bars_px {list(item.bars_px)} (above, below, left, right) of a video of {width}x{height}"
        )
    return inside


def _decode(path: Path) -> np.ndarray:
    """Decode all frames, after probing the file in a sandboxed process."""
    info = probe(path)
    size = int(info.duration_s * info.fps * info.width * info.height * 3)
    if size > MAX_DECODED_BYTES:
        raise MediaError(
            f"{path}: {info.duration_s:.0f} s of {info.width}x{info.height} take {size / 2**30:.0f} GiB decoded; "
            f"the maximum is {MAX_DECODED_BYTES >> 30} GiB; cut it into clips"
        )
    return read_clip(path, MAX_DECODED_BYTES)
