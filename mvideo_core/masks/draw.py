"""Masks drawn over a clip: tint, outline and name per object. Shape letters: T frames, N objects, H, W."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import MaskSequence

COLORS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
           (170, 110, 255), (120, 220, 120), (255, 120, 120))  # fmt: skip
"""RGB, suitable for color-blind readers (Okabe & Ito for the first seven); object n gets color n modulo ten."""

TINT = 0.38
"""Opacity of the tint."""


def color_hex(n: int) -> str:
    """The color of object n as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*COLORS[n % len(COLORS)])


def overlay_frames(
    frames: Iterable[np.ndarray], masks: MaskSequence, labels: Sequence[str], max_side_px: int = 480
) -> Iterator[np.ndarray]:
    """Each frame with its masks drawn on it, scaled down to even sides.

    Args:
        frames: (H, W, 3) uint8 RGB, with the number and size of the masks' frames.
        labels: one name per object; an object with an empty name is not drawn.
        max_side_px: maximum longer side of the output; frames are never enlarged.

    Raises:
        MediaError: frames and masks differ in size or number, or labels and objects differ in number.
    """
    import cv2

    if len(labels) != masks.n_objects:
        raise MediaError(f"{len(labels)} labels for {masks.n_objects} objects")
    width, height = even_size(masks.width, masks.height, max_side_px)
    n_frames = 0
    for frame in frames:
        if frame.shape[:2] != (masks.height, masks.width) or n_frames >= masks.n_frames:
            raise MediaError(
                f"frame {n_frames} is {frame.shape[1]}x{frame.shape[0]}; "
                f"the masks are {masks.n_frames} of {masks.width}x{masks.height}"
            )
        small = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        small_NHW = [
            cv2.resize(masks.mask(n_frames, n).astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA)
            if label
            else None
            for n, label in enumerate(labels)
        ]
        yield _draw_frame(small, small_NHW, labels)
        n_frames += 1
    if n_frames != masks.n_frames:
        raise MediaError(f"{n_frames} frames, but {masks.n_frames} frames of masks")


def write_overlay(
    frames: Iterable[np.ndarray], masks: MaskSequence, labels: Sequence[str], fps: float | Fraction,
    video: Path, poster: Path, max_side_px: int = 480,
) -> int:  # fmt: skip
    """Write an overlay MP4, and its frame with most mask area as a PNG; returns the number of frames.

    Raises:
        MediaError: see `overlay_frames`.
    """
    from mvideo_core.masks.measure import areas
    from mvideo_core.media.encode import write_mp4, write_png

    shown = [n for n, label in enumerate(labels) if label]
    wanted = int(areas(masks)[:, shown].sum(axis=1).argmax()) if shown and masks.n_frames else 0

    def keep_poster() -> Iterator[np.ndarray]:
        for n, frame in enumerate(overlay_frames(frames, masks, labels, max_side_px)):
            if n == wanted:
                write_png(poster, frame)
            yield frame

    return write_mp4(keep_poster(), video, fps, crf=23)


def even_size(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Size within the limit, aspect ratio kept, both sides even and at least 2."""
    scale = min(1.0, max_side_px / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _draw_frame(frame_HWC: np.ndarray, masks_NHW: Sequence[np.ndarray | None], labels: Sequence[str]) -> np.ndarray:
    import cv2

    drawn = frame_HWC.copy()
    outlines = []
    for n, mask_HW in enumerate(masks_NHW):
        if mask_HW is None or not mask_HW.any():
            continue
        color = np.array(COLORS[n % len(COLORS)], np.float32)
        inside = mask_HW > 0
        drawn[inside] = (drawn[inside] * (1 - TINT) + color * TINT).astype(np.uint8)
        outlines.append((n, cv2.findContours(mask_HW, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]))
    for n, contours in outlines:  # after all tints, so that no tint covers an outline
        cv2.drawContours(drawn, contours, -1, COLORS[n % len(COLORS)], 2, cv2.LINE_AA)
    for n, contours in outlines:
        largest = max(contours, key=cv2.contourArea)
        x, y, _, _ = cv2.boundingRect(largest)
        _paste(drawn, draw_tag(labels[n], COLORS[n % len(COLORS)]), x, y)
    return drawn


def _paste(frame_HWC: np.ndarray, tag_HWC: np.ndarray, x: int, y: int) -> None:
    """Paste the tag above (x, y), moved so that it stays inside the frame."""
    height, width = min(tag_HWC.shape[0], frame_HWC.shape[0]), min(tag_HWC.shape[1], frame_HWC.shape[1])
    left = min(max(x, 0), frame_HWC.shape[1] - width)
    top = min(max(y - height, 0), frame_HWC.shape[0] - height)
    frame_HWC[top : top + height, left : left + width] = tag_HWC[:height, :width]


@lru_cache(maxsize=256)
def draw_tag(label: str, color: tuple[int, int, int], letters_px: int = 13) -> np.ndarray:
    """A name on a background of its color, with dark or light letters for contrast; uint8 (H, W, 3), read-only."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(letters_px)
    left, top, right, bottom = font.getbbox(label)
    image = Image.new("RGB", (int(right - left) + 8, int(bottom - top) + 8), color)
    luma = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    ImageDraw.Draw(image).text((4 - left, 4 - top), label, fill=(0, 0, 0) if luma > 110 else (255, 255, 255), font=font)
    return np.asarray(image)


def draw_outline(rgb: np.ndarray, mask: np.ndarray, color: tuple[int, int, int], width_px: int = 2) -> np.ndarray:
    """A copy of the frame with the mask's outline drawn."""
    return draw_outlines(rgb, [mask], [color], width_px)


def draw_outlines(
    rgb: np.ndarray,
    masks_NHW: Iterable[np.ndarray],
    colors: Sequence[tuple[int, int, int]] = COLORS,
    width_px: int = 2,
) -> np.ndarray:
    """A copy of the frame with the outline of every mask drawn; object n gets color n, cyclically."""
    import cv2

    out = rgb.copy()
    for n, mask_HW in enumerate(masks_NHW):
        lines, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, lines, -1, colors[n % len(colors)], width_px)
    return out


def draw_box(
    rgb: np.ndarray, box: "np.ndarray | list[float]", color: tuple[int, int, int], width_px: int = 2
) -> np.ndarray:
    """A copy of the frame with a box drawn."""
    import cv2

    out = rgb.copy()
    if np.isfinite(box).all():
        x0, y0, x1, y1 = (round(float(value)) for value in box)
        cv2.rectangle(out, (x0, y0), (x1, y1), color, width_px)
    return out


def tile(cells: Sequence[np.ndarray], columns: int, gap_px: int = 0, fill: int = 255) -> np.ndarray:
    """Cells of one size in rows from the top left, (H, W, 3) uint8; the rest is gray of the level `fill`."""
    height, width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3), fill, np.uint8)
    for number, cell in enumerate(cells):
        top, left = number // columns * (height + gap_px), number % columns * (width + gap_px)
        sheet[top : top + height, left : left + width] = cell
    return sheet
