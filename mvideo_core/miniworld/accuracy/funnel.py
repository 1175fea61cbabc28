"""Funnel: check that every true shot was kept or dropped according to the rules."""

from mvideo_core.base.records import ClipRow
from mvideo_core.miniworld.accuracy.evidence import VideoEvidence
from mvideo_core.miniworld.accuracy.figures import BadCase, FunnelFigures
from mvideo_core.miniworld.world.truth import SourceTruth, TruthShot


class FunnelCounter:
    """Accumulates videos."""

    def __init__(self, min_shot_s: float, margin_s: float, tolerance_s: float):
        self.min_shot_s, self.margin_s, self.tolerance_s = min_shot_s, margin_s, tolerance_s
        self.counts: dict[str, int] = dict.fromkeys(
            ("long_kept", "long_lost", "short_dropped", "short_kept", "either", "mixed_clips", "unaccounted"), 0
        )
        self.n_videos = self.n_shots = self.n_clips = self.failed = 0
        self.bad: list[BadCase] = []

    def add(self, video: VideoEvidence) -> None:
        """One video."""
        truth = video.truth
        self.n_videos += 1
        self.n_shots += len(truth.shots)
        self.n_clips += len(video.ok_clips)
        self.failed += not [row for row in video.clips if row.status != "failed"]
        for shot in truth.shots:
            clips = [clip for clip in video.ok_clips if overlap(clip, shot) > 0.5 * (clip.end_s - clip.start_s)]
            self._shot(truth, shot, bool(clips))
            rows = [row for row in video.clips if row.status != "failed" and overlap(row, shot) > 0]
            self.counts["unaccounted"] += not rows
        for clip in video.ok_clips:
            if holds_a_cut(clip, truth, self.tolerance_s):
                self.counts["mixed_clips"] += 1
                self._note("mixed clip", truth, clip.key, f"{clip.start_s:.2f} to {clip.end_s:.2f} s")

    def _shot(self, truth: SourceTruth, shot: TruthShot, kept: bool) -> None:
        if shot.clean_end_s - shot.clean_start_s >= self.min_shot_s + self.margin_s:
            self.counts["long_kept" if kept else "long_lost"] += 1
            if not kept:
                self._note(
                    "lost shot", truth, "", f"shot {shot.index}, {shot.clean_start_s:.2f} to {shot.clean_end_s:.2f} s"
                )
        elif shot.end_s - shot.start_s < self.min_shot_s - self.margin_s:
            self.counts["short_kept" if kept else "short_dropped"] += 1
        else:
            self.counts["either"] += 1

    def _note(self, kind, truth: SourceTruth, clip: str, note: str) -> None:
        self.bad.append(BadCase(kind=kind, video=truth.name, clip=clip, label="", value=0.0, note=note))

    def figures(self) -> FunnelFigures:
        """Counts so far; `correct_frac` excludes shots near the limit."""
        right = self.counts["long_kept"] + self.counts["short_dropped"]
        wrong = self.counts["long_lost"] + self.counts["short_kept"]
        return FunnelFigures(
            min_shot_s=self.min_shot_s,
            margin_s=self.margin_s,
            n_videos=self.n_videos,
            n_shots=self.n_shots,
            n_clips=self.n_clips,
            failed_videos=self.failed,
            correct_frac=right / (right + wrong) if right + wrong else 1.0,
            **self.counts,
        )


def overlap(row: ClipRow, shot: TruthShot) -> float:
    """Overlap of a row's time range and a shot, in seconds."""
    return max(0.0, min(row.end_s, shot.end_s) - max(row.start_s, shot.start_s))


def holds_a_cut(clip: ClipRow, truth: SourceTruth, tolerance_s: float) -> bool:
    """Whether part of a true transition is inside the clip, more than the tolerance from its ends."""
    return any(cut.end_s > clip.start_s + tolerance_s and cut.start_s < clip.end_s - tolerance_s for cut in truth.cuts)
