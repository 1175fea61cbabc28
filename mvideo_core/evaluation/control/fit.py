"""The state of an object is its center (x and y, in units of the mean object size) and the logarithm of its size.

W is the state that the masks request, S the state observed in the video. Subscript 0 is without an edit, subscript e
with the edit e:

    requested change  D_e(t) = W_e(t) - W_0(t)
    response          R_e(t) = S_e(t) - S_0(t)

Errors of the model or the segmenter that are the same in both videos cancel.

- **gain**: R_e(t) = gain * D_e(t - lag), least squares over all frames, objects and edits, each edit weighted so that
  its requested change counts the same. 1 = follows, 0.5 = goes half as far, 0 = ignores. A frame in which the object is
  not found counts as no response, and is not used for the lag. For a dropped object, the gain is the share of the
  object that is gone.
- **lag**: the delay, in frames, at which the requested changes best explain the responses (the peak of the normalized
  cross-correlation). It is one number for all edits, and may be fractional. It is None if the requests explain less
  than a quarter of the responses.
- **leakage**: root mean square change of the objects that an edit leaves alone, divided by the root mean square change
  that it requests of the edited objects.
- **identity**: share of edits in which the edited object responded most, with a gain of at least 0.2. For a swap, the
  share of the two objects that arrived.

Shape letters: T frames, N objects, K state components (3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.control.tracks import Tracks, find_covered, measure_tracks
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.measure import iou

LEAST_REQUEST = 0.05
"""Root mean square change, in object sizes or their logarithm, below which an edit requests nothing of an object."""
UNTOUCHED = 0.98
"""Mean IoU of an object's masks with and without an edit, above which the edit leaves the object alone."""
MOVED = 0.2
"""Minimum gain of an object that counts as having followed."""
EXPLAINED = 0.25
"""Share of the response that gain and lag must explain for a lag to be reported."""
MAX_LAG_FRAMES = 12
COARSE, FINE = 0.25, 0.025
"""Steps of the search for the lag, frames."""


@dataclass(frozen=True)
class Run:
    """Masks of one video: the masks it was made from, and the masks of the objects in it (same T, N, H, W). `edit`: ""
    = none.
    """

    edit: str
    wanted: MaskSequence
    seen: MaskSequence

    @cached_property
    def wanted_tracks(self) -> Tracks:
        """Requested paths."""
        return measure_tracks(self.wanted)

    @cached_property
    def seen_tracks(self) -> Tracks:
        """Observed paths."""
        return self.wanted_tracks if self.seen is self.wanted else measure_tracks(self.seen)

    @cached_property
    def covered_TN(self) -> np.ndarray:
        """Where other objects cover a requested mask, bool (T, N)."""
        return find_covered(self.wanted)


class EditFit(NamedTuple):
    """What one edit did.

    Attributes:
        edit: its name.
        gain: of this edit at the common lag; of a dropped object, the share that is gone.
        leakage: None where every object is edited.
        identity: None where it cannot be determined.
    """

    edit: str
    gain: float
    leakage: float | None
    identity: float | None


class ControlFit(NamedTuple):
    """All edits of one item.

    Attributes:
        gain: of all edits that move something; None if all edits only drop objects.
        lag_frames: None = no lag can be determined.
        edits: the fit of each.
        n_lost: (frame, object) pairs of edited objects that were not found.
    """

    gain: float | None
    lag_frames: float | None
    edits: tuple[EditFit, ...]
    n_lost: int


class _Change(NamedTuple):
    """Requested change and response of one edit, (T, N, K); which pairs count, and in which the object was found."""

    edit: str
    asked_TNK: np.ndarray
    done_TNK: np.ndarray
    counts_TN: np.ndarray
    found_TN: np.ndarray
    edited: list[int]
    others: list[int]
    moved_at_start: list[int]
    n_lost: int


def fit_control(base: Run, edits: Sequence[Run], dropped: Sequence[float | None] = ()) -> ControlFit:
    """The fit of one item.

    Args:
        base: run under the unedited masks.
        edits: runs under the edits, with the same frames, objects and size.
        dropped: per edit, the share of its dropped objects that is gone, where a judge measures it better than by area
            (a tracker finds something in every box); None or () = by area.

    Raises:
        MediaError: no edit, runs of different shape, or an edit that requests nothing.
    """
    _check_runs(base, edits)
    gone_at = dict(enumerate(dropped))
    drops: dict[int, EditFit] = {}
    changes: dict[int, _Change] = {}
    for place, run in enumerate(edits):
        empty = empty_objects(base, run)
        if empty:
            drops[place] = _fit_drop(base, run, empty, gone_at.get(place))
        else:
            changes[place] = _compare(base, run)
    moving = list(changes.values())
    lag = _find_lag(moving) if moving else None
    fits = {place: _fit_edit(change, lag or 0.0) for place, change in changes.items()} | drops
    return ControlFit(
        gain=_fit_gain(moving, lag or 0.0) if moving else None,
        lag_frames=lag,
        edits=tuple(fits[place] for place in sorted(fits)),
        n_lost=sum(change.n_lost for change in moving),
    )


def empty_objects(base: Run, run: Run) -> list[int]:
    """Objects that have masks without the edit but none in any frame under it."""
    before, after = (one.wanted_tracks.visible_TN.any(axis=0) for one in (base, run))
    return np.flatnonzero(before & ~after).tolist()


def find_comparable(base: Run, run: Run) -> np.ndarray:
    """Where an object is requested with and without the edit, and no other object covers it, bool (T, N)."""
    both_TN = base.wanted_tracks.visible_TN & run.wanted_tracks.visible_TN
    return np.asarray(both_TN & ~base.covered_TN & ~run.covered_TN)


def measure_requested(base: Run, run: Run) -> list[float]:
    """Root mean square change requested of each object, in the frames that can be compared: position in mean object
    sizes, and the logarithm of the size.
    """
    unit = base.wanted_tracks.size_px
    change_TNK = run.wanted_tracks.states(unit) - base.wanted_tracks.states(unit)
    counts_TN = find_comparable(base, run)
    return [_rms(change_TNK[:, n][counts_TN[:, n]]) for n in range(counts_TN.shape[1])]


def find_edited(base: Run, run: Run) -> list[int]:
    """Objects whose masks the edit moves, resizes or empties."""
    moved = [n for n, change in enumerate(measure_requested(base, run)) if change >= LEAST_REQUEST]
    return sorted({*moved, *empty_objects(base, run)})


def _check_runs(base: Run, edits: Sequence[Run]) -> None:
    if not edits:
        raise MediaError("no edit to compare with")
    for run in edits:
        for masks in (run.wanted, run.seen, base.seen):
            if masks.shape != base.wanted.shape:
                raise MediaError(f"edit {run.edit!r}: {describe_shapes(masks.shape, base.wanted.shape)}")


def describe_shapes(seen: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """The message about an edit's masks whose shape differs from the item's."""
    return (
        f"masks of {list(seen)}, and without the edit of {list(wanted)} (frames, objects, height, width): they must be "
        "the same; empty the masks of an object that is dropped (edit `hide`), and cut longer ones (`trim`)"
    )


def _compare(base: Run, run: Run) -> _Change:
    """Requested change and response. Raises MediaError: nothing is requested."""
    wanted_0, seen_0, wanted_e, seen_e = base.wanted_tracks, base.seen_tracks, run.wanted_tracks, run.seen_tracks
    unit = wanted_0.size_px
    asked_TNK = wanted_e.states(unit) - wanted_0.states(unit)
    done_TNK = seen_e.states(unit) - seen_0.states(unit)
    found_TN = seen_0.visible_TN & seen_e.visible_TN
    done_TNK[~found_TN] = 0.0
    counts_TN = find_comparable(base, run)
    edited = find_edited(base, run)
    if not edited:
        most = max(measure_requested(base, run), default=0.0)
        raise MediaError(
            f"edit {run.edit!r} requests too little: its masks move or resize each object by at most {most:.3f} object "
            f"sizes where no other object covers it; at least {LEAST_REQUEST} is required; leave it out"
        )
    start = [n for n in edited if np.abs(asked_TNK[0, n]).max() >= LEAST_REQUEST]
    n_lost = int((counts_TN & ~found_TN)[:, edited].sum())
    others = [n for n in range(counts_TN.shape[1]) if n not in edited and _is_left_alone(base, run, n)]
    return _Change(run.edit, asked_TNK, done_TNK, counts_TN, found_TN, edited, others, start, n_lost)


def _is_left_alone(base: Run, run: Run, obj: int) -> bool:
    edges = [(base.wanted.mask_edges(t, obj), run.wanted.mask_edges(t, obj)) for t in range(base.wanted.n_frames)]
    shown = [iou(one, other) for one, other in edges if len(one) or len(other)]
    return bool(shown) and float(np.mean(shown)) >= UNTOUCHED


def _rms(states_XK: np.ndarray) -> float:
    """Root mean square length of state changes; 0 if there are none."""
    return float(np.sqrt(np.square(states_XK).sum(axis=-1).mean())) if len(states_XK) else 0.0


def delay_states(states_TNK: np.ndarray, lag_frames: float) -> np.ndarray:
    """states(t - lag), linear between frames; the first or last frame is held beyond the ends."""
    n_frames = len(states_TNK)
    place = np.clip(np.arange(n_frames) - lag_frames, 0, n_frames - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, n_frames - 1)
    share = (place - low)[:, None, None]
    return states_TNK[low] * (1 - share) + states_TNK[high] * share


def _products(change: _Change, lag: float) -> tuple[float, float, float]:
    """<R, D>, <D, D> at this lag and <R, R>, over the edited objects, each over <D, D> without lag; 0 if no frame
    counts.
    """
    asked = delay_states(change.asked_TNK, lag)[:, change.edited]
    done, counts = change.done_TNK[:, change.edited], change.counts_TN[:, change.edited]
    energy = np.square(change.asked_TNK[:, change.edited][counts]).sum()
    if not energy:
        return 0.0, 0.0, 0.0
    products = (done[counts] * asked[counts]).sum(), np.square(asked[counts]).sum(), np.square(done[counts]).sum()
    return tuple(float(one / energy) for one in products)  # type: ignore[return-value]


def _explain_share(changes: Sequence[_Change], lag: float) -> float:
    """Share of the response that delayed requests explain, each with a gain of its own; responses in the opposite
    direction do not count. So an edit without any response has no part in the lag.
    """
    found = [_products(one._replace(counts_TN=one.counts_TN & one.found_TN), lag) for one in changes]
    total = sum(done for _, _, done in found)
    explained = sum(cross * cross / asked for cross, asked, _ in found if cross > 0 and asked > 0)
    return float(explained / total) if total > 0 else 0.0


def _fit_gain(changes: Sequence[_Change], lag: float) -> float:
    cross, asked, _ = np.sum([_products(one, lag) for one in changes], axis=0)
    return float(cross / asked) if asked > 0 else 0.0


def _find_lag(changes: Sequence[_Change]) -> float | None:
    """Lag that explains most, the smallest if several are equal; None if nothing is explained."""
    most = min(MAX_LAG_FRAMES, (len(changes[0].asked_TNK) - 1) // 2)

    def find_best(lags: np.ndarray) -> float:
        ordered = sorted(lags.tolist(), key=abs)
        return ordered[int(np.argmax([round(_explain_share(changes, lag), 12) for lag in ordered]))]

    near = find_best(np.arange(-most, most + COARSE / 2, COARSE))
    found = find_best(np.clip(near + np.arange(-COARSE, COARSE + FINE / 2, FINE), -most, most))
    return round(found, 6) if _explain_share(changes, found) >= EXPLAINED else None


def _fit_edit(change: _Change, lag: float) -> EditFit:
    """Gain, leakage and identity of one edit at the common lag."""
    others = [n for n in change.others if change.counts_TN[:, n].any()]
    leakage = None
    if others:
        asked = _rms(change.asked_TNK[:, change.edited][change.counts_TN[:, change.edited]])
        leakage = _rms(change.done_TNK[:, others][change.counts_TN[:, others]]) / asked if asked else 0.0
    exchanged = len(change.moved_at_start) > 1
    followed = [_has_followed(change, n, others, lag) for n in change.edited]
    identity = float(np.mean(followed)) if others or exchanged else None
    return EditFit(change.edit, _fit_gain([change], lag), leakage, identity)


def _has_followed(change: _Change, obj: int, others: Sequence[int], lag: float) -> bool:
    """Whether an edited object moved as requested, and no unedited object did so more."""
    asked_TK = delay_states(change.asked_TNK, lag)[:, obj]

    def follow(n: int) -> float:
        counts = change.counts_TN[:, obj] & change.counts_TN[:, n]
        energy = np.square(asked_TK[counts]).sum()
        return float((change.done_TNK[counts, n] * asked_TK[counts]).sum() / energy) if energy else 0.0

    own = follow(obj)
    return own >= MOVED and all(follow(n) < own for n in others)


def _fit_drop(base: Run, run: Run, empty: Sequence[int], gone: float | None) -> EditFit:
    """How much of the dropped objects is gone, and how much of the others."""
    before, after, wanted = base.seen_tracks, run.seen_tracks, base.wanted_tracks.visible_TN
    lost_N = np.array([_lost_share(before, after, wanted[:, n], n) for n in range(wanted.shape[1])])
    if gone is not None:
        lost_N[list(empty)] = gone
    others = [n for n in range(len(lost_N)) if n not in empty and wanted[:, n].any()]
    own = float(lost_N[list(empty)].mean())
    leakage = float(lost_N[others].mean()) if others else None
    identity = float(own >= MOVED and all(lost_N[n] < own for n in others)) if others else None
    return EditFit(run.edit, own, leakage, identity)


def _lost_share(before: Tracks, after: Tracks, wanted_T: np.ndarray, obj: int) -> float:
    """Share of an object's area that is gone, averaged over the frames that request it; 0 where it was absent
    before.
    """
    counts = wanted_T & before.visible_TN[:, obj]
    if not counts.any():
        return 0.0
    size = np.exp(2 * (after.log_size_TN[counts, obj] - before.log_size_TN[counts, obj]))
    return float(1 - np.where(after.visible_TN[counts, obj], np.minimum(size, 1), 0).mean())
