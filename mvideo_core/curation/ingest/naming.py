"""Safe names: file names of any bytes as URIs, and ids that work as keys, file names and tar members."""

import hashlib
import os
import re
from urllib.parse import quote, unquote_to_bytes

from mvideo_core.base.errors import ConfigError

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,120}")
_SCHEME = "file://"
_STEM_KEEP = 80


def uri_of(path: str | bytes | os.PathLike[str]) -> str:
    """`file://` + percent-encoded bytes of the absolute path, so a name that is not UTF-8 survives JSON and Parquet."""
    return _SCHEME + quote(os.path.abspath(os.fsencode(path)))  # noqa: PTH100 - bytes; links must stay links


def path_of(uri: str) -> str:
    """Path of a `file://` URI (non-UTF-8 bytes as surrogates, ready for `open`).

    Raises:
        ConfigError: any other scheme.
    """
    if not uri.startswith(_SCHEME):
        raise ConfigError(f"{uri!r}: only local files (file://) are supported; download it or mount the bucket")
    return os.fsdecode(unquote_to_bytes(uri[len(_SCHEME) :]))


def video_id_of(relative: bytes, stem_shared: bool = False) -> str:
    """Id of a file, from its path relative to the source folder.

    The stem itself if it is plain; otherwise its plain part plus 8 hex digits of the path's SHA-256, so that different
    files do not share an id.

    Args:
        relative: path below the source folder, with extension.
        stem_shared: another file in the folder has the same stem (a.mp4 and a.mkv).
    """
    stem = os.fsdecode(os.path.splitext(relative)[0])  # noqa: PTH122
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:_STEM_KEEP]
    if plain == stem and not stem_shared:
        return plain
    return f"{plain}-{hashlib.sha256(relative).hexdigest()[:8]}"


def check_id(video_id: str, where: str) -> str:
    """Return the id if it is valid.

    Raises:
        ConfigError: characters outside [A-Za-z0-9_-], empty or longer than 120.
    """
    if not ID_PATTERN.fullmatch(video_id):
        raise ConfigError(f"{where}: video id {video_id!r}; allowed: 1 to 120 characters of A-Z a-z 0-9 _ -")
    return video_id
