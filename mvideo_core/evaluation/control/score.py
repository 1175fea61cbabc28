"""The control score of one item, 0 to 1:

    control = mean(min(gain, 1 / gain)) / (1 + |lag| / 0.5 s) / (1 + leakage) * identity * (1 + outline) / 2

A negative gain counts as 0. Each of these halves the score: a gain of one half, a lag of half a second, neighbors that
move as much as the object, or boxes instead of outlines. A video that ignores its masks or moves the wrong object gets
0. What cannot be determined, such as the identity of a single object, is not penalized. Scores of systems whose control
is known: docs/results/accuracy.md#the-control-score.
"""

from collections.abc import Sequence

import numpy as np

from mvideo_core.evaluation.control.fit import ControlFit, Run, fit_control
from mvideo_core.evaluation.control.outlines import measure_edited_overlap, outline_share

HALF_LAG_S = 0.5


def score_control(
    base: Run, edits: Sequence[Run], fps: float, dropped: Sequence[float | None] = (), source: Run | None = None,
    unknown: frozenset[str] = frozenset(),
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Control score in [0, 1] and its parts, except parts that cannot be determined.

    Args:
        base, edits, dropped: as `fit_control` takes them.
        fps: frames per second of the runs.
        source: the judge's masks of the source video, for the ceiling; None = a ceiling of 1.
        unknown: edits whose identity the judge cannot determine.

    Returns:
        The score; gain, lag_frames, leakage, identity, outline, miou, miou_chance, miou_ceiling, miou_normalized,
        gain_<edit> for each edit, n_edits, n_lost.

    Raises:
        MediaError: as `fit_control`.
    """
    found = fit_control(base, edits, dropped)
    outline = outline_share([base, *edits], [source] if source is not None else [])
    ceiling = _source_overlap(source) if source is not None else 1.0
    overlap = measure_edited_overlap(base, edits, ceiling)
    parts: dict[str, float | None] = {
        "gain": found.gain,
        "lag_frames": found.lag_frames,
        "leakage": _mean([one.leakage for one in found.edits]),
        "identity": _mean([one.identity for one in found.edits if one.edit not in unknown]),
        "outline": outline,
        "miou": overlap.miou if overlap else None,
        "miou_chance": overlap.chance if overlap else None,
        "miou_ceiling": ceiling,
        "miou_normalized": overlap.normalized if overlap else None,
        "n_edits": float(len(found.edits)),
        "n_lost": float(found.n_lost),
    }
    parts |= {f"gain_{one.edit}": one.gain for one in found.edits}
    return combine_parts(found, parts, fps), {name: value for name, value in parts.items() if value is not None}


def combine_parts(found: ControlFit, parts: dict[str, float | None], fps: float) -> float:
    """The score, as defined at the top of this file; leakage and identity are means over the edits that have them."""
    response = float(np.mean([count_down(one.gain) for one in found.edits]))
    lag_s = abs(found.lag_frames or 0.0) / fps
    leakage, identity, outline = (parts[name] for name in ("leakage", "identity", "outline"))
    return (
        response
        / (1 + lag_s / HALF_LAG_S)
        / (1 + (leakage or 0.0))
        * (1.0 if identity is None else identity)
        * (1 + (1.0 if outline is None else outline)) / 2
    )  # fmt: skip


def count_down(gain: float) -> float:
    """1 at a gain of 1, less on both sides; 0 for no gain and for the opposite direction."""
    if gain <= 0:
        return 0.0
    return min(gain, 1 / gain)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return float(np.mean(known)) if known else None


def _source_overlap(source: Run) -> float:
    """Plain overlap of the judge's masks of the source video with the masks, mean over objects and frames."""
    from mvideo_core.masks.measure import areas, ious

    wanted_TN = areas(source.wanted) > 0
    return float(ious(source.seen, source.wanted)[wanted_TN].mean()) if wanted_TN.any() else 1.0
