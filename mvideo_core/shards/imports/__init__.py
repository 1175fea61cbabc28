"""Layouts that `mvideo dataset import` reads. NAME is the name of a sample.

- Object ids are numbered from 0. Scores are 0, because no format has them.
- Folders and lists whose names begin with `test` or `val` go to the test split, all others to the train split. Without
  folders or lists of splits, everything goes to the train split.
- H.264 clips in an mp4 are copied unchanged; all others are re-encoded.
- A sample is left out, and the command names it, if it is damaged, if its frames and masks differ in number or size, or
  if its metadata has a value of the wrong type (such as a number as caption) or another frame rate than its video.
- Polygons, and COCO lists of single images, are refused.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from mvideo_core.base.registry import Registry
from mvideo_core.masks import MaskSequence

UNNAMED = "object"
"""Label of objects in formats without class names."""


class Incoming(NamedTuple):
    """One sample as read.

    Attributes:
        mp4: content of the clip's file: H.264, as many frames as the masks, of the same size.
        fps: frames per second.
        masks: T frames of N objects.
        labels: of the objects.
        text: the caption; "" if the format has none.
        source: what is known of `video_id`, `url`, `licence`, `start_s`, `end_s`.
    """

    mp4: bytes
    fps: float
    masks: MaskSequence
    labels: tuple[str, ...]
    text: str = ""
    source: dict[str, Any] = {}


class Listed(NamedTuple):
    """One sample of a folder, not opened yet.

    Attributes:
        name: unique within the folder; becomes the key.
        split: "train" or "test".
        load: reads it. Raises MediaError: its files are damaged or do not match.
    """

    name: str
    split: str
    load: Callable[[], Incoming]


class ImportFormat(ABC):
    """Reads the samples of one layout.

    Args:
        fps: frames per second of formats that do not state them; 0 = not given.

    Attributes:
        title: what the layout is, in a line.
        losses: what does not survive.
        states_fps: it always states the frame rate, so that none can be given.
    """

    title: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]
    states_fps: ClassVar[bool] = True

    def __init__(self, fps: float = 0.0):
        self.fps = fps

    @abstractmethod
    def samples(self, root: Path) -> Iterator[Listed]:
        """All samples, always in the same order; nothing is decoded.

        Raises:
            ConfigError: the folder does not have this layout.
        """


IMPORTS: Registry[type[ImportFormat]] = Registry("import format", "mvideo_core.shards.imports")
