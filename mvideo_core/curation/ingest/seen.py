"""Catches an id that a list names twice, at a few dozen bytes per id."""

import hashlib

from mvideo_core.base.errors import ConfigError


class SeenIds:
    """Remembers 64-bit hashes of ids; for ten million ids a false alarm has odds of 1 to 370,000."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def add(self, video_id: str, where: str) -> None:
        """Take note of an id.

        Raises:
            ConfigError: it was added before.
        """
        mark = int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest())
        if mark in self._hashes:
            raise ConfigError(f"{where}: video id {video_id!r} occurs a second time; keep one of the lines")
        self._hashes.add(mark)
