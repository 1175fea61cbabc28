"""One picture of a mask: PNG, JPEG, BMP, TIFF, WebP by Pillow, EXR by FFmpeg; 8 or 16 bits, palette, alpha."""

from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.masks.codec import check_shape
from mvideo_core.masks.io.mask_form import MaskForm
from mvideo_core.masks.io.mask_frames import MaskFrame

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
EXR = ".exr"
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", EXR)
LOSSY = (".jpg", ".jpeg", ".webp")
MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"RIFF", b"v/1\x01")
"""First bytes of these formats; RIFF is WebP only if WEBP follows."""
_MAX_16_BIT = 65535


def is_picture(head: bytes) -> bool:
    """Whether a file that starts with these 12 bytes is a picture in a supported format."""
    return head.startswith(MAGICS) and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP")


def read_picture(file: Path, form: MaskForm = MaskForm()) -> MaskFrame:
    """A picture as stored.

    Raises:
        MediaError: damaged, another format, several pictures in one file, or values beyond 16 bits.
    """
    from PIL import Image, UnidentifiedImageError

    with file.open("rb") as stream:
        if stream.read(4) == b"v/1\x01":
            return _exr(file)
    try:
        with Image.open(file, formats=FORMATS) as image:
            check_shape(1, 1, image.height, image.width)
            n_pictures = getattr(image, "n_frames", 1)
            if n_pictures > 1:
                raise MediaError(f"{file}: {n_pictures} pictures in one file; expected one picture per file")
            return _frame(image, form)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{file}: not a readable picture: {error}") from None


def _frame(image: Any, form: MaskForm) -> MaskFrame:
    if image.mode == "P" and form.content in ("", "labels", "colors") and _is_map(image):
        return MaskFrame(np.array(image, np.uint8), np.array(image.convert("RGB")), indexed=True)
    if image.mode in ("1", "L"):
        return MaskFrame(np.array(image.convert("L"), np.uint8))
    if image.mode.startswith("I") or image.mode == "F":
        return MaskFrame(scale_to_16_bits(np.array(image), image.filename))
    transparent = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    if image.mode == "LA":
        gray, alpha = (np.array(channel) for channel in image.split())
        return MaskFrame(gray, None, alpha)
    whole = np.array(image.convert("RGBA" if transparent else "RGB"))
    rgb = np.ascontiguousarray(whole[..., :3])
    return MaskFrame(luma_of(rgb), rgb, np.ascontiguousarray(whole[..., 3]) if transparent else None)


def _is_map(image: Any) -> bool:
    """Whether the palette names objects: black is nothing, and the others are not all gray."""
    palette = np.array(image.getpalette("RGB") or [0] * 3).reshape(-1, 3)
    gray = bool(palette.any()) and not np.ptp(palette, axis=1).any()
    return not palette[0].any() and not gray and "transparency" not in image.info


def scale_to_16_bits(values: np.ndarray, name: str | Path, whole: bool | None = None) -> np.ndarray:
    """Integers unchanged, fractions from 0 to 1 scaled to 65535: (H, W) uint16.

    Args:
        whole: these are integers; None = decide by the values.

    Raises:
        MediaError: negative, not finite, above 65535, or fractions above 1.
    """
    if values.size and not np.isfinite(values).all():
        raise MediaError(f"{name}: non-finite values (NaN or infinite); expected masks of 0 to 1, or 0 to 255")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if whole is None:
        whole = values.dtype.kind in "bui" or (high > 1 and np.array_equal(values, np.round(values)))
    if low < 0 or high > (_MAX_16_BIT if whole else 1):
        raise MediaError(
            f"{name}: values from {low:g} to {high:g}; expected masks of 0 to 1, or integers up to {_MAX_16_BIT} "
            "(for logits, store what is above 0)"
        )
    if whole:
        return values.astype(np.uint16)
    return np.round(values.astype(np.float64) * _MAX_16_BIT).astype(np.uint16)


def luma_of(rgb: np.ndarray) -> np.ndarray:
    """Brightness of (H, W, 3) uint8 RGB, (H, W) uint8 (bt601)."""
    weighted = rgb.astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
    return np.asarray((weighted + 500) // 1000).astype(np.uint8)


def _exr(file: Path) -> MaskFrame:
    from mvideo_core.media.decode import read_exr

    planes = read_exr(file)
    check_shape(1, 1, *planes.shape[:2])
    if planes.ndim == 2:
        return MaskFrame(scale_to_16_bits(planes, file))
    levels = np.stack([scale_to_16_bits(planes[..., channel], file) for channel in range(planes.shape[2])], axis=2)
    alpha = (levels[..., 3] >> 8).astype(np.uint8) if levels.shape[2] == 4 else None
    if np.array_equal(levels[..., 0], levels[..., 1]) and np.array_equal(levels[..., 0], levels[..., 2]):
        return MaskFrame(levels[..., 0], None, alpha)
    rgb = (levels[..., :3] >> 8).astype(np.uint8)
    return MaskFrame(luma_of(rgb), rgb, alpha)
