"""Score cut boundaries: precision, recall and F1, by type of transition."""

from collections.abc import Sequence

from mvideo_core.base.records import ClipRow
from mvideo_core.miniworld.accuracy.figures import CutFigures, Score
from mvideo_core.miniworld.world.truth import TruthCut

KINDS = ("hard", "dissolve", "fade")
NEAR_S = 1.0


def boundaries_of(clips: Sequence[ClipRow], trim_s: float, clip_fps: float) -> list[float]:
    """Shot starts detected by the cut stage, recovered from its rows, in seconds.

    A dropped stretch begins exactly at the boundary. A clip begins on the first clip frame at least `trim_s` later, so
    its boundary is known to within one clip frame; the middle is used.
    """
    starts: dict[int, ClipRow] = {}
    for row in clips:
        if row.status == "failed" or (row.status == "filtered" and row.end_s <= row.start_s):
            continue
        if row.shot_index not in starts or row.start_s < starts[row.shot_index].start_s:
            starts[row.shot_index] = row
    out = []
    for index, row in sorted(starts.items()):
        if index == 0:
            continue
        is_clip = row.status == "ok" or row.reason == "too_still"
        out.append(row.start_s - trim_s - 0.5 / clip_fps if is_clip else row.start_s)
    return sorted(out)


class CutCounter:
    """Accumulates videos."""

    def __init__(self, tolerance_s: float):
        self.tolerance_s = tolerance_s
        self.hits = dict.fromkeys(KINDS, 0)
        self.misses = dict.fromkeys(KINDS, 0)
        self.false_alarms = dict.fromkeys(KINDS, 0)

    def add(self, found_s: Sequence[float], true: Sequence[TruthCut]) -> None:
        """Add one video: each true transition matches the nearest boundary within the tolerance of its span, once."""
        left = sorted(found_s)
        pairs = sorted((abs(t - cut.time_s), i, t) for i, cut in enumerate(true) for t in left if self._fits(t, cut))
        taken: set[int] = set()
        for _, index, t in pairs:
            if index not in taken and t in left:
                taken.add(index)
                left.remove(t)
        for index, cut in enumerate(true):
            (self.hits if index in taken else self.misses)[cut.kind] += 1
        for t in left:
            self.false_alarms[_nearest_kind(t, true)] += 1

    def _fits(self, t: float, cut: TruthCut) -> bool:
        return cut.start_s - self.tolerance_s <= t <= cut.end_s + self.tolerance_s

    def figures(self) -> CutFigures:
        """Rates so far."""
        by_kind = {kind: Score.of(self.hits[kind], self.misses[kind], self.false_alarms[kind]) for kind in KINDS}
        total = Score.of(sum(self.hits.values()), sum(self.misses.values()), sum(self.false_alarms.values()))
        return CutFigures(tolerance_s=self.tolerance_s, all=total, by_kind=by_kind)


def _nearest_kind(t: float, true: Sequence[TruthCut]) -> str:
    near = [(max(cut.start_s - t, t - cut.end_s, 0.0), cut.kind) for cut in true]
    distance, kind = min(near, default=(NEAR_S + 1, "hard"))
    return kind if distance <= NEAR_S else "hard"
