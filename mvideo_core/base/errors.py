"""Errors, by who has to act. A message gives the problem, the value seen, what is allowed and the next step."""


class MVideoError(Exception):
    """Anything this project raises on purpose."""


class ConfigError(MVideoError):
    """An option, manifest or command line is wrong: edit it and run again. Never retried."""


class MediaError(MVideoError):
    """One video, clip or mask file is bad. Not fatal: the item becomes a `failed` row and the run continues."""


class KilledError(MediaError):
    """A child process was killed externally while it worked on an item (kill -9, out of memory).

    That says little about the item, so it is retried a few times before it becomes a `failed` row.
    """


class ModelError(MVideoError):
    """Weights or an extra are missing or do not match. The message names the file, its source and where to put it."""


class ServerUnavailable(ModelError):
    """A server that the work needs does not respond; the next try may succeed."""


class StoreError(MVideoError):
    """The workspace cannot be read, written or trusted: disk full, permission, a damaged file."""


class TrainError(MVideoError):
    """Training must stop on all ranks: non-finite loss, lost rank, wrong cache."""
