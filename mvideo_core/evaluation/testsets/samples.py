"""Records of a test set: samples with their objects, the selection rule, and counts of dropped candidates."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import problems_of
from mvideo_core.base.records import PlannedSample, Record

FPS = 8.0
"""Frames per second of generated videos (paper, section 4.4)."""


@dataclass(frozen=True, slots=True)
class TestCandidate:
    """A finished triplet, as input to a builder.

    Attributes:
        objects: (object id in the mask file, label) of each kept object.
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
        """Frames of the longest video that the masks can guide, at the models' 8 fps."""
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
        wanted: requested size; `samples` may be fewer, but not more.
        left_out: reason -> candidates.
        per_class: label -> samples.
        held_out: video ids (and source digests) excluded from training.
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
    """Convert a planned sample to a candidate.

    Raises:
        ConfigError: its .json member was not written by this project.
    """
    try:
        meta = json.loads(sample.meta_json)
        objects = tuple((int(one["object_id"]), str(one["label"])) for one in meta["objects"] if one["kept"])
        source = dict(meta["source"])
        fps = float(meta.get("fps", FPS))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{sample.key}: its .json member lacks objects or source: {error!r}") from None
    return TestCandidate(
        key=sample.key, video_id=sample.video_id, source_sha256=source.get("sha256", ""), objects=objects,
        texts=(sample.caption, source.get("title", "")), n_frames=sample.n_frames, fps=fps,
    )  # fmt: skip


def write_test_set(test_set: TestSet, path: str | Path) -> None:
    """Write one JSON file: origin, then samples; the same set gives the same bytes."""
    text = json.dumps(test_set.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    write_whole(Path(path), text + "\n")


def read_test_set(path: str | Path) -> TestSet:
    """Read a test set.

    Raises:
        ConfigError: missing or in another format.
    """
    try:
        return TestSet.model_validate_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a test set: {problems_of(error)}; make it with `mvideo testset`") from None


def write_list(entries: list[str], path: str | Path, heading: str) -> None:
    """Write a list for `shard.held_out_list` or `shard.removal_list`: a comment, then one entry per line."""
    lines = [f"# {line}" for line in heading.splitlines()] + sorted(entries)
    write_whole(Path(path), "\n".join(lines) + "\n")
