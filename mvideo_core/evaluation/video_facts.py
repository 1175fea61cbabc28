"""Facts about the scored files: measured length, size and frame rate, and sampling from their provenance.

Tables sort results by these facts, not by what a manifest declares.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import Record
from mvideo_core.evaluation.failed_videos import absence_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.media.probe import MediaInfo

SAME_SECONDS = 0.5
"""Lengths closer than this are equal: 97 frames at 8 fps are 12.0 s from first to last frame, 12.125 s in total."""
NOT_RECORDED = "sampling not recorded"
MAX_PROVENANCE_BYTES = 8 << 20
LATER = {"spacing": "", "dynamic_guidance": False}
"""Options that provenance omits at their defaults."""


class VideoFacts(Record):
    """Facts about one video file.

    Attributes:
        frames: number of frames.
        fps: frames per second.
        width_px, height_px: as displayed.
        sampling: sampler, steps and guidance from the provenance.json next to the video; "" = not recorded.
    """

    frames: int
    fps: float
    width_px: int
    height_px: int
    sampling: str = ""

    @property
    def seconds(self) -> float:
        """From the first frame to the last, as the paper counts it: 97 frames at 8 fps are 12 s."""
        return max(self.frames - 1, 0) / self.fps if self.fps else 0.0

    @property
    def label(self) -> str:
        """As in the paper's tables: "12 s x 480 x 720, 8 fps" (height x width)."""
        return f"{_short(self.seconds)} s x {self.height_px} x {self.width_px}, {_short(self.fps)} fps"


class ItemFacts(Record):
    """The facts of one item's video."""

    test_set: str = ""
    system: str = ""
    variant: str = ""
    id: str
    facts: VideoFacts


class VideoKind(Record):
    """Number of videos of a system with the same facts."""

    n: int
    facts: VideoFacts


def facts_of(item: EvalItem) -> VideoFacts | None:
    """Facts about the item's video; None if it is missing, unreadable or from an earlier request."""
    if absence_of(item.video) is not None:
        return None
    try:
        return facts_from(EvalVideo(item).info(), item.video)
    except MediaError:
        return None


def facts_from(info: MediaInfo, video: str) -> VideoFacts:
    """Facts about a probed video, with the sampling from its provenance."""
    return VideoFacts(
        frames=frames_in(info),
        fps=round(info.fps, 3),
        width_px=info.width,
        height_px=info.height,
        sampling=describe_sampling(Path(video)),
    )


def frames_in(info: MediaInfo) -> int:
    """Frames of a video; from its duration if the container has no count."""
    return info.n_frames or round((info.last_frame_s or info.duration_s) * info.fps)


def kinds(facts: Sequence[VideoFacts]) -> tuple[VideoKind, ...]:
    """Distinct facts with their counts, the most frequent first."""
    counts = Counter(facts)
    order = sorted(
        counts, key=lambda one: (-counts[one], one.seconds, one.height_px, one.width_px, one.fps, one.sampling)
    )
    return tuple(VideoKind(n=counts[one], facts=one) for one in order)


def describe(found: Sequence[VideoKind]) -> str:
    """ "12 s x 480 x 720, 8 fps", or each kind with its count; "" if empty."""
    counts: Counter[str] = Counter()
    for one in found:
        counts[one.facts.label] += one.n
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{n} of {label}" for label, n in counts.items())


def describe_sampling(video: Path) -> str:
    """How a video was sampled, from the provenance.json that `mvideo generate` and `eval generate` write next to it.

    Returns:
        "dpm, trailing timesteps, 50 steps, guidance 6, dynamic guidance"; "" if nothing is recorded.
    """
    place = video.parent / "provenance.json"
    try:
        if video.name != "video.mp4" or place.stat().st_size > MAX_PROVENANCE_BYTES:
            return ""
        decides = json.loads(place.read_text(encoding="utf-8"))["decides"]
        chosen: dict[str, Any] = decides.get("system") or decides["options"]
        return _describe_options(LATER | chosen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _describe_options(chosen: dict[str, Any]) -> str:
    name = chosen["scheduler"] or f"{chosen['pipeline']}'s own sampler"
    words = [str(name)]
    if chosen["spacing"]:
        words.append(f"{chosen['spacing']} timesteps")
    words += [f"{int(chosen['steps'])} steps", f"guidance {float(chosen['guidance']):g}"]
    return ", ".join([*words, "dynamic guidance" if chosen["dynamic_guidance"] else "constant guidance"])


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
