"""Parts of ffmpeg graphs that every decode of a foreign file shares: the right stream, whole frames, right colors."""

import functools
import subprocess
from typing import Any

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import Picture
from mvideo_core.media.color import CLIP_TAGS
from mvideo_core.media.ffmpeg import ffmpeg_path

SDR_WHITE_NITS = 100
HDR_PEAK = 10
"""HDR is tone-mapped with 100 cd/m2 as 1.0 and everything above 1,000 cd/m2 as white (Mobius curve of FFmpeg's
tonemap).
"""

ZIMG_NAMES = {
    "": "bt2020nc",
    "bt601": "smpte170m",
    "bt2020": "bt2020nc",
    "rgb": "gbr",
    "gamma22": "bt470m",
    "gamma28": "bt470bg",
    "bt1361e": "bt709",
}
EXACT = "bicubic+accurate_rnd+full_chroma_int"
"""The scaler's default kernel, at most one level off; its fast path converts matrices with errors of up to three
levels.
"""


def frames_of(source: Any, picture: Picture) -> Any:
    """The video stream of an input node, deinterlaced if its frames are flagged (bwdif, one frame per two fields).

    Raises:
        MediaError: HDR or wide colors, and this ffmpeg cannot convert them.
    """
    if picture.wide and not can_narrow():
        raise MediaError(
            f"HDR or wide colors ({picture.transfer}, {picture.primaries}), and {ffmpeg_path()} has no zscale and "
            "tonemap filters; set MVIDEO_FFMPEG to a build with libzimg (imageio-ffmpeg brings one), or convert the "
            "file to bt709"
        )
    video = source["V:0" if picture.stream_index < 0 else str(picture.stream_index)]
    if picture.interlaced:
        video = video.filter("bwdif", mode="send_frame", parity="auto", deint="interlaced")
    if picture.gray_bits:
        step = 1 << (picture.gray_bits - 8)
        video = video.filter("lut", c0=f"clip((val-{16 * step})*{256 * step - 1}/{219 * step},0,{256 * step - 1})")
    return video


def crop(video: Any, ratio: str) -> Any:
    """The middle of the frame at a displayed aspect ratio (width / height), in whole chroma samples.

    Never `exact`: an odd offset into deep 4:2:2 or 4:2:0 makes FFmpeg read chroma from the middle of a sample.
    """
    return video.filter("crop", f"min(iw,ih*{ratio}/sar)", f"min(ih,iw*sar/({ratio}))")


def scale_frames(
    video: Any, width: int | str, height: int | str, picture: Picture, pix_fmt: str, flags: str = ""
) -> Any:
    """Frames of a given size and pixel format, by the source's matrix and range: "yuv420p" becomes bt709, limited
    range.

    Args:
        width, height: pixels or expressions of the scale filter.
        pix_fmt: "yuv420p" or 8-bit RGB ("rgb24", "bgr24").
        flags: scaler flags for RGB; "yuv420p" is always made with `EXACT`.
    """
    extra = {"flags": flags} if flags else {}
    if picture.wide:
        return _convert_to_bt709(video.filter("scale", width, height, **extra), picture).filter("format", pix_fmt)
    if picture.matrix not in ("", "rgb"):
        extra["in_color_matrix"] = picture.matrix
    if picture.range and picture.matrix != "rgb":
        extra["in_range"] = picture.range
    if pix_fmt == "yuv420p":
        extra |= {"out_color_matrix": "bt709", "out_range": "tv", "flags": EXACT}
    return video.filter("scale", width, height, **extra).filter("format", pix_fmt)


def tag_colors(video: Any, primaries: str, transfer: str) -> Any:
    """Frames tagged as bt709, limited range, with these primaries and transfer."""
    return video.filter("setparams", colorspace="bt709", range="tv", color_primaries=primaries, color_trc=transfer)


def clip_tags(primaries: str = "bt709", transfer: str = "bt709") -> dict[str, str]:
    """Output options that make encoder and container agree with `tag_colors`."""
    return CLIP_TAGS | {"color_primaries": primaries, "color_trc": transfer}


def _convert_to_bt709(video: Any, picture: Picture) -> Any:
    """Convert wide primaries, PQ or HLG to bt709, limited range; after the resize, where it costs little."""
    given = {"matrixin": _zimg(picture.matrix), "rangein": picture.range or "tv", "primariesin": picture.primaries}
    white = {"npl": SDR_WHITE_NITS} if picture.hdr else {}
    video = video.filter("zscale", transferin=_zimg(picture.transfer), **given, transfer="linear", **white)
    video = video.filter("format", "gbrpf32le").filter("zscale", primaries="bt709")
    if picture.hdr:
        video = video.filter("tonemap", tonemap="mobius", peak=HDR_PEAK, desat=0)
    return video.filter("zscale", transfer="bt709", matrix="bt709", range="tv")


def _zimg(name: str) -> str:
    """zscale's name of a matrix or transfer."""
    return ZIMG_NAMES.get(name, name)


@functools.lru_cache(maxsize=4)
def _filters(path: str) -> frozenset[str]:
    listing = subprocess.run(
        [path, "-hide_banner", "-filters"], capture_output=True, text=True, check=False, timeout=60
    )
    return frozenset(words[1] for line in listing.stdout.splitlines() if len(words := line.split()) > 2)


def can_narrow() -> bool:
    """Whether this ffmpeg has the filters that HDR and wide colors need."""
    return {"zscale", "tonemap"} <= _filters(ffmpeg_path())
