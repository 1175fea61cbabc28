"""Choose the clips of each shot. Pure arithmetic on times; works while the video is still being read.

Times are seconds of the source. Clip frame k of the whole video is the frame on screen at time k / fps.
"""

import math
from typing import Literal, NamedTuple

from mvideo_core.base.records import Record

_EPS_S = 1e-6


class Boundary(NamedTuple):
    """Where one shot ends and the next begins: start_s == end_s for a hard cut; a span for a dissolve, fade or wipe."""

    start_s: float
    end_s: float
    kind: Literal["cut", "gradual", "span", "wipe"]


class PlannedClip(NamedTuple):
    """Clip of `n_frames` from video-wide frame number `first_frame`."""

    shot_index: int
    first_frame: int
    n_frames: int


class DroppedShot(Record):
    """A stretch without a clip, and why: `reason`, the value seen and its limit."""

    shot_index: int
    start_s: float
    end_s: float
    reason: str
    value: float
    threshold: float


class ClipRules(NamedTuple):
    """The `CutOptions` that the plan uses."""

    fps: float
    min_shot_s: float
    trim_s: float
    min_frames: int
    max_frames: int
    clips_per_shot: int = 0
    spans_s: tuple[tuple[float, float], ...] | None = None
    """Only footage inside one of these spans is used; None = everything."""


class ShotPlanner:
    """Turns ordered boundaries into clips; returns each clip as soon as it is final.

    A shot shorter than `min_shot_s` is dropped. In longer shots, `trim_s` next to each boundary (not at the ends of the
    file) is skipped, the rest is cut into consecutive clips of `max_frames`, and the remainder becomes one more clip of
    8 n + 1 frames if it has at least `min_frames`.
    """

    def __init__(self, rules: ClipRules):
        self.rules = rules
        self.dropped: list[DroppedShot] = []
        self.transitions: list[Boundary] = []
        self.shot_index = 0
        self._open(0.0, 0.0)

    def begin(self, first_s: float) -> None:
        """Set the time of the video's first frame; call this first."""
        self._open(first_s, 0.0)

    @property
    def needed_from(self) -> int:
        """Frames before this number are no longer needed."""
        return self._next_frame

    @property
    def idle(self) -> bool:
        """Whether the open shot gives no more clips, no matter how long it gets."""
        return not (self._wants_more() and self._in_span())

    def advance(self, settled_s: float) -> list[PlannedClip]:
        """Full-length clips that no boundary at or after `settled_s` can affect."""
        rules, clips = self.rules, []
        while settled_s - self._start_s >= rules.min_shot_s and self._wants_more() and self._in_span():
            end_s = (self._next_frame + rules.max_frames - 1) / rules.fps + rules.trim_s
            if end_s >= settled_s - _EPS_S:
                break
            clips.append(self._take(rules.max_frames))
        return clips

    def close(self, boundary: Boundary) -> list[PlannedClip]:
        """End the shot at a boundary and open the next; a boundary that touches the previous one extends it instead."""
        trim = 0.0 if boundary.kind == "span" else self.rules.trim_s
        if self.transitions and self._touches(self.transitions[-1], boundary):
            last = self.transitions[-1]
            end_s = max(last.end_s, boundary.end_s)
            kind = last.kind if end_s == last.start_s or last.kind == "wipe" else "gradual"
            self.transitions[-1] = Boundary(last.start_s, end_s, kind)
            self._open(end_s, 0.0 if last.kind == boundary.kind == "span" else self.rules.trim_s)
            return []
        clips = self._end(boundary.start_s, trim)
        self.transitions.append(boundary)
        self.shot_index += 1
        self._open(boundary.end_s, trim)
        return clips

    def _touches(self, last: Boundary, boundary: Boundary) -> bool:
        """Whether the two overlap or are halves of one fade: everything between them would be trimmed."""
        gap_s = 2 * self.rules.trim_s if {"gradual", "wipe"} & {last.kind, boundary.kind} else 0.0
        if "span" in (last.kind, boundary.kind):
            gap_s = 0.0
        return boundary.start_s <= last.end_s + gap_s + _EPS_S

    def finish(self, end_s: float, n_frames: int) -> list[PlannedClip]:
        """End the last shot at the end of the video, which has `n_frames` clip frames."""
        return self._end(end_s, 0.0, n_frames)

    def _open(self, start_s: float, trim_s: float) -> None:
        self._start_s = start_s
        self._made = 0
        self._next_frame = math.ceil((start_s + trim_s) * self.rules.fps - _EPS_S)

    def _wants_more(self) -> bool:
        return not self.rules.clips_per_shot or self._made < self.rules.clips_per_shot

    def _in_span(self) -> bool:
        """Whether the open shot is in one of the spans; span edges are boundaries, so a shot is inside or outside."""
        spans = self.rules.spans_s
        return spans is None or any(start - _EPS_S <= self._start_s < end - _EPS_S for start, end in spans)

    def _take(self, n_frames: int) -> PlannedClip:
        clip = PlannedClip(self.shot_index, self._next_frame, n_frames)
        self._next_frame += n_frames
        self._made += 1
        return clip

    def _end(self, end_s: float, trim_s: float, n_frames: float = math.inf) -> list[PlannedClip]:
        rules, clips = self.rules, []
        length_s = end_s - self._start_s
        if not self._in_span():
            self._drop(end_s, "outside_spans", length_s, 0.0)
            return []
        if length_s < rules.min_shot_s - _EPS_S:
            self._drop(end_s, "shot_too_short", length_s, rules.min_shot_s)
            return []
        left = int(min(math.ceil((end_s - trim_s) * rules.fps - _EPS_S), n_frames)) - self._next_frame
        while left >= rules.min_frames and self._wants_more():
            clips.append(self._take(min(rules.max_frames, 8 * ((left - 1) // 8) + 1)))
            left -= clips[-1].n_frames
        if not self._made:
            self._drop(end_s, "too_few_frames", max(left, 0), rules.min_frames)
        return clips

    def _drop(self, end_s: float, reason: str, value: float, threshold: float) -> None:
        if end_s - self._start_s > _EPS_S:
            self.dropped.append(
                DroppedShot(
                    shot_index=self.shot_index,
                    start_s=self._start_s,
                    end_s=end_s,
                    reason=reason,
                    value=value,
                    threshold=threshold,
                )
            )


def union_of_spans(spans_s: list[list[float]]) -> tuple[tuple[float, float], ...]:
    """Sort spans and merge those that touch or overlap; e.g. [[5, 7], [0, 2], [1, 3]] -> ((0, 3), (5, 7))."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted((start, end) for start, end in spans_s):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif end > start:
            joined.append((start, end))
    return tuple(joined)
