"""The ffmpeg binary and how we call it: graphs built by ffmpeg-python, run as argument lists in the sandbox."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from mvideo_core.base.cpu_kernels import cpu_flags
from mvideo_core.base.errors import ConfigError

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,ogg"
"""Demuxers we open. None of them can refer to another file or address (concat, hls, sdp, image2 can)."""

OLDEST, LIBAVCODEC = "FFmpeg 9", 63
"""With 5.1, colors of ProRes and gray video were wrong by up to 14 levels; with 5.1 and 7.0, some clips began a frame
early; 7.0 crashed on transport streams (tests of scenes/)."""

BITEXACT = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": "-1"}
"""Output options without which a file contains the encoder's version and the source's tags."""


def ffmpeg_path() -> str:
    """Absolute path of the ffmpeg program: $MVIDEO_FFMPEG, the binary of imageio-ffmpeg, or else the one on PATH.

    Raises:
        ConfigError: none of the three exists, or $MVIDEO_FFMPEG or the one on PATH is not an FFmpeg of `OLDEST`.
    """
    import imageio_ffmpeg

    named = os.environ.get("MVIDEO_FFMPEG")
    if named:
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            raise ConfigError(f"MVIDEO_FFMPEG={named!r} is not an executable file; correct or unset it")
        return _check_version(Path(named).resolve(), "unset MVIDEO_FFMPEG to use the one of imageio-ffmpeg")
    if bundled := next(Path(imageio_ffmpeg.__file__).parent.glob("binaries/ffmpeg-*"), None):
        return str(bundled.resolve())
    if found := shutil.which("ffmpeg"):
        return _check_version(Path(found).resolve(), "set MVIDEO_FFMPEG to a newer one")
    raise ConfigError("no ffmpeg program: set MVIDEO_FFMPEG to one, or install a wheel of imageio-ffmpeg that has one")


@cache
def _check_version(path: Path, remedy: str) -> str:
    """The path, if it is an FFmpeg that decodes as our tests expect."""
    try:
        done = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{path} does not run: {error}; {remedy}") from None
    found = re.search(r"^libavcodec\s+(\d+)", done.stdout, re.MULTILINE)
    if found and int(found[1]) >= LIBAVCODEC:
        return str(path)
    seen = done.stdout.split(" Copyright")[0].splitlines()[0] if done.stdout else "nothing"
    raise ConfigError(
        f"{path} is {seen!r}; {OLDEST} or newer is needed: older ones shift colors and frames of some videos; {remedy}"
    )


def file_url(path: str | bytes | os.PathLike[str]) -> str:
    """`file:` + absolute path: no leading dash, no scheme, non-UTF-8 bytes kept as surrogates."""
    return "file:" + os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - bytes paths; must not follow links


def open_input(fd: int, **options: Any) -> Any:
    """ffmpeg-python input node of a possibly hostile file: known demuxers and the file protocol only.

    Args:
        fd: descriptor of the file opened for reading; pass it to the child with `pass_fds`. The child opens /dev/fd/N,
            so it sees exactly the file that was checked, and the name never reaches a command line (ffmpeg-python
            cannot hash names that are not UTF-8).
        options: more input options for ffmpeg.
    """
    import ffmpeg

    whitelists = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    return ffmpeg.input(f"file:/dev/fd/{fd}", **{**whitelists, **options})


def compile_argv(graph: Any, *, threads: int = 0) -> list[str]:
    """Argument list of an ffmpeg-python graph, quiet and never reading the terminal.

    Args:
        threads: threads of each filter graph; 0 leaves the choice to ffmpeg.
    """
    argv: list[str] = graph.compile(cmd=ffmpeg_path(), overwrite_output=True)
    head = ["-nostdin", "-hide_banner", "-loglevel", "error", "-nostats"]
    if threads:
        head += ["-filter_threads", str(threads), "-filter_complex_threads", str(threads)]
    return [argv[0], *head, *argv[1:]]


def x264_params() -> dict[str, str]:
    """Options that keep x264 to AVX2 where the processor has AVX-512; {} elsewhere.

    We saw x264's AVX-512 code produce other bytes than its other code (and, within one process, other bytes in each
    run).
    """
    return {"x264-params": "asm=avx2"} if any(flag.startswith("avx512") for flag in cpu_flags()) else {}
