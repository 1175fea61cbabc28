"""The ffmpeg binary and how we call it: graphs built by ffmpeg-python, run as argument lists in the sandbox."""

import os
import shutil
from pathlib import Path
from typing import Any

from mvideo_core.base.cpu_kernels import cpu_flags
from mvideo_core.base.errors import ConfigError

FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,flv,ogg"
"""Demuxers we open. None of them can refer to another file or address (concat, hls, sdp, image2 can)."""

BITEXACT = {"fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": "-1"}
"""Output options without which a file contains the encoder's version and the source's tags."""


def ffmpeg_path() -> str:
    """Absolute path of the ffmpeg program: $MVIDEO_FFMPEG, then PATH, then the binary that imageio-ffmpeg ships.

    Raises:
        ConfigError: none of the three exists, or $MVIDEO_FFMPEG is not an executable file.
    """
    named = os.environ.get("MVIDEO_FFMPEG")
    if named:
        if Path(named).is_file() and os.access(named, os.X_OK):
            return str(Path(named).resolve())
        raise ConfigError(f"MVIDEO_FFMPEG={named!r} is not an executable file; correct or unset it")
    found = shutil.which("ffmpeg")
    if found:
        return str(Path(found).resolve())
    import imageio_ffmpeg

    try:
        return str(Path(imageio_ffmpeg.get_ffmpeg_exe()).resolve())
    except RuntimeError:
        raise ConfigError("no ffmpeg program: install ffmpeg, or imageio-ffmpeg, or set MVIDEO_FFMPEG") from None


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
