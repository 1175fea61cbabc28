"""Ids and URIs of files with any name."""

import hashlib
import os

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.ingest.naming import ID_PATTERN, path_of, uri_of, video_id_of

ODD = [
    b"a b.mp4",
    b"-dash.mp4",
    b"quote'\".mp4",
    b"\xff\xfe.mp4",
    b"dots.in.name.mp4",
    b"percent%41.mp4",
    b"new\nline.mp4",
]


@pytest.mark.parametrize("name", ODD)
def test_uri_gives_the_path_back(name):
    path = b"/videos/" + name
    uri = uri_of(path)
    assert uri.isascii()
    assert uri.startswith("file:///videos/")
    assert os.fsencode(path_of(uri)) == path


def test_other_schemes_are_refused():
    with pytest.raises(ConfigError, match="file://"):
        path_of("http://example.org/a.mp4")


def test_plain_stem_is_the_id_and_others_carry_a_hash():
    assert video_id_of(b"QMi8x8o-5_s.mp4") == "QMi8x8o-5_s"
    mark = hashlib.sha256(b"a b.mp4").hexdigest()[:8]
    assert video_id_of(b"a b.mp4") == f"a_b-{mark}"
    assert video_id_of(b"x.mp4", stem_shared=True) != video_id_of(b"x.mkv", stem_shared=True)


def test_ids_are_plain_and_unique():
    names = [*ODD, b"a_b.mp4", b"a/b.mp4", b"a__b.mp4", b"x" * 250 + b"1.mp4", b"x" * 250 + b"2.mp4"]
    ids = [video_id_of(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(ID_PATTERN.fullmatch(one) for one in ids)
