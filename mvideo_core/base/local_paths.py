"""Paths that must be local: `Path` takes "s3://bucket" for a local folder called "s3:"."""

from pathlib import Path

from mvideo_core.base.errors import ConfigError


def check_local(value: str) -> str:
    """The path itself; for validators of options.

    Raises:
        ValueError: it is a URL.
    """
    if "://" in value:
        raise ValueError("this must be a local path, not a URL; mount the bucket, or copy files to or from it")
    return value


def local_path(value: str, what: str) -> Path:
    """A local path.

    Args:
        what: what the path is for; starts the message.

    Raises:
        ConfigError: it is a URL.
    """
    try:
        return Path(check_local(value))
    except ValueError as error:
        raise ConfigError(f"{what} {value!r}: {error}") from None
