"""Which axis of an array of masks is which. Letters: T frames, N objects, H, W."""

from collections.abc import Sequence

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.io.mask_form import AXES

MAX_CHANNELS = 4
MIN_SIDE_PX = 16


def axes_of(shape: Sequence[int], name: str, layout: str = "", n_labels: int = 0) -> str:
    """One letter per axis.

    Args:
        shape: of the array.
        name: what messages call it.
        layout: axes given by the user; "" = by shape.
        n_labels: number of names that come with the array; 0 = none.

    Raises:
        MediaError: `layout` does not fit, or the shape is ambiguous.
    """
    seen = f"{name}: array of shape {tuple(shape)}"
    if layout:
        if len(layout) != len(shape):
            raise MediaError(f"{seen}: --as {layout} names {len(layout)} axes of {len(shape)}")
        return layout
    if len(shape) == 3:
        if shape[2] < min(shape[:2]) / 2 and min(shape[:2]) >= MIN_SIDE_PX:
            raise MediaError(f"{seen}: the last axis looks like frames: use --as HWT, or --as THW if frames come first")
        return "THW"
    if len(shape) == 4:
        return _four(tuple(shape), seen, n_labels)
    if len(shape) == 2:
        raise MediaError(f"{seen}: expected (T, H, W) or (T, N, H, W); --as HW reads it as a single frame")
    raise MediaError(f"{seen}: expected (T, H, W) or (T, N, H, W); {len(shape)} axes are none of {AXES}")


def _four(shape: tuple[int, ...], seen: str, n_labels: int) -> str:
    first, second, third, last = shape
    if n_labels and n_labels in (first, second) and first != second:
        return "TNHW" if n_labels == second else "NTHW"
    if n_labels and n_labels == second:
        return "TNHW"
    if last <= MAX_CHANNELS and min(second, third) >= MIN_SIDE_PX:
        if last == 1:
            return "THWN"
        raise MediaError(f"{seen}: {last} channels of a picture, or {last} objects? --as THWN reads them as objects")
    if first < second:
        raise MediaError(
            f"{seen}: --as NTHW reads {first} objects in {second} frames, --as TNHW {second} objects in {first} frames"
        )
    return "TNHW"
