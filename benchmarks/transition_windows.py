"""Windows of synthetic videos, measured and labeled, and the logistic regression over them. Legend: W windows."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.transition_videos import JoinKind, Video
from mvideo_core.curation.scenes import gradual, wipes

COVERED_IOU = {"blends": 0.75, "wipes": 0.6}
"""IoU of a window and a transition from which the window is an example of one; wipes are looked at in coarser steps."""
OTHERS_PER_VIDEO = 300


class Labeled(NamedTuple):
    """Measures (W, M) and labels (W,), 1 for a transition and 0 for none."""

    measures: np.ndarray
    labels: np.ndarray


def blend_spans(joins: Iterable[tuple[JoinKind, int, int]]) -> list[tuple[int, int]]:
    """First and last frame of every blend, its two clean ends; a fade is one to black and one from black."""
    spans = []
    for kind, start, end in joins:
        if kind == "dissolve":
            spans.append((start - 1, end))
        elif kind == "fade":
            middle = (start + end) // 2
            spans += [(start - 1, middle - 1), (middle, end)]
    return spans


def label_windows(
    first: np.ndarray, last: np.ndarray, spans: Sequence[tuple[int, int]], covered_iou: float, margin: int = 0
) -> np.ndarray:
    """(W,) int: 1 for windows that cover one of the spans, 0 for those that touch none, -1 for all others.

    Args:
        first, last: ends of the windows, (W,).
        margin: samples on either side of a window that must not touch a span, either.
    """
    labels = np.zeros(len(first), np.int64)
    for start, end in spans:
        common = np.minimum(last, end) - np.maximum(first, start)
        iou = common / (np.maximum(last, end) - np.minimum(first, start))
        touched = (common + margin > 0) & (labels == 0)
        labels = np.where(iou >= covered_iou, 1, np.where(touched, -1, labels))
    return labels


def label_blends(video: Video) -> Labeled:
    """All windows that may hold a blend."""
    features = [gradual.frame_features(frame) for frame in video.frames_THWC]
    thumbs = np.stack([thumb for thumb, _ in features])
    energies = np.array([energy for _, energy in features], np.float32)
    windows = gradual.candidate_windows(0, len(thumbs), 0)
    step = gradual.GradualOptions().max_step_share
    measures, possible = gradual.measure_windows(thumbs, energies, windows, step)
    labels = label_windows(windows[:, 0], windows[:, -1], blend_spans(video.joins), COVERED_IOU["blends"])
    kept = possible & (labels >= 0)
    return Labeled(measures[kept], labels[kept])


def label_wipes(video: Video) -> Labeled:
    """Windows whose histograms differ and that hold no hard cut: all on wipes, the most different of the others."""
    seen = space_frames(len(video.frames_THWC), float(video.fps), wipes.WipeOptions().min_spacing_s)
    features = [wipes.frame_features(video.frames_THWC[at]) for at in seen]
    pictures, histograms = [one for one, _ in features], [one for _, one in features]
    windows, measures = wipes.measure_histograms(np.stack(histograms), len(seen))
    spans = [
        (int(np.searchsorted(seen, start)) - 1, int(np.searchsorted(seen, end)))
        for kind, start, end in video.joins
        if kind == "wipe"
    ]
    labels = label_windows(windows[:, 0], windows[:, 1], spans, COVERED_IOU["wipes"], margin=wipes.SIDE)
    order = np.argsort(-(wipes.HISTOGRAM_SLOPE * measures[:, 0] + measures[:, 1]), kind="stable")
    n_others, rows, kept = 0, [], []
    for at in order:
        start, end = windows[at].tolist()
        if labels[at] < 0 or (labels[at] == 0 and n_others == OTHERS_PER_VIDEO):
            continue
        if wipes.is_sudden(histograms, start, end):
            continue
        n_others += int(labels[at] == 0)
        *_, both_pairs = wipes.measure_pictures(pictures, start, end)
        rows.append([*measures[at], *both_pairs])
        kept.append(labels[at])
    return Labeled(np.array(rows, np.float64).reshape(-1, 5), np.array(kept, np.int64))


def space_frames(n_frames: int, fps: float, min_spacing_s: float) -> np.ndarray:
    """Numbers of the frames that a finder looks at."""
    seen = [0]
    for number in range(1, n_frames):
        if (number - seen[-1]) / fps >= min_spacing_s - 1e-6:
            seen.append(number)
    return np.array(seen)


def fit_logistic(measures: np.ndarray, labels: np.ndarray, l2: float) -> list[float]:
    """Logistic regression: a weight for each measure, then the constant.

    Args:
        measures: (W, M).
        labels: (W,), 0 or 1.
        l2: half of this times the squared weights, of measures scaled to unit deviation, is added to the mean loss.
    """
    from scipy.optimize import minimize

    means, scales = measures.mean(0), measures.std(0) + 1e-9
    scaled = np.column_stack([(measures - means) / scales, np.ones(len(measures))]).astype(np.float64)
    pull = l2 * np.array([1.0] * measures.shape[1] + [0.0])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = scaled @ weights
        value = np.logaddexp(0, odds).mean() - (labels * odds).mean() + (pull * weights**2).sum() / 2
        slope = scaled.T @ (1 / (1 + np.exp(-odds)) - labels) / len(labels) + pull * weights
        return float(value), slope

    start = np.zeros(scaled.shape[1])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    weights = found[:-1] / scales
    return [*weights.tolist(), float(found[-1] - weights @ means)]
