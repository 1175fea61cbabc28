"""Searches files for the content ids of sources: keys, URLs and digests, in names, text, tables and tars."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from mvideo_core.base.parquet import open_parquet
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.store.files import Folder

CHUNK_BYTES = 4 << 20
OVERLAP_BYTES = 4096
"""Read again at the start of the next chunk: longer than any id."""
UNREAD = "blobs/"
"""Clips and mask files hold pixels; their names are searched, their bytes are not."""
WORDS = ("text", "caption", "labels", "phrases", "title", "answer", "prompt")
"""Columns and fields of words: a video called "dog" is not mentioned by a caption about a dog."""
_HEX = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32,64}(?![0-9a-f])")
_PLAIN = re.compile(r"[A-Za-z]{1,15}")


@dataclass(slots=True)
class ContentIds:
    """What names content of the sources to be forgotten.

    Attributes:
        sources: keys of the sources; keys of their clips begin with them.
        clips: keys of their clips.
        urls: addresses and file URIs.
        digests: SHA-256 of the source files, of clips and masks, and content keys of items, in hex.
    """

    sources: set[str] = field(default_factory=set)
    clips: set[str] = field(default_factory=set)
    urls: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    @property
    def keys(self) -> set[str]:
        """Keys of sources and clips."""
        return self.sources | self.clips


class Mention(NamedTuple):
    """A file that mentions a forgotten source, and the id found in it."""

    path: str
    found: str


class Finder:
    """Finds ids in bytes.

    A key counts only as a whole, so "video1" is not found in "video10". A key that is an ordinary word counts only as a
    file name, a quoted value of a field that holds keys, or the start of a clip's key.
    """

    def __init__(self, ids: ContentIds):
        self._digests = {one.encode() for one in ids.digests}
        patterns = [_key_pattern(key) for key in sorted(ids.sources)]
        patterns += [re.escape(url.encode()) for url in sorted(ids.urls) if url]
        self._text = re.compile(b"|".join(patterns)) if patterns else None

    def find(self, content: bytes) -> str:
        """The first id in the content; "" if there is none."""
        if self._text is not None and (hit := self._text.search(content)):
            return hit.group().decode("utf-8", "replace")
        found = (hit.group() for hit in _HEX.finditer(content))
        return next((one.decode() for one in found if one in self._digests), "")

    def find_in_stream(self, stream: IO[bytes]) -> str:
        """The first id in a file, read in chunks."""
        before = b""
        while chunk := stream.read(CHUNK_BYTES):
            raise_if_stopped()
            if hit := self.find(before + chunk):
                return hit
            before = chunk[-OVERLAP_BYTES:]
        return ""

    def find_in_table(self, content: bytes) -> str:
        """The first id in a Parquet file, without its columns of words."""
        file = open_parquet(content)
        columns = [name for name in file.schema_arrow.names if name not in WORDS]
        for group in range(file.num_row_groups):
            raise_if_stopped()
            table = file.read_row_group(group, columns=columns, use_threads=False)
            if hit := self.find("\n".join(_strings(table.to_pylist())).encode("utf-8", "surrogatepass")):
                return hit
        return ""


def find_mentions(folder: Folder, ids: ContentIds, paths: Iterable[str] | None = None) -> Iterator[Mention]:
    """Files of a folder whose name or content has one of the ids.

    Args:
        paths: relative to the folder; None = all files below it. Names below `blobs/` count, their bytes are not read.
    """
    finder = Finder(ids)
    for path in folder.walk("") if paths is None else paths:
        if hit := finder.find(path.encode("utf-8", "surrogateescape")) or _find_inside(folder, path, finder):
            yield Mention(path, hit)


def _find_inside(folder: Folder, path: str, finder: Finder) -> str:
    if path.startswith(UNREAD):
        return ""
    if path.endswith(".parquet"):
        return finder.find_in_table(folder.read(path))
    with folder.open(path) as stream:
        return finder.find_in_stream(stream)


def _key_pattern(key: str) -> bytes:
    """The key of a source as a whole, or as the start of a clip's key (`clip_key`)."""
    name = re.escape(key.encode())
    clip = rb"(?<![A-Za-z0-9_-])" + name + rb"_[0-9]{9}(?![0-9A-Za-z])"
    if not _PLAIN.fullmatch(key):
        return rb"(?:" + clip + rb"|(?<![A-Za-z0-9_-])" + name + rb"(?![A-Za-z0-9_-]))"
    field = rb'"(?:key|parent|video_id|path)": ?"' + name + rb'"'
    return rb"(?:" + clip + rb"|(?<=/)" + name + rb"(?=\.[a-z0-9]{2,5}\b)|" + field + rb"|(?m:^)" + name + rb"(?m:$))"


def _strings(value: object) -> Iterator[str]:
    """Every string in nested lists and mappings, except under names of words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in WORDS:
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
