"""Videos in a folder tree, sorted by the bytes of their names."""

import os
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

from mvideo_core.base.errors import ConfigError
from mvideo_core.curation.ingest.naming import uri_of, video_id_of
from mvideo_core.curation.ingest.sources import SourceItem, SourceOptions


def list_folder(options: SourceOptions) -> Iterator[SourceItem]:
    """Matching files in `options.folder`, skipping hidden files and folders (macOS's `._clip.mp4`, unfinished
    downloads). Symlinked folders are not entered; symlinked files are listed (`describe` checks where they point).

    Raises:
        ConfigError: no such folder.
    """
    top = os.path.abspath(os.fsencode(options.folder))  # noqa: PTH100 - bytes
    if not os.path.isdir(top):  # noqa: PTH112
        raise ConfigError(
            f"source.folder={options.folder!r}: no such folder; set it to the folder that contains the videos"
        )
    root = uri_of(options.root or top)
    for relative, shared in _walk(top, b"", options):
        yield SourceItem(
            video_id=video_id_of(relative, shared),
            uri=uri_of(os.path.join(top, relative)),  # noqa: PTH118
            root=root,
            licence=options.license,
            title=os.fsencode(os.path.splitext(relative)[0]).decode("utf-8", "replace"),  # noqa: PTH122
        )


def _walk(top: bytes, below: bytes, options: SourceOptions) -> Iterator[tuple[bytes, bool]]:
    """(relative path, whether another file has the same stem) of every match, depth first, in byte order."""
    with os.scandir(os.path.join(top, below)) as entries:  # noqa: PTH118
        found = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries if not e.name.startswith(b"."))
    names = [name for name, is_folder in found if not is_folder and _matches(below + name, name, options.patterns)]
    stems = Counter(os.path.splitext(name)[0] for name in names)  # noqa: PTH122
    kept = set(names)
    for name, is_folder in found:
        if is_folder:
            if options.recursive:
                yield from _walk(top, below + name + b"/", options)
        elif name in kept:
            yield below + name, stems[os.path.splitext(name)[0]] > 1  # noqa: PTH122


def _matches(relative: bytes, name: bytes, patterns: list[str]) -> bool:
    whole, last = os.fsdecode(relative).lower(), os.fsdecode(name).lower()
    return any(fnmatchcase(whole if "/" in pattern else last, pattern.lower()) for pattern in patterns)
