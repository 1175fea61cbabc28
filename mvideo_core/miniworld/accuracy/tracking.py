"""Score masklets as tracks: HOTA, IDF1 and identity switches, with the definitions of the package trackeval.

A clip is a sequence. Letters: T frames, G true objects, P masklets, A the 19 overlap thresholds of HOTA.
Sources: Luiten et al. 2021 (HOTA); Ristani et al. 2016 (IDF1); Bernardin and Stiefelhagen 2008 (switches); Voigtlaender
et al. 2019 (masks instead of boxes, ignored regions).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

ALPHAS = np.arange(0.05, 0.99, 0.05)
MATCH_IOU = 0.5
"""IoU at which a mask counts as on an object, for IDF1, switches and ignored regions."""
EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Overlaps:
    """What one clip shows and what was found in it.

    Attributes:
        true: bool (T, G): the object is expected in the frame.
        found: bool (T, P): the masklet has a mask in the frame that counts.
        iou: float64 (T, G, P); only entries that are both true and found are used.
    """

    true: np.ndarray
    found: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True)
class TrackCounts:
    """Counts of one or more clips; add them with `total`.

    Attributes:
        tp_A, fn_A, fp_A: matched masks, missed objects and false masks at each threshold of HOTA.
        association_A: sum of the association scores of all matches.
        idtp, idfn, idfp: masks on their object, missed and false under the best one-to-one identities.
        switches: changes of the masklet that is on an object.
    """

    tp_A: np.ndarray
    fn_A: np.ndarray
    fp_A: np.ndarray
    association_A: np.ndarray
    idtp: int
    idfn: int
    idfp: int
    switches: int

    @property
    def det_A(self) -> np.ndarray:
        """Detection accuracy at each threshold."""
        return self.tp_A / np.maximum(1, self.tp_A + self.fn_A + self.fp_A)

    @property
    def ass_A(self) -> np.ndarray:
        """Association accuracy at each threshold."""
        return self.association_A / np.maximum(1, self.tp_A)

    @property
    def hota(self) -> float:
        """Mean over thresholds of the geometric mean of both."""
        return float(np.mean(np.sqrt(self.det_A * self.ass_A)))

    @property
    def det_a(self) -> float:
        """Mean detection accuracy."""
        return float(np.mean(self.det_A))

    @property
    def ass_a(self) -> float:
        """Mean association accuracy."""
        return float(np.mean(self.ass_A))

    @property
    def idf1(self) -> float:
        """F1 of masks on their own object."""
        return self.idtp / max(1.0, self.idtp + 0.5 * self.idfn + 0.5 * self.idfp)


def total(counts: Iterable[TrackCounts]) -> TrackCounts:
    """Sum over clips, as trackeval combines sequences."""
    none = np.zeros(len(ALPHAS))
    held = [TrackCounts(none, none, none, none, 0, 0, 0, 0), *counts]
    return TrackCounts(**{one.name: sum(getattr(each, one.name) for each in held) for one in fields(TrackCounts)})


def count(clip: Overlaps) -> TrackCounts:
    """All counts of one clip."""
    tp_A, association_A = _hota(clip)
    n_true, n_found = int(clip.true.sum()), int(clip.found.sum())
    idtp = sum(n for _, _, n in identities(clip))
    return TrackCounts(
        tp_A, n_true - tp_A, n_found - tp_A, association_A, idtp, n_true - idtp, n_found - idtp, _switches(clip)
    )  # fmt: skip


def overlaps_of(
    true: np.ndarray, masklets: np.ndarray, ignored: np.ndarray, expected: np.ndarray
) -> tuple[Overlaps, np.ndarray]:
    """Overlaps of all masks of a clip, and the share (T, P) of each masklet's mask that covers ignored pixels.

    Args:
        true: bool (T, G, H, W).
        masklets: bool (T, P, H, W).
        ignored: bool (T, H, W).
        expected: bool (T, G): objects that count in each frame.
    """
    found: np.ndarray = np.asarray(masklets.any(axis=(2, 3)))
    n_pixels = int(np.prod(true.shape[2:]))
    iou, share = np.zeros((*expected.shape, masklets.shape[1])), np.zeros(found.shape)
    for t in np.flatnonzero(found.any(axis=1)):
        g, p = np.flatnonzero(expected[t]), np.flatnonzero(found[t])
        # Pixel counts up to 2**24 are exact in float32.
        seen, mine = (masks.reshape(len(masks), n_pixels).astype(np.float32) for masks in (true[t, g], masklets[t, p]))
        shared, area = (seen @ mine.T).astype(np.float64), mine.sum(axis=1, dtype=np.float64)
        iou[t][np.ix_(g, p)] = shared / (seen.sum(axis=1, dtype=np.float64)[:, None] + area - shared)
        share[t, p] = mine @ ignored[t].reshape(-1).astype(np.float32) / area
    return Overlaps(expected, found, iou), share


def identities(clip: Overlaps) -> list[tuple[int, int, int]]:
    """One-to-one (object, masklet, frames on it), at most frames in total; pairs that never meet are left out."""
    from scipy.optimize import linear_sum_assignment

    frames = ((clip.iou >= MATCH_IOU) & _both(clip)).sum(axis=0)
    rows, columns = linear_sum_assignment(-frames)
    return [(int(g), int(p), int(frames[g, p])) for g, p in zip(rows, columns, strict=True) if frames[g, p]]


def drop_ignored(clip: Overlaps, ignored_share: np.ndarray) -> Overlaps:
    """The clip without masks that match no object and are mostly on ignored ones.

    Args:
        ignored_share: float (T, P): share of each mask that covers ignored objects.
    """
    from scipy.optimize import linear_sum_assignment

    found = clip.found & ~(ignored_share > 0.5 + EPS)
    for t in np.flatnonzero((found != clip.found).any(axis=1)):
        g, p = np.flatnonzero(clip.true[t]), np.flatnonzero(clip.found[t])
        iou = clip.iou[t][np.ix_(g, p)]
        rows, columns = linear_sum_assignment(-np.where(iou < MATCH_IOU - EPS, -10000.0, iou))
        matched = [c for r, c in zip(rows, columns, strict=True) if iou[r, c] >= MATCH_IOU - EPS]
        found[t, p[matched]] = True
    return Overlaps(clip.true, found, clip.iou)


def _both(clip: Overlaps) -> np.ndarray:
    both: np.ndarray = clip.true[:, :, None] & clip.found[:, None, :]
    return both


def _hota(clip: Overlaps) -> tuple[np.ndarray, np.ndarray]:
    """Matches and the sum of their association scores at each threshold."""
    from scipy.optimize import linear_sum_assignment

    iou = np.where(_both(clip), clip.iou, 0.0)
    rest = iou.sum(axis=2, keepdims=True) + iou.sum(axis=1, keepdims=True) - iou
    shared = np.where(rest > EPS, iou / np.where(rest > EPS, rest, 1.0), 0.0).sum(axis=0)
    lengths = clip.true.sum(axis=0)[:, None] + clip.found.sum(axis=0)[None]
    alignment = shared / np.maximum(lengths - shared, EPS)
    matches = np.zeros((len(ALPHAS), *alignment.shape))
    for t in np.flatnonzero(clip.true.any(axis=1) & clip.found.any(axis=1)):
        g, p = np.flatnonzero(clip.true[t]), np.flatnonzero(clip.found[t])
        here = iou[t][np.ix_(g, p)]
        rows, columns = linear_sum_assignment(-(alignment[np.ix_(g, p)] * here))
        matches[:, g[rows], p[columns]] += here[rows, columns] >= ALPHAS[:, None] - EPS
    scores = matches / np.maximum(1, lengths - matches)
    return matches.sum(axis=(1, 2)), (matches * scores).sum(axis=(1, 2))


def _switches(clip: Overlaps) -> int:
    """How often the masklet on an object differs from the one last on it.

    Each frame's matches prefer those of the frame before, then the highest total IoU.
    """
    from scipy.optimize import linear_sum_assignment

    n_true = clip.true.shape[1]
    last, before, switches = np.full(n_true, -1), np.full(n_true, -1), 0
    for t in np.flatnonzero(clip.true.any(axis=1) & clip.found.any(axis=1)):
        g, p = np.flatnonzero(clip.true[t]), np.flatnonzero(clip.found[t])
        iou = clip.iou[t][np.ix_(g, p)]
        score = np.where(iou < MATCH_IOU - EPS, 0.0, 1000.0 * (p[None] == before[g][:, None]) + iou)
        rows, columns = linear_sum_assignment(-score)
        met = score[rows, columns] > EPS
        objects, masklets = g[rows[met]], p[columns[met]]
        switches += int(((last[objects] >= 0) & (last[objects] != masklets)).sum())
        last[objects] = masklets
        before[:] = -1
        before[objects] = masklets
    return switches
