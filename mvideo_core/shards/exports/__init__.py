"""Formats that `mvideo dataset export` writes. SPLIT is `train` or `test`, KEY the key of a sample.

- Only objects that the quality gate kept are exported, in the order of their ids, without the boxes and scores of a
  sample's `.json`.
- All formats except `davis` and those of trainers keep each source's URL, license and time span.
- Clips are copied unchanged unless the frames are JPEG.
- Masks are exact, except in formats with one number per pixel: there the later object hides the earlier one, and the
  command prints how many pixels were hidden.
- In formats for trainers, the control video is the union of all masks, white on black, lossless; it does not tell
  objects apart. A `dataset.toml` has the size and frame count of the clips; edit it to train at others. A trainer may
  keep its cache in the folder.
- `export.json`, written last, has the counts, what the format does not keep, and the digest of the dataset.
"""

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.registry import Registry
from mvideo_core.masks import MaskSequence

Entry = dict[str, Any]
"""What the list files say about one sample; JSON."""


class Clip(NamedTuple):
    """One sample to export.

    Attributes:
        key, split, text: as in the dataset; text is the caption.
        fps: frames per second.
        mp4: content of the clip's file.
        masks: T frames of the kept objects.
        object_ids, labels: of these objects.
        source: where the clip comes from: `video_id`, `url`, `licence`, `start_s`, `end_s`.
    """

    key: str
    split: str
    text: str
    fps: float
    mp4: bytes
    masks: MaskSequence
    object_ids: tuple[int, ...]
    labels: tuple[str, ...]
    source: dict[str, Any]

    def frames(self) -> np.ndarray:
        """The clip, (T, H, W, 3) uint8 RGB.

        Raises:
            MediaError: it does not decode, or its size or number of frames differs from the masks'.
        """
        from mvideo_core.media.decode import read_clip

        frames = read_clip(io.BytesIO(self.mp4))
        expected = (self.masks.n_frames, self.masks.height, self.masks.width)
        if frames.shape[:3] != expected:
            raise MediaError(f"frames of {frames.shape[:3]}, but masks of {expected} (frames, height, width)")
        return frames


class Entries(NamedTuple):
    """Entries of all samples, read from the disk each time.

    Attributes:
        splits: exported splits.
        of: entries of a split, in the order of the index.
    """

    splits: tuple[str, ...]
    of: Callable[[str], Iterator[Entry]]


class ExportFormat(ABC):
    """Writes samples for one kind of reader.

    Attributes:
        title: what reads it, in a line.
        losses: what of a sample does not survive.
    """

    title: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]

    @abstractmethod
    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """Write one sample's own files below `out` and return its entry. The same clip gives the same bytes.

        An entry may hold `hidden_px`, pixels of objects that lie under a later object and are not kept.
        """

    @abstractmethod
    def finish(self, out: Path, entries: Entries) -> None:
        """Write the files that list all samples; nothing that grows with their number is held in memory."""


EXPORTS: Registry[type[ExportFormat]] = Registry("export format", "mvideo_core.shards.exports")
