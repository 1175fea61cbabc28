"""Overlap of a video's predicted and true masks under an explicit policy; no model, no files.

S_m (eq. 3 of the paper) is the mean over frames of the intersection over union. The paper does not say how to count a
frame without a mask or how to combine several objects: the policy does, and every result records it.
J and F: DAVIS (Perazzi et al. 2016), the same numbers as davis2017-evaluation on the same masks.

Shape letters: T frames, N objects, H, W pixels.
"""

from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.masks import MaskSequence, MaskWriter
from mvideo_core.masks.boundary import boundary_f
from mvideo_core.masks.measure import box_xyxy, pixel_iou


class OverlapPolicy(Options):
    """Choices the paper leaves open."""

    objects: Literal["union", "per_object", "union_box"] = Field(
        default="union",
        description="several objects: union = one box each, all predicted masks together vs. all true masks; "
        "per_object = mean "
        "of the objects' IoU; union_box = one box around all of them, the paper's text taken literally",
    )
    empty_frames: Literal["skip", "one"] = Field(
        default="skip",
        description="true mask empty: skip = ignore the frame (counted in n_skipped); one = 1 if the prediction is "
        "empty too, otherwise 0 (DAVIS). With a box per frame it is always 1 and inflates the score",
    )
    davis_frames: Literal["all", "inner"] = Field(
        default="all", description="frames for j and f; inner = without the first and last, as in DAVIS semi-supervised"
    )


class VideoOverlap(NamedTuple):
    """Scores of one video; `per_frame` is None where the policy skips the frame."""

    value: float
    per_frame: tuple[float | None, ...]
    details: dict[str, float]


def overlap(
    true: MaskSequence, seen: MaskSequence, policy: OverlapPolicy, past_end: MaskSequence | None = None
) -> VideoOverlap:  # fmt: skip
    """Score a video's predicted masks.

    Args:
        true, seen: same T, N, H, W; object n of one corresponds to object n of the other.
        past_end: true masks after the video's end, each with a nonempty object. The video has no frames there, so each
            counts as one more frame with score 0 in value, j, f and box_fill.

    Returns:
        value: mean over the frames that count. Details: j, f, j_and_f (mean over frames, then objects; both empty = 1),
        box_fill (score of filled boxes around the true masks: the value of position and extent alone), n_frames,
        n_skipped, n_unfound (nonempty true mask, empty prediction), n_objects. The counts and `per_frame` refer to the
        frames that the video has.

    Raises:
        MediaError: no object, or no frame that counts.
    """
    if true.shape != seen.shape:
        raise ValueError(f"masks of {true.shape} and {seen.shape} (frames, objects, height, width) do not match")
    if not true.n_objects or not true.n_frames:
        raise MediaError(f"masks of {true.n_frames} frames with {true.n_objects} objects: nothing to compare with")
    scores, fills, j_TN, f_TN, unfound = [], [], [], [], 0
    for frame in range(true.n_frames):
        true_NHW, seen_NHW = true.frame(frame), seen.frame(frame)
        scores.append(frame_iou(seen_NHW, true_NHW, policy))
        fills.append(frame_iou(fill_boxes(true, frame), true_NHW, policy))
        unfound += bool(true_NHW.any() and not seen_NHW.any())
        j_TN.append([pixel_iou(one, other) for one, other in zip(seen_NHW, true_NHW, strict=True)])
        f_TN.append([boundary_f(one, other) for one, other in zip(seen_NHW, true_NHW, strict=True)])
    nothing_HW = np.zeros(true.shape[2:], np.bool_)
    lost_NHW = [] if past_end is None else [past_end.frame(frame) for frame in range(past_end.n_frames)]
    j_TN += [[pixel_iou(nothing_HW, one) for one in frame_NHW] for frame_NHW in lost_NHW]
    f_TN += [[boundary_f(nothing_HW, one) for one in frame_NHW] for frame_NHW in lost_NHW]
    zeros: list[float | None] = [0.0] * len(lost_NHW)
    counted = [one for one in scores if one is not None]
    if not counted:
        raise MediaError(f"no frame of {true.n_frames} has a mask; with `empty_frames: skip` there is no score")
    chosen = slice(1, -1) if policy.davis_frames == "inner" and len(j_TN) > 2 else slice(None)
    j, f = float(np.mean(j_TN[chosen])), float(np.mean(f_TN[chosen]))
    details = {"j": j, "f": f, "j_and_f": (j + f) / 2, "box_fill": mean(fills + zeros),
               "n_frames": float(true.n_frames), "n_skipped": float(len(scores) - len(counted)),
               "n_unfound": float(unfound), "n_objects": float(true.n_objects)}  # fmt: skip
    return VideoOverlap(mean(scores + zeros), tuple(scores), details)


def frame_iou(seen_NHW: np.ndarray, true_NHW: np.ndarray, policy: OverlapPolicy) -> float | None:
    """IoU of one frame under the policy; None = the frame does not count."""
    if policy.objects == "per_object":
        values = [_iou(seen, true, policy) for seen, true in zip(seen_NHW, true_NHW, strict=True)]
        counted = [one for one in values if one is not None]
        return float(np.mean(counted)) if counted else None
    return _iou(np.any(seen_NHW, axis=0), np.any(true_NHW, axis=0), policy)


def fill_boxes(masks: MaskSequence, frame: int) -> np.ndarray:
    """The tight box of each object, filled, bool (N, H, W); nothing where the mask is empty."""
    filled = np.zeros(masks.shape[1:], np.bool_)
    for n in range(masks.n_objects):
        x0, y0, x1, y1 = box_xyxy(masks.mask_edges(frame, n), masks.width)
        filled[n, y0:y1, x0:x1] = True
    return filled


def merge_objects(masks: MaskSequence) -> MaskSequence:
    """All objects merged into one."""
    writer = MaskWriter(1, masks.height, masks.width)
    for frame in range(masks.n_frames):
        writer.append(np.any(masks.frame(frame), axis=0, keepdims=True))
    return writer.finish()


def prompt_boxes(masks: MaskSequence, frame: int) -> tuple[list[int], np.ndarray]:
    """Objects with a mask in the frame, and their boxes (xmin, ymin, xmax, ymax), last pixel included, float32."""
    objects, boxes = [], []
    for n in range(masks.n_objects):
        edges = masks.mask_edges(frame, n)
        if len(edges):
            x0, y0, x1, y1 = box_xyxy(edges, masks.width)
            objects.append(n)
            boxes.append((x0, y0, x1 - 1, y1 - 1))
    return objects, np.asarray(boxes, np.float32).reshape(-1, 4)


def mean(values: "list[float | None]") -> float:
    """Mean of the values that are not None; NaN if there are none."""
    counted = [one for one in values if one is not None]
    return float(np.mean(counted)) if counted else float("nan")


def _iou(seen_HW: np.ndarray, true_HW: np.ndarray, policy: OverlapPolicy) -> float | None:
    if not true_HW.any():
        return None if policy.empty_frames == "skip" else float(not seen_HW.any())
    return pixel_iou(seen_HW, true_HW)
