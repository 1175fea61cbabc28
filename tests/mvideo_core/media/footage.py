"""Files that people really have, made by ffmpeg at test time from frames that carry their number."""

import subprocess

import numpy as np

from mvideo_core.media.ffmpeg import ffmpeg_path

SQUARE, BITS = 16, 8
PATCH = (70, 150, 100)
"""Color of everything but the number and a moving bar."""

BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")


def frame(number, width=192, height=128):
    """(H, W, 3) uint8: the number as black and white squares at the lower left, a bar that moves 4 px a frame."""
    rgb = np.full((height, width, 3), PATCH, np.uint8)
    left = 4 * number % (width - 8)
    rgb[height // 4 : height // 2, left : left + 8] = 230
    for bit in range(BITS):
        rgb[-SQUARE:, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (number >> bit & 1)
    return rgb


def number_of(rgb):
    """The number a 192x128 frame carries."""
    cells = [rgb[-SQUARE + 4 : -4, bit * SQUARE + 4 : (bit + 1) * SQUARE - 4].mean() > 128 for bit in range(BITS)]
    return sum(1 << bit for bit, on in enumerate(cells) if on)


def ffmpeg(*arguments, stdin=None):
    """Run ffmpeg; every argument as text."""
    argv = [ffmpeg_path(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(argv, input=stdin, check=True)


def film(
    path, *coding, n=24, rate="10", size=(192, 128), filters="", before=(), frames=None, matrix="bt709", levels="tv"
):
    """`n` numbered frames at a rate, encoded as `coding` says; bt709 is tagged, bt601 is not. Returns the path."""
    width, height = size
    tags = BT709 if matrix == "bt709" else ("-color_range", levels)
    drawn = frames if frames is not None else [frame(number, width, height) for number in range(n)]
    graph = ",".join(filter(None, [filters, f"scale=out_color_matrix={matrix}:out_range={levels}:flags=accurate_rnd"]))
    coding = coding or ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p")
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, *before, "-i", "pipe:0")
    ffmpeg(*raw, "-vf", graph, *coding, *tags, path, stdin=b"".join(one.tobytes() for one in drawn))
    return path
