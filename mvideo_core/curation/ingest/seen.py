"""Detect duplicate ids, at a few dozen bytes per id."""

import hashlib

from mvideo_core.base.errors import ConfigError


class SeenIds:
    """Stores 64-bit hashes of ids; with ten million ids, the odds of a false alarm are 1 in 370,000."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def add(self, video_id: str, where: str) -> None:
        """Record an id.

        Raises:
            ConfigError: it was already added.
        """
        mark = int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest())
        if mark in self._hashes:
            raise ConfigError(f"{where}: video id {video_id!r} occurs twice; keep one of the lines")
        self._hashes.add(mark)
