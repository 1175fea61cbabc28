"""Track features: start, direction, speed, whether it enters, leaves or grows.

Distances are fractions of the frame's diagonal unless a name says otherwise; y points down. Thresholds below were set
by hand on synthetic tracks; larger ones make the captioner say less.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STILL_FRAC = 0.05
"""A center that stays within this fraction of the diagonal is not moving."""
EDGE_FRAC = 0.02
"""A box side within this fraction of the frame's side touches the edge."""
GROWTH_RATIO = 1.25
"""Change of linear size (square root of area) by this factor: comes closer; by its inverse: moves away."""
POSE_CHANGE = 0.15
"""Relative standard deviation of width/height, away from the edges, above which the outline changes."""
_WAYS = (("to the left", "to the right"), ("upwards", "downwards"))
LATE_S = 0.4
"""First seen later than this: it enters. Last seen this much before the end: it leaves. Unseen for longer: a gap."""


@dataclass(frozen=True, slots=True)
class TrackFacts:
    """Movement of one object.

    Attributes:
        start_xy, end_xy: first and last center as fractions of width and height.
        moved_xy_px: last minus first center, px.
        net_frac: length of that, fraction of the diagonal.
        extent_frac: longer side of the box around all centers, fraction of the diagonal.
        main_axis: 0 horizontal, 1 vertical: the axis of `extent_frac`.
        turns: number of reversals of the center along the main axis larger than STILL_FRAC.
        first_way: sign of the first movement along the main axis; 0 if it did not move.
        speed_frac_per_s: path length along the main axis (without jitter) per second of visibility.
        growth: last over first linear size, away from the frame's edges, which cut objects; 1 if always at one.
        area_frac: mean visible area over the frame area.
        enters_s, leaves_s: time it appears or disappears; None if it is there from the start or until the end.
        enters_by, leaves_by: edge it touches then: "left", "right", "top", "bottom" or "" (in mid-frame).
        gaps: number of times it was out of sight for longer than LATE_S and came back.
        pose_change: relative standard deviation of the box's aspect ratio.
        growth_trend: rank correlation of size and time, away from the edges, -1 to 1.
    """

    label: str
    start_xy: tuple[float, float]
    end_xy: tuple[float, float]
    moved_xy_px: tuple[float, float]
    net_frac: float
    extent_frac: float
    main_axis: int
    turns: int
    first_way: int
    speed_frac_per_s: float
    growth: float
    area_frac: float
    enters_s: float | None
    enters_by: str
    leaves_s: float | None
    leaves_by: str
    gaps: int
    pose_change: float
    growth_trend: float


def track_facts(
    label: str, boxes_T4: np.ndarray, areas_T: np.ndarray, width: int, height: int, fps: float,
    to_first_T23: np.ndarray | None = None, centers_T2: np.ndarray | None = None,
) -> TrackFacts | None:  # fmt: skip
    """Compute the features of one track; None if the object is not visible at all.

    Args:
        label: class name.
        boxes_T4: (frames, 4) absolute xyxy px, NaN where not visible.
        areas_T: (frames,) mask area, px.
        width, height: frame size, px.
        fps: frames per second of the track.
        to_first_T23: the camera's way (`media.camera.CameraPath`), which is then taken out of movement and growth;
            places and edges stay those of the picture.
        centers_T2: (frames, 2) center of the object, px; None = of its box.
    """
    seen_K = np.flatnonzero(np.isfinite(boxes_T4).all(axis=1))
    if len(seen_K) == 0:
        return None
    boxes_K4 = boxes_T4[seen_K].astype(np.float64)
    centers_K2 = (boxes_K4[:, :2] + boxes_K4[:, 2:]) / 2 if centers_T2 is None else centers_T2[seen_K]
    areas_K = np.maximum(areas_T[seen_K].astype(np.float64), 1.0)
    first_xy, last_xy = _ends(centers_K2)
    sizes_K = areas_K
    if to_first_T23 is not None:
        turn_K22, shift_K2 = to_first_T23[seen_K, :, :2], to_first_T23[seen_K, :, 2]
        centers_K2 = (turn_K22 @ centers_K2[..., None])[..., 0] + shift_K2
        sizes_K = areas_K * np.linalg.det(turn_K22)
    start_xy, end_xy = _ends(centers_K2)
    moved_xy = end_xy - start_xy
    diagonal = float(np.hypot(width, height))
    extents = centers_K2.max(axis=0) - centers_K2.min(axis=0)
    axis = int(extents[1] > extents[0])
    turning = _turning_points(centers_K2[:, axis], STILL_FRAC * diagonal)
    whole_K = np.array([not _edge(box_4, width, height) for box_4 in boxes_K4])
    late, early = seen_K[0] / fps > LATE_S, (len(boxes_T4) - 1 - seen_K[-1]) / fps > LATE_S
    return TrackFacts(
        label=label,
        start_xy=(float(first_xy[0] / width), float(first_xy[1] / height)),
        end_xy=(float(last_xy[0] / width), float(last_xy[1] / height)),
        moved_xy_px=(float(moved_xy[0]), float(moved_xy[1])),
        net_frac=float(np.hypot(*moved_xy) / diagonal),
        extent_frac=float(extents.max() / diagonal),
        main_axis=axis,
        turns=max(0, len(turning) - 2),
        first_way=int(np.sign(turning[1] - turning[0])) if len(turning) > 1 else 0,
        speed_frac_per_s=_speed(turning, moved_xy, (seen_K[-1] - seen_K[0]) / fps) / diagonal,
        growth=_growth(sizes_K[whole_K]),
        area_frac=float(areas_K.mean() / (width * height)),
        enters_s=float(seen_K[0] / fps) if late else None,
        enters_by=_edge(boxes_K4[0], width, height) if late else "",
        leaves_s=float((seen_K[-1] + 1) / fps) if early else None,
        leaves_by=_edge(boxes_K4[-1], width, height) if early else "",
        gaps=int((np.diff(seen_K) / fps > LATE_S).sum()),
        pose_change=_pose_change(boxes_K4[whole_K]),
        growth_trend=_trend(sizes_K[whole_K]),
    )


def movement(fact: TrackFacts, pace: str = "") -> str:
    """The movement as a verb phrase; "" if it stays in place.

    Args:
        fact: the track.
        pace: an adverb with a space after it, or "".
    """
    ways = _WAYS[fact.main_axis]
    there, back = (ways[1], ways[0]) if fact.first_way > 0 else (ways[0], ways[1])
    if fact.turns >= 2:
        return f"moves {pace}{'up and down' if fact.main_axis else 'from side to side'}"
    if fact.turns == 1:
        return f"moves {pace}{there} and then back {back}"
    if fact.net_frac < STILL_FRAC:
        return ""
    return f"moves {pace}{_direction(fact.moved_xy_px)}"


def _direction(moved_xy_px: tuple[float, float]) -> str:
    """One of eight directions; y points down."""
    sector = round(float(np.degrees(np.arctan2(moved_xy_px[1], moved_xy_px[0]))) / 45) % 8
    return (
        "to the right", "down to the right", "downwards", "down to the left",
        "to the left", "up to the left", "upwards", "up to the right",
    )[sector]  # fmt: skip


def _ends(centers_K2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last center, each the median of a tenth of the frames."""
    n_end = max(1, len(centers_K2) // 10)
    return np.median(centers_K2[:n_end], axis=0), np.median(centers_K2[-n_end:], axis=0)


def _turning_points(path_K: np.ndarray, least_px: float) -> list[float]:
    """Start, extremes that are at least `least_px` apart, end: the path without jitter."""
    points, extreme, way = [float(path_K[0])], float(path_K[0]), 0
    for value in map(float, path_K):
        if way == 0:
            if abs(value - points[0]) >= least_px:
                way, extreme = (1 if value > points[0] else -1), value
        elif (value - extreme) * way > 0:
            extreme = value
        elif (extreme - value) * way >= least_px:
            points.append(extreme)
            way, extreme = -way, value
    return [*points, extreme] if way else points


def _speed(turning: list[float], moved_xy: np.ndarray, seconds: float) -> float:
    """Pixels per second: along the straight line, or along the turning path if that is longer."""
    if seconds <= 0:
        return 0.0
    back_and_forth = sum(abs(b - a) for a, b in pairwise(turning))
    return max(float(np.hypot(*moved_xy)), back_and_forth) / seconds


def _edge(box_4: np.ndarray, width: int, height: int) -> str:
    """The frame edge that a box touches; the nearest one, left and right first; "" if none."""
    distances = {
        "left": box_4[0] / width,
        "right": 1 - box_4[2] / width,
        "top": box_4[1] / height,
        "bottom": 1 - box_4[3] / height,
    }
    name = min(distances, key=lambda edge: max(distances[edge], 0.0))
    return name if distances[name] <= EDGE_FRAC else ""


def _growth(areas_K: np.ndarray) -> float:
    """Last over first linear size, each the median of a tenth of the frames."""
    if len(areas_K) < 2:
        return 1.0
    n_end = max(1, len(areas_K) // 10)
    return float(np.sqrt(np.median(areas_K[-n_end:]) / np.median(areas_K[:n_end])))


def _trend(sizes_K: np.ndarray) -> float:
    """Rank correlation (Spearman) of size and time; 0 if the size is the same on all frames."""
    ranks_K = np.searchsorted(np.sort(sizes_K), sizes_K) + np.searchsorted(np.sort(sizes_K), sizes_K, "right")
    if len(sizes_K) < 2 or ranks_K.min() == ranks_K.max():
        return 0.0
    return float(np.corrcoef(np.arange(len(sizes_K)), ranks_K)[0, 1])


def _pose_change(boxes_K4: np.ndarray) -> float:
    """Relative standard deviation of width/height."""
    if len(boxes_K4) < 3:
        return 0.0
    sides_K2 = boxes_K4[:, 2:] - boxes_K4[:, :2]
    aspect_K = sides_K2[:, 0] / np.maximum(sides_K2[:, 1], 1.0)
    return float(aspect_K.std() / aspect_K.mean())
