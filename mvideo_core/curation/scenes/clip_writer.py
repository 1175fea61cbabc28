"""Encode raw frames into clip files with a few ffmpeg encoders while decoding continues. Same frames, same bytes."""

import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.errors import StoreError
from mvideo_core.base.stopping import stop_between
from mvideo_core.media.decode import first_frame
from mvideo_core.media.ffmpeg import BITEXACT, compile_argv, x264_params
from mvideo_core.media.graph import clip_tags, tag_colors
from mvideo_core.processes import sandbox

MAX_ENCODERS = 3
"""Each encoder holds the frames of one clip: 50 MB for 97 frames of 720x480."""


class Encoding(NamedTuple):
    """How clips are written; the bytes depend on every field."""

    width: int
    height: int
    fps: float
    crf: int
    preset: str
    threads: int
    primaries: str = "bt709"
    transfer: str = "bt709"
    """FFmpeg's names; clips always have matrix bt709 and limited range."""


def encode_clip(frames: Sequence[memoryview], path: Path, encoding: Encoding, limits: sandbox.Limits) -> None:
    """H.264 MP4 from raw 4:2:0 bt709 frames, with color tags, pinned threads, bit-exact flags, faststart, no metadata.

    Raises:
        MediaError: the encoder failed or timed out.
        StoreError: the clip could not be written: disk full, quota, read-only.
    """
    import subprocess

    import ffmpeg

    size = f"{encoding.width}x{encoding.height}"
    source = ffmpeg.input(
        "pipe:0", format="rawvideo", pix_fmt="yuv420p", s=size, r=encoding.fps, protocol_whitelist="pipe"
    )
    coding = {
        "vcodec": "libx264",
        "preset": encoding.preset,
        "crf": encoding.crf,
        "threads": encoding.threads,
        **x264_params(),
    }
    colors = clip_tags(encoding.primaries, encoding.transfer)
    muxing = {"format": "mp4", "pix_fmt": "yuv420p", "movflags": "+faststart+write_colr"}
    graph = tag_colors(source, encoding.primaries, encoding.transfer).output(
        f"file:{path.absolute()}", **muxing, **coding, **colors, **BITEXACT
    )
    argv = compile_argv(graph, threads=1)
    with sandbox.child(argv, limits, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        pipe = running.popen.stdin
        assert pipe is not None
        try:
            for frame in stop_between(frames):
                pipe.write(frame)
            pipe.close()
        except BrokenPipeError:
            pass  # the exit code below says why the encoder exited
        code, tail = running.finish()
    if code and (said := sandbox.disk_trouble(code, tail)):
        raise StoreError(f"{path}: cannot write the clip ({said}); free space or fix permissions, then rerun")
    if code:
        raise sandbox.death_error(f"encoding {path.name}", code, tail, running.timed_out, limits)


class ClipWriter:
    """Encodes clips in the background, a few at a time; one more may wait, so memory is bounded.

    Each clip gets its own encoder process with pinned threads: its bytes do not depend on how many run. Use as a
    context manager; `wait` raises what went wrong.
    """

    def __init__(
        self,
        encoding: Encoding,
        limits: sandbox.Limits,
        n_encoders: int = 0,
        part: tuple[slice, slice] = (slice(None), slice(None)),
    ):
        """Prepare; encoders start with the first clip.

        Args:
            n_encoders: how many run in parallel; 0 = one per available core, at most `MAX_ENCODERS`.
            part: rows and columns of a clip that `means_rgb` averages.
        """
        self._encoding, self._limits = encoding, limits
        self._jobs: queue.Queue[tuple[list[memoryview], Path] | None] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._part = part
        self.means_rgb: dict[Path, np.ndarray] = {}
        """Mean RGB of each finished clip's first frame, decoded from its file, (3,) float."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        count = n_encoders or min(MAX_ENCODERS, cores)
        names = (f"clip-writer-{number}" for number in range(count))
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]

    def __enter__(self) -> "ClipWriter":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def write(self, frames: list[memoryview], path: Path) -> None:
        """Queue one clip; blocks while another is waiting.

        Raises:
            MediaError, StoreError: an earlier clip failed.
        """
        self._raise()
        self._jobs.put((frames, path))

    def wait(self) -> None:
        """Wait until all clips are written.

        Raises:
            MediaError, StoreError: one of them failed.
        """
        self._jobs.join()
        self._raise()

    def _raise(self) -> None:
        if self._error:
            raise self._error

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if not self._error:
                    encode_clip(*job, self._encoding, self._limits)
                    self.means_rgb[job[1]] = first_frame(job[1])[self._part].mean((0, 1))
            except OSError as error:  # no process or pipe available
                self._error = self._error or StoreError(f"{job[1]}: cannot start the encoder: {error}")
            except BaseException as error:  # noqa: BLE001 - without this thread `write` and `__exit__` would wait forever
                self._error = self._error or error
            finally:
                del job  # frees about a hundred frames; the next clip may take a while
                self._jobs.task_done()
