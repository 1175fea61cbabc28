"""Cut one video: decode once, find shots, write clips, account for every stretch without a clip."""

import bisect
import math
import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.cpu_kernels import one_blas_thread
from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import Record, VideoRow
from mvideo_core.curation.filters.bars import Bars
from mvideo_core.curation.scenes import SCENE_DETECTORS, SceneDetector
from mvideo_core.curation.scenes.clip_writer import ClipWriter, Encoding
from mvideo_core.curation.scenes.color_check import SourceColors, mean_of_frame, picture_part
from mvideo_core.curation.scenes.crop_bars import bars_of_video, without_bars
from mvideo_core.curation.scenes.gradual import GradualFinder
from mvideo_core.curation.scenes.jumps import Jumps
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.curation.scenes.plan import Boundary, ClipRules, DroppedShot, PlannedClip, ShotPlanner, union_of_spans
from mvideo_core.curation.scenes.stream import ClipFrame, Geometry, SmallFrame, open_decode
from mvideo_core.curation.scenes.wipes import WipeFinder, without_margin
from mvideo_core.media.damage import find_damage_s
from mvideo_core.media.files import AnyPath, open_regular, sniff
from mvideo_core.processes import sandbox

_BLEND_SHARE = 0.3
"""Fraction of a wipe's span (with margins) from which dissolves found there explain it."""
_BLEND_MARGIN_S = 0.15


class CutClip(Record):
    """One written clip; times are seconds of the source, half-open."""

    shot_index: int
    start_s: float
    end_s: float
    n_frames: int
    path: str
    decode_errors: int = 0
    color_shift: float = 0.0
    jumps: int = 0


class Transition(Record):
    """Where a shot ends and another begins: kind "cut" (no length), "gradual", "wipe", or "span" (edge of a span)."""

    start_s: float
    end_s: float
    kind: str


class CutResult(Record):
    """Everything found in one video: each second is in a clip, next to a clip of the same shot, in a dropped shot or in
    a transition."""

    clips: list[CutClip]
    dropped: list[DroppedShot]
    transitions: list[Transition]
    n_shots: int
    n_frames: int
    duration_s: float
    decode_errors: int
    bars: list[float] = []
    """What was cropped at top, bottom, left and right of the source's picture, fractions; [] = nothing."""


def cut_video(
    path: AnyPath, video: VideoRow, out_dir: AnyPath, options: CutOptions, root: AnyPath | None = None
) -> CutResult:
    """Write the clips of one video into `out_dir`, named after their start in milliseconds (00012500.mp4).

    Args:
        path: the video; untrusted.
        video: its row; size, duration and spans are used.
        out_dir: existing folder.
        options: see `CutOptions`.
        root: folder that links must stay inside.

    Raises:
        MediaError: the file is damaged, malicious or too expensive to decode; `out_dir` may then contain some clips.
        StoreError: a clip cannot be written to `out_dir`: disk full, quota, read-only.
        ConfigError, ModelError: bad options or missing weights of the detector.
    """
    detector_type = SCENE_DETECTORS.get(options.detector)
    detector = detector_type(detector_type.options_type.parse(options.detector_options, "cut.detector_options"))  # type: ignore[call-arg]
    wall_s = options.wall_s_base + options.wall_s_per_s * video.duration_s
    limits = sandbox.Limits(wall_s=wall_s, cpu_s=int(4 * wall_s), memory_bytes=int(options.memory_gib * 2**30))
    decoding = {"threads": options.decode_threads, "max_pixels": options.max_pixels}
    what = os.fsdecode(path)
    with open_regular(path, root) as fd:
        sniff(fd)
        bars = Bars()
        if options.crop_bars:
            bars = bars_of_video(fd, what, video, limits, options.max_pixels)
            video = without_bars(video, bars)
        geometry = _geometry(video, options, bars)
        with (
            one_blas_thread(),
            ClipWriter(
                _choose_encoding(video, options), sandbox.Limits(wall_s=600), part=picture_part(video, geometry)
            ) as writer,
            open_decode(fd, what, geometry, limits, picture=video.picture, **decoding) as stream,
        ):
            cutting = _Cutting(options, video, geometry, detector, writer, Path(os.fsdecode(out_dir)))
            for frame in stream:
                cutting.take(frame)
            errors, damaged = stream.close_checked(), []
            if errors > options.max_decode_errors:
                raise MediaError(f"{what}: {errors} decoding errors; {options.max_decode_errors} allowed")
            if errors:
                damaged = find_damage_s(fd, what, limits, video.picture.stream_index, options.max_pixels)
            return cutting.finish(errors, damaged).model_copy(update={"bars": list(bars) if bars.area else []})


def _choose_encoding(video: VideoRow, options: CutOptions) -> Encoding:
    """Keep the source's primaries and transfer, which need no conversion; HDR and wide gamut become bt709."""
    picture = video.picture
    kept = ("bt709", "bt709") if picture.wide else (picture.primaries, picture.transfer)
    return Encoding(
        options.width, options.height, options.fps, options.crf, options.preset, options.encode_threads, *kept
    )


def _geometry(video: VideoRow, options: CutOptions, bars: Bars) -> Geometry:
    small_width = max(16, min(options.small_width, video.width or options.small_width))
    small_height = max(16, min(options.small_height, video.height or options.small_height))
    return Geometry(small_width, small_height, options.width, options.height, options.fps, options.fit, bars)


class _Change(NamedTuple):
    time_s: float
    value: float


class _Cutting:
    """State while cutting one video: shots known so far, and clip frames that may still be needed."""

    def __init__(
        self,
        options: CutOptions,
        video: VideoRow,
        geometry: Geometry,
        detector: SceneDetector,
        writer: ClipWriter,
        out_dir: Path,
    ):
        self.options, self.detector, self.writer, self.out_dir = options, detector, writer, out_dir
        spans = union_of_spans(video.spans_s) if options.use_spans else None
        self.planner = ShotPlanner(
            ClipRules(
                options.fps,
                options.min_shot_s,
                options.trim_s,
                options.min_frames,
                options.max_frames,
                options.clips_per_shot,
                spans,
            )
        )
        self.finders: list[GradualFinder | WipeFinder] = []
        if options.gradual.enabled:
            self.finders.append(GradualFinder(options.gradual))
        if options.wipes.enabled:
            self.finders.append(WipeFinder(options.wipes))
        self.pending = [Boundary(edge, edge, "span") for span in spans or () for edge in span if edge > 0]
        self.geometry, self.part = geometry, picture_part(video, geometry)
        self.colors = SourceColors(video, geometry)
        self.jumps = Jumps()
        self.clips: list[CutClip] = []
        self.first_rgb: dict[str, np.ndarray] = {}
        self.refused: list[DroppedShot] = []
        self.frames: deque[ClipFrame] = deque()
        self.changes: deque[_Change] = deque()
        self.last_small: np.ndarray | None = None
        self.n_frames, self.n_clip_frames, self.first_s, self.last_s, self.step_s = 0, 0, 0.0, 0.0, 0.0

    def take(self, frame: SmallFrame | ClipFrame) -> None:
        """Process the next frame of either stream."""
        if isinstance(frame, ClipFrame):
            self.n_clip_frames = frame.number + 1
            if frame.number >= self.planner.needed_from:
                self.frames.append(frame)
            return
        if not self.n_frames:
            self.first_s = self.last_s = frame.time_s
            self.planner.begin(frame.time_s)
            self.pending = [boundary for boundary in self.pending if boundary.start_s > frame.time_s]
        self.n_frames += 1
        self.step_s, self.last_s = frame.time_s - self.last_s, frame.time_s
        self.colors.feed(frame)
        self.jumps.feed(frame)
        if self.options.min_motion:
            self._note_change(frame)
        self._note(self.detector.feed(*frame), [found for finder in self.finders for found in finder.feed(*frame)])
        self._settle(min(one.settled_s for one in (self.detector, *self.finders)))

    def finish(self, decode_errors: int, damaged_s: list[float]) -> CutResult:
        """Close the last shot, wait for the encoders, check the clips, and build the result.

        Args:
            decode_errors: number of decoder errors.
            damaged_s: times of damaged frames relative to the first frame, ascending.
        """
        if not self.n_frames:
            raise MediaError("no video frame could be decoded")
        duration_s = self.last_s + self.step_s
        self._note(self.detector.finish(), [found for finder in self.finders for found in finder.finish()])
        self.pending = [boundary for boundary in self.pending if boundary.start_s < duration_s]
        self._settle(float("inf"))
        for clip in self.planner.finish(duration_s, self.n_clip_frames):
            self._emit(clip)
        self.writer.wait()
        judged = [self._judge(clip, damaged_s) for clip in self.clips]
        return CutResult(
            clips=[clip for clip in judged if clip],
            dropped=sorted(self.planner.dropped + self.refused, key=lambda shot: (shot.start_s, shot.end_s)),
            transitions=[Transition(**boundary._asdict()) for boundary in self.planner.transitions],
            n_shots=self.planner.shot_index + 1,
            n_frames=self.n_frames,
            duration_s=duration_s,
            decode_errors=decode_errors,
        )

    def _note(self, cuts_s: list[float], gradual: list[Boundary]) -> None:
        for boundary in [Boundary(cut_s, cut_s, "cut") for cut_s in cuts_s] + gradual:
            bisect.insort(self.pending, boundary)

    def _settle(self, settled_s: float) -> None:
        while self.pending and self.pending[0].end_s < settled_s:
            boundary = self.pending.pop(0)
            if boundary.kind == "wipe" and (blend := self._blend_in(boundary)):
                bisect.insort(self.pending, blend)
                continue
            for clip in self.planner.close(boundary):
                self._emit(clip)
        settled_s = min([settled_s, *(boundary.start_s for boundary in self.pending[:1])])
        if settled_s != float("inf"):
            for clip in self.planner.advance(settled_s):
                self._emit(clip)
        needed = self.planner.needed_from
        if self.planner.idle and math.isfinite(settled_s):
            needed = max(needed, math.floor(settled_s * self.options.fps))
        while self.frames and self.frames[0].number < needed:
            self.frames.popleft()
        self.colors.forget(needed / self.options.fps)
        self.jumps.forget(needed / self.options.fps)

    def _blend_in(self, wipe: Boundary) -> Boundary | None:
        """The dissolve or fade (or both halves of one) mistaken for a wipe; its ends are known more precisely."""
        near = [one for one in self.planner.transitions[-1:] + self.pending if one.kind == "gradual"]
        near = [one for one in near if one.start_s < wipe.end_s and one.end_s > wipe.start_s]
        if sum(one.end_s - one.start_s for one in near) < _BLEND_SHARE * (wipe.end_s - wipe.start_s):
            return None
        first_s, last_s = min(one.start_s for one in near), max(one.end_s for one in near)
        found = without_margin(wipe)
        start_s, end_s = max(found.start_s, first_s - _BLEND_MARGIN_S), min(found.end_s, last_s + _BLEND_MARGIN_S)
        return Boundary(min(start_s, first_s), max(end_s, last_s), "gradual")

    def _emit(self, clip: PlannedClip) -> None:
        fps = self.options.fps
        start_s, end_s = clip.first_frame / fps, (clip.first_frame + clip.n_frames) / fps
        wanted = [frame for frame in self.frames if 0 <= frame.number - clip.first_frame < clip.n_frames]
        if len(wanted) != clip.n_frames:
            raise MediaError(f"{start_s:.3f} s: {len(wanted)} of {clip.n_frames} frames decoded; the file has gaps")
        path = str(self.out_dir / f"{round(start_s * 1000):08d}.mp4")
        made = CutClip(shot_index=clip.shot_index, start_s=start_s, end_s=end_s, n_frames=clip.n_frames, path=path)
        made = made.model_copy(update={"jumps": self.jumps.count(start_s, end_s)})
        motion = self._motion(start_s, end_s)
        if motion < self.options.min_motion:
            self._refuse(made, "too_still", motion, self.options.min_motion)
            return
        middle, last = wanted[len(wanted) // 2], wanted[-1]
        shift = max(self._shift(frame.number / fps, self._mean(frame)) for frame in (middle, last))
        self.first_rgb[path] = self.colors.at(start_s)
        self.writer.write([frame.yuv420p for frame in wanted], Path(path))
        self.clips.append(made.model_copy(update={"color_shift": shift}))

    def _mean(self, frame: ClipFrame) -> np.ndarray:
        return mean_of_frame(frame, self.geometry, self.part)

    def _shift(self, time_s: float, mean_rgb: np.ndarray) -> float:
        return float(np.abs(mean_rgb - self.colors.at(time_s)).max())

    def _judge(self, clip: CutClip, damaged_s: list[float]) -> CutClip | None:
        """The written clip with its damage and color shift; None if rejected: file deleted, reason recorded."""
        options, picture_s = self.options, (self.last_s - self.first_s) / max(1, self.n_frames - 1)
        begin = bisect.bisect_right(damaged_s, clip.start_s - self.first_s - picture_s + 1e-6)
        errors = bisect.bisect_left(damaged_s, clip.end_s - self.first_s) - begin
        read_back = np.abs(self.writer.means_rgb[Path(clip.path)] - self.first_rgb[clip.path]).max()
        shift = round(max(clip.color_shift, float(read_back)), 2)
        if errors > options.max_clip_errors:
            self._refuse(clip, "decode_errors", errors, options.max_clip_errors)
            return None
        if shift > options.max_color_shift:
            self._refuse(clip, "color_shift", shift, options.max_color_shift)
            return None
        return clip.model_copy(update={"decode_errors": errors, "color_shift": shift})

    def _refuse(self, clip: CutClip, reason: str, value: float, threshold: float) -> None:
        Path(clip.path).unlink(missing_ok=True)
        span = {"shot_index": clip.shot_index, "start_s": clip.start_s, "end_s": clip.end_s}
        self.refused.append(DroppedShot(**span, reason=reason, value=value, threshold=threshold))

    def _note_change(self, frame: SmallFrame) -> None:
        if self.last_small is not None:
            change = np.abs(frame.bgr.astype(np.int16) - self.last_small).mean()
            self.changes.append(_Change(frame.time_s, float(change)))
        self.last_small = frame.bgr
        while self.changes and self.changes[0].time_s < self.planner.needed_from / self.options.fps:
            self.changes.popleft()

    def _motion(self, start_s: float, end_s: float) -> float:
        values = [change.value for change in self.changes if start_s < change.time_s < end_s]
        return float(np.mean(values)) if values else 0.0
