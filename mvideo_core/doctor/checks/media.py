"""The ffmpeg program and PyAV, and whether they have the encoder used for clips."""

import subprocess
from collections.abc import Iterator

from mvideo_core.base.errors import ConfigError
from mvideo_core.doctor.base import CheckContext, Finding, check, problem
from mvideo_core.media.ffmpeg import ffmpeg_path

ENCODER = "libx264"
WAIT_S = 30.0


@check("ffmpeg", "data", "encode", "generate")
def ffmpeg(context: CheckContext) -> Iterator[Finding]:
    """Whether ffmpeg starts and encodes H.264."""
    try:
        path = ffmpeg_path()
    except ConfigError as error:
        yield problem(error)
        return
    step = "install ffmpeg with libx264, unset MVIDEO_FFMPEG, or reinstall imageio-ffmpeg, which bundles one"
    try:
        version, encoders = (_ffmpeg_version(path, "-version"), _ffmpeg_version(path, "-encoders"))
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(status="problem", what=f"{path} does not run: {error}", next_step=step)
        return
    name = version.split(" Copyright")[0].splitlines()[0] if version else "no version"
    if ENCODER in encoders.split():
        yield Finding(what=f"{name} with {ENCODER}: {path}")
    else:
        yield Finding(status="problem", what=f"{path} ({name}) has no encoder {ENCODER}", next_step=step)


@check("av", "data", "train", "generate")
def av(context: CheckContext) -> Iterator[Finding]:
    """Whether PyAV, which writes videos, has the encoder."""
    try:
        import av
    except ImportError as error:
        yield Finding(status="problem", what=f"PyAV cannot be imported ({error})", next_step="run `make setup`")
        return
    if ENCODER in av.codecs_available:
        yield Finding(what=f"PyAV {av.__version__} with {ENCODER}")
    else:
        step = "reinstall it from its wheel: `pip install --force-reinstall --only-binary av av`"
        yield Finding(status="problem", what=f"PyAV {av.__version__} has no encoder {ENCODER}", next_step=step)


def _ffmpeg_version(*argv: str) -> str:
    done = subprocess.run(
        [argv[0], "-hide_banner", *argv[1:]], capture_output=True, text=True, timeout=WAIT_S, check=True
    )
    return done.stdout
