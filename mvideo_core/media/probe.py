"""Probe an untrusted file in a child process, so that a crash or hang there cannot affect this one."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from pydantic import Field

from mvideo_core.base.errors import KilledError, MediaError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Picture, Record
from mvideo_core.media.color import picture_of
from mvideo_core.media.ffmpeg import FORMATS
from mvideo_core.media.files import AnyPath, open_regular, sniff
from mvideo_core.processes import sandbox

_CHILD = str(Path(__file__).with_name("_examine.py"))


class ProbeOptions(Options):
    """Limits that a file must meet to be opened, and resources that the probing child may use."""

    max_bytes: int = Field(default=64 << 30, ge=1, description="bytes; larger files are rejected without opening them")
    max_pixels: int = Field(
        default=8192 * 4320, ge=1, description="pixels per frame; larger frames are rejected before decoding"
    )
    max_duration_s: float = Field(default=6 * 3600.0, gt=0, description="seconds; longer files are rejected")
    check_tail: bool = Field(
        default=True, description="also read the packets of the last seconds, to catch truncated files"
    )
    wall_s: float = Field(default=60.0, gt=0, description="seconds of clock time per file")
    cpu_s: int = Field(default=40, ge=1, description="seconds of CPU time per file")
    memory_gib: float = Field(default=4.0, gt=0, description="GiB of address space of the child")


class MediaInfo(Record):
    """A probed video. Width and height are as displayed: after rotation, with square pixels."""

    container: str
    codec: str
    pix_fmt: str
    bit_depth: int
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation_deg: int
    sar: float
    fps: float
    variable_fps: bool
    duration_s: float
    n_frames: int
    """From the header; 0 = unknown."""
    has_audio: bool
    picture: Picture = Picture()
    """Which stream is used, and what its samples mean."""
    last_frame_s: float | None = None
    """End of the last whole frame in seconds from the start, if the tail was read."""


class Prober:
    """One probing child, started on first use and restarted whenever it dies. Not shared between threads."""

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._memory_gib = 0.0

    def examine(self, fd: int, family: str, options: ProbeOptions) -> dict[str, Any]:
        """The child's answer about an open file.

        Raises:
            MediaError: the child died or timed out on this file.
        """
        link = self._start(options)
        request = options.model_dump() | {"format": family, "formats": FORMATS}
        try:
            socket.send_fds(link, [json.dumps(request).encode()], [fd])
            link.settimeout(options.wall_s)
            answer = b""
            while not answer.endswith(b"\n"):
                block = link.recv(65536)
                if not block:
                    raise ConnectionResetError
                answer += block
        except TimeoutError:
            self.close()
            raise MediaError(f"probing took longer than {options.wall_s:g} s; raise wall_s to allow more") from None
        except (ConnectionError, BrokenPipeError):
            code = self._popen.wait() if self._popen else 0
            self.close()
            kind = KilledError if -code in sandbox.FROM_OUTSIDE else MediaError
            raise kind(f"the probe process crashed on this file ({_how(code)})") from None
        return dict(json.loads(answer))

    def close(self) -> None:
        """End the child."""
        if self._link:
            self._link.close()
        if self._popen:
            self._popen.kill()
            self._popen.wait()
        self._link = self._popen = None

    def _start(self, options: ProbeOptions) -> socket.socket:
        alive = self._popen is not None and self._popen.poll() is None
        if alive and self._link and self._memory_gib == options.memory_gib:
            return self._link
        self.close()
        ours, theirs = socket.socketpair()
        limits = sandbox.Limits(memory_bytes=int(options.memory_gib * 2**30))
        argv = sandbox.guard_argv(
            [sys.executable, "-I", _CHILD, str(theirs.fileno())], limits, ignore_stop_signals=True
        )
        with theirs:
            self._popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),)
            )
        self._link, self._memory_gib = ours, options.memory_gib
        return ours

    def __del__(self) -> None:
        self.close()


_THREAD = threading.local()


def probe(path: AnyPath, options: ProbeOptions | None = None, root: AnyPath | None = None) -> MediaInfo:
    """What a file is, or why it is rejected.

    Args:
        path: any file; nothing about it is trusted.
        options: limits.
        root: folder that links must not leave; None allows any location.

    Raises:
        MediaError: rejected or unreadable; the message has the name and the reason.
    """
    options = options or ProbeOptions()
    with open_regular(path, root) as fd:
        return probe_open(fd, os.fsdecode(path), options)


def probe_open(fd: int, name: str, options: ProbeOptions) -> MediaInfo:
    """As `probe`, for an open descriptor; `name` is what messages call it.

    Raises:
        MediaError: rejected or unreadable.
    """
    size = os.fstat(fd).st_size
    if size > options.max_bytes:
        raise MediaError(f"{name!r}: {size} bytes; at most {options.max_bytes} allowed")
    prober = getattr(_THREAD, "prober", None)
    if prober is None:
        prober = _THREAD.prober = Prober()
    try:
        answer = prober.examine(fd, sniff(fd), options)
    except MediaError as error:
        raise type(error)(f"{name!r}: {error}") from None  # KilledError stays KilledError: such a file is retried
    if "error" in answer:
        raise MediaError(f"{name!r}: {answer['error']}")
    try:
        picture = picture_of(answer.pop("picture"))
    except MediaError as error:
        raise MediaError(f"{name!r}: {error}") from None
    return MediaInfo(**answer, picture=picture)


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
