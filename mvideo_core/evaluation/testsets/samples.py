"""What a test set is made of: samples with the objects to be judged, the rule that chose them, what was left out."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import PlannedSample, Record

FPS = 8.0
"""Frames per second of generated videos (paper, section 4.4)."""


@dataclass(frozen=True, slots=True)
class TestCandidate:
    """A finished triplet, offered to a builder.

    Attributes:
        objects: (object id in the mask file, label) of the kept objects.
        texts: caption and title.
        fps: frames per second of clip and masks.
    """

    __test__ = False

    key: str
    video_id: str
    source_sha256: str
    objects: tuple[tuple[int, str], ...]
    texts: tuple[str, ...]
    n_frames: int
    fps: float = FPS

    @property
    def generated_frames(self) -> int:
        """Frames of the longest video that the masks can guide, at the models' 8 per second."""
        return math.floor((self.n_frames - 1) / self.fps * FPS + 1e-6) + 1


class TestSample(Record):
    """One sample of a test set; `object_ids` are the masks that count."""

    __test__ = False

    key: str
    video_id: str
    label: str
    object_ids: list[int]
    caption: str
    n_frames: int


class TestSet(Record):
    """A test set and its origin.

    Attributes:
        name: "mask-to-video-test" or "complexmotion".
        options: of the builder.
        wanted: size asked for; `samples` may be fewer, never more.
        left_out: reason -> candidates.
        per_class: label -> samples.
        held_out: video ids (and source digests) that training must not see.
    """

    __test__ = False

    name: str
    options: dict[str, Any]
    wanted: int
    samples: list[TestSample]
    left_out: dict[str, int]
    per_class: dict[str, int]
    held_out: list[str]


def candidate_of(sample: PlannedSample) -> TestCandidate:
    """The candidate that a planned sample makes.

    Raises:
        ConfigError: its .json member is none of ours.
    """
    try:
        meta = json.loads(sample.meta_json)
        objects = tuple((int(one["object_id"]), str(one["label"])) for one in meta["objects"] if one["kept"])
        source = dict(meta["source"])
        fps = float(meta.get("fps", FPS))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{sample.key}: its .json member does not tell objects and source: {error!r}") from None
    return TestCandidate(
        key=sample.key, video_id=sample.video_id, source_sha256=source.get("sha256", ""), objects=objects,
        texts=(sample.caption, source.get("title", "")), n_frames=sample.n_frames, fps=fps,
    )  # fmt: skip


def write_test_set(test_set: TestSet, path: str | Path) -> None:
    """One JSON file: origin first, then the samples; the same set gives the same bytes."""
    text = json.dumps(test_set.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    write_whole(Path(path), text + "\n")


def read_test_set(path: str | Path) -> TestSet:
    """A written test set.

    Raises:
        ConfigError: absent or of another form.
    """
    try:
        return TestSet.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a test set: {error}") from None


def write_list(entries: list[str], path: str | Path, heading: str) -> None:
    """A list as `shard.held_out_list` and `shard.removal_list` read it: one entry a line below a comment."""
    lines = [f"# {line}" for line in heading.splitlines()] + sorted(entries)
    write_whole(Path(path), "\n".join(lines) + "\n")
