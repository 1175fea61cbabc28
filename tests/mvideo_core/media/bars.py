"""Color bars of known RGB, turned into samples by the formulas of BT.601, BT.709 and BT.2020: no scaler involved."""

import subprocess

import numpy as np

from mvideo_core.media.ffmpeg import ffmpeg_path

BARS = np.array(
    [(180, 180, 180), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191), (40, 90, 60)]
)
LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
"""Weights of red and blue."""

TAGS = {
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt709": ("bt709", "bt709", "bt709"),
    "bt2020": ("bt2020nc", "bt2020", "bt2020-10"),
    "bt2020, bt709 primaries": ("bt2020nc", "bt709", "bt709"),
}
"""Matrix, primaries and transfer of a tagged file."""


def drawing(width, height):
    """Eight upright bars, (height, width, 3) uint8; each bar is at least two chroma samples wide."""
    return np.broadcast_to(BARS[np.arange(width) * len(BARS) // width], (height, width, 3)).astype(np.uint8)


def ycbcr(rgb, matrix, full, bits=8):
    """Y, Cb, Cr planes at full resolution, integers."""
    red, blue = LUMA[matrix.split(",")[0]]
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    y = red * r + (1 - red - blue) * g + blue * b
    cb, cr = (b - y) / (2 - 2 * blue), (r - y) / (2 - 2 * red)
    top, half = 2**bits - 1, 2 ** (bits - 1)
    if full:
        planes = y * top, cb * top + half, cr * top + half
    else:
        step = 2 ** (bits - 8)
        planes = (16 + 219 * y) * step, 128 * step + 224 * step * cb, 128 * step + 224 * step * cr
    return [np.clip(np.round(plane), 0, top).astype(np.uint16 if bits > 8 else np.uint8) for plane in planes]


def samples_of(rgb, pix_fmt, matrix, full):
    """Raw bytes of one frame."""
    bits = next((n for n in (10, 12) if f"{n}le" in pix_fmt), 8)
    if pix_fmt == "rgb24":
        return rgb.tobytes()
    if pix_fmt.startswith("gbrp"):
        return b"".join(rgb[..., channel].tobytes() for channel in (1, 2, 0))
    y, cb, cr = ycbcr(rgb, matrix, full, bits)
    if pix_fmt.startswith("gray"):
        return y.tobytes()
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[pix_fmt.lstrip("yuvaj")[:3]]
    chroma = [plane[::down, ::across].tobytes() for plane in (cb, cr)]
    alpha = [np.full_like(y, 2**bits - 1).tobytes()] if pix_fmt.startswith("yuva") else []
    return b"".join([y.tobytes(), *chroma, *alpha])


def write(
    path,
    *,
    matrix="bt709",
    tagged=True,
    full=False,
    pix_fmt="yuv420p",
    size=(320, 180),
    coding=(),
    n=20,
    fps=8,
    rgb=None,
    tags=None,
):
    """A file of `n` equal frames; the tags say what is in it, or nothing. Returns its path."""
    width, height = size
    rgb = drawing(width, height) if rgb is None else rgb
    argv = [ffmpeg_path(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", pix_fmt, "-s", f"{width}x{height}"]
    argv += ["-r", str(fps), "-i", "pipe:0"]
    if tagged and pix_fmt[:3] not in ("rgb", "gbr"):
        space, primaries, transfer = tags or TAGS[matrix]
        levels = "pc" if full else "tv"
        argv += ["-vf", f"setparams=colorspace={space}:color_primaries={primaries}:color_trc={transfer}:range={levels}"]
        argv += ["-colorspace", space, "-color_primaries", primaries, "-color_trc", transfer, "-color_range", levels]
    coding = coding or ("-c:v", "libx264", "-qp", "0", "-preset", "ultrafast")
    subprocess.run(
        [*argv, *coding, "-pix_fmt", pix_fmt, str(path)], input=samples_of(rgb, pix_fmt, matrix, full) * n, check=True
    )
    return path


def read_by_ffmpeg(path, matrix="bt709", levels="tv"):
    """First frame, (H, W, 3), by ffmpeg's program told the matrix and range, whatever the file's tags say."""
    scale = f"scale=in_color_matrix={matrix}:in_range={levels},format=rgb24"
    argv = [ffmpeg_path(), "-v", "error", "-i", str(path), "-frames:v", "1", "-vf", scale, "-f", "image2pipe"]
    png = subprocess.run([*argv, "-c:v", "ppm", "-"], capture_output=True, check=True).stdout
    header, pixels = png[:20].split(b"\n255\n")[0], png.split(b"\n255\n", 1)[1]
    width, height = (int(word) for word in header.split()[1:3])
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def read_by_opencv(path):
    """First frame, (H, W, 3) RGB, by OpenCV, which obeys the tags."""
    import cv2

    reader = cv2.VideoCapture(str(path))
    found, bgr = reader.read()
    assert found
    return bgr[..., ::-1]
