"""What a picture's samples mean: matrix, range, primaries and transfer, decided once for every reader.

File tags decide. Untagged files: bt709 for HD, otherwise bt601 (as players do), decided by the size of the
*source*, so a resize changes nothing. Everything this project writes is bt709, limited range, and tagged so.
Numbers are those of ITU-T H.273, which containers, decoders and FFmpeg share.
"""

import threading
from typing import Any

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import Picture

HD_LINES, HD_WIDTH_PX = 720, 1280
"""From this width or height on, untagged samples are bt709: 1280x534 is HD without its black bars."""

BT709, BT601, UNKNOWN = 1, 6, 2
LIMITED, FULL = 1, 2

MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
"""Matrices that FFmpeg's scaler can convert to RGB, by its names."""

REFUSED_MATRICES = {
    8: "YCgCo",
    10: "bt2020 with constant luminance",
    11: "SMPTE 2085",
    12: "derived from the primaries",
    13: "derived from the primaries, constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "jedec-p22",
}
TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
PQ, HLG = 16, 18
_EXACT = 0x2 | 0x2000 | 0x40000
"""SWS_BILINEAR, SWS_FULL_CHR_H_INT and SWS_ACCURATE_RND, for writing: at most one level off.

Reading keeps FFmpeg's fast path, up to three levels off: metrics must see the numbers that VBench's reader sees.
"""

GRAY = ("gray", "ya")
"""Prefixes of pixel format names without chroma."""

ALPHA = ("yuva", "rgba", "argb", "bgra", "abgr", "gbrap", "ya", "vuya")
"""Prefixes of pixel format names with an alpha channel."""

CLIP_TAGS = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
"""ffmpeg output options that tag our own files."""


def default_matrix(width: int, height: int) -> int:
    """Matrix of a picture that does not specify one, by its coded size in pixels: bt709 for HD, otherwise bt601."""
    return BT709 if height >= HD_LINES or width >= HD_WIDTH_PX else BT601


def picture_of(facts: dict[str, Any]) -> Picture:
    """The probing child's findings with every gap filled: `matrix`, `primaries`, `transfer`, `range` as H.273 numbers.

    Args:
        facts: answer of the child; besides these four it has stream_index, is_rgb, pix_fmt, bit_depth, coded_width,
            coded_height, interlaced.

    Raises:
        MediaError: samples in a system that FFmpeg's scaler does not convert; the message has its name.
    """
    matrix, primaries, transfer = facts["matrix"], facts["primaries"], facts["transfer"]
    rgb = facts["is_rgb"] or (matrix == 0 and facts["pix_fmt"].startswith("gbr"))
    refuse_matrix(matrix)
    if facts["pix_fmt"].startswith("xyz"):
        raise MediaError(f"pixel format {facts['pix_fmt']} (digital cinema XYZ) is not supported; convert it to bt709")
    by_size = default_matrix(facts["coded_width"], facts["coded_height"])
    sd_primaries = 5 if facts["coded_height"] == 576 else 6
    full = rgb or facts["range"] == FULL or facts["pix_fmt"].startswith("yuvj")
    return Picture(
        stream_index=facts["stream_index"],
        matrix="rgb" if rgb else MATRICES.get(matrix, MATRICES[by_size]),
        range="pc" if full else "tv",
        primaries=PRIMARIES.get(primaries, "bt709" if by_size == BT709 else PRIMARIES[sd_primaries]),
        transfer=TRANSFERS.get(transfer, "bt709" if by_size == BT709 else "smpte170m"),
        gray_bits=facts["bit_depth"] if facts["pix_fmt"].startswith(GRAY) and facts["range"] == LIMITED else 0,
        tagged=rgb or matrix in MATRICES,
        interlaced=facts["interlaced"],
    )


def refuse_matrix(matrix: int) -> None:
    """Raises MediaError for samples that FFmpeg's scaler cannot convert to RGB."""
    if matrix in REFUSED_MATRICES:
        name = REFUSED_MATRICES[matrix]
        raise MediaError(f"color matrix {matrix} ({name}) is not supported; convert to bt709 or bt2020nc first")


def to_rgb(frame: Any) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8 RGB, by its own tags; untagged frames by their size.

    Raises:
        MediaError: HDR, or a matrix that is not converted.
    """
    if frame.color_trc in (PQ, HLG):
        raise MediaError(
            f"HDR ({TRANSFERS[frame.color_trc]}) only the cut stage tone-maps; convert the file to bt709 first"
        )
    refuse_matrix(int(frame.colorspace))
    if frame.colorspace == UNKNOWN and not frame.format.is_rgb:
        frame.colorspace = default_matrix(frame.width, frame.height)
    if frame.format.name.startswith(GRAY) and frame.color_range == LIMITED:
        gray = (luma(frame).astype(np.int32) - 16) * 255
        return np.repeat(np.clip((gray + 109) // 219, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(_scale(frame, format="rgb24").to_ndarray())


def luma(frame: Any) -> np.ndarray:
    """Luma of a decoded frame, (H, W) uint8 at the frame's own range; computed for RGB (bt601, full range)."""
    if frame.format.is_rgb or frame.format.has_palette:
        rgb = _scale(frame, format="rgb24").to_ndarray().astype(np.uint32)
        return np.asarray((rgb @ np.array([299, 587, 114], np.uint32) + 500) // 1000).astype(np.uint8)
    first, *others = frame.format.components
    if first.bits != 8 or any(other.plane == first.plane for other in others):
        gray = frame.format.name.startswith((*GRAY, "mono"))
        kept = int(frame.color_range)  # the scaler treats gray as full range anyway
        frame = _scale(frame, format="gray" if gray else "yuv444p", src_color_range=kept, dst_color_range=kept)
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()


def from_rgb(rgb: np.ndarray) -> Any:
    """(H, W, 3) uint8 RGB as a 4:2:0 bt709 frame of limited range, tagged."""
    import av

    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    picture = _scale(
        picture, format="yuv420p", dst_colorspace=BT709, src_color_range=FULL, dst_color_range=LIMITED,
        dst_color_trc=BT709, dst_color_primaries=BT709, interpolation=_EXACT,
    )  # fmt: skip
    picture.colorspace, picture.color_range = BT709, LIMITED
    return picture


def clip_bytes_to_rgb(yuv420p: Any, width: int, height: int) -> np.ndarray:
    """Raw planar 4:2:0 bytes of bt709, limited range, as (H, W, 3) uint8 RGB."""
    import av

    planes = np.frombuffer(yuv420p, np.uint8).reshape(height * 3 // 2, width)
    picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    picture.colorspace, picture.color_range = BT709, LIMITED
    return to_rgb(picture)


_scalers = threading.local()


def _scale(frame: Any, **change: Any) -> Any:
    """`frame.reformat(**change)` with one scaler per thread and without threads of its own.

    PyAV makes a scaler with a pool of threads for every frame, which takes longer than the conversion itself; a pool
    that is kept does not survive a fork. The numbers are the same.
    """
    if not hasattr(_scalers, "one"):
        from av.video.reformatter import VideoReformatter

        _scalers.one = VideoReformatter()
    return _scalers.one.reformat(frame, threads=1, **change)


def tag(context: Any) -> None:
    """Make an encoder tag its frames like those of `from_rgb`."""
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
