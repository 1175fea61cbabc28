"""SHA-256 of a stream's next bytes and of a file, against known values."""

import hashlib
import io
from pathlib import Path

import pytest

from mvideo_core.base import digests
from mvideo_core.base.digests import file_sha256, sha256_of

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of "abc" (FIPS 180-2, appendix B.1)."""


def test_a_stream_and_a_file_have_the_published_digest(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_sha256(tmp_path / "abc") == ABC
    assert sha256_of(io.BytesIO(b"abc")) == ABC


@pytest.mark.parametrize("chunk_bytes", [1, 2, 4, 100])
def test_only_the_next_bytes_are_read_whatever_the_chunk(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "CHUNK_BYTES", chunk_bytes)
    stream = io.BytesIO(b"abcabcx")
    assert [sha256_of(stream, 3), sha256_of(stream, 3)] == [ABC, ABC]
    assert sha256_of(stream, 50) == hashlib.sha256(b"x").hexdigest()
    assert sha256_of(stream, 0) == hashlib.sha256(b"").hexdigest()
