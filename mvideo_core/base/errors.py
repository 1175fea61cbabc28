"""Errors by the person who has to act; a message says what, the value seen, the value allowed and the next step."""


class MVideoError(Exception):
    """Anything this project raises on purpose."""


class ConfigError(MVideoError):
    """An option, manifest or command line is wrong: edit it and run again. Never retried."""


class MediaError(MVideoError):
    """One video, clip or mask file is bad. Survivable: the item becomes a `failed` row and the run goes on."""


class KilledError(MediaError):
    """A child process was killed from outside while it worked on an item (kill -9, the kernel short of memory).

    It says little about the item, which is tried again a few times before it becomes a `failed` row.
    """


class ModelError(MVideoError):
    """Weights or an extra are missing or do not fit. The message names the file, its source and where to put it."""


class ServerAway(ModelError):
    """A server that the work needs does not answer, or answers nobody: it may be back at the next try."""


class StoreError(MVideoError):
    """The workspace cannot be read, written or trusted: disk full, permission, a damaged file."""


class TrainError(MVideoError):
    """Training must stop on all ranks: non-finite loss, lost rank, wrong cache."""
