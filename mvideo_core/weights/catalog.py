"""The catalog: names, files, sources and digests of weights, and whether they are on this disk."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import yaml

from mvideo_core.errors import ConfigError, ModelError
from mvideo_core.records import Record

PACKAGE = Path(__file__).parent
Kind = Literal["detector", "segmenter", "captioner", "generator", "metric"]


class WeightsFile(Record):
    """One file of a model folder.

    Attributes:
        path: relative to the folder, forward slashes.
        url: where it is published; "" for shipped files and for `text`.
        text: content of a small file that this project writes itself (config.json).
        size_bytes, sha256: as published; None where not known.
        pinned_by: where those two were read; no figure without it, except for files that come with the project.
    """

    path: str
    url: str = ""
    text: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    pinned_by: str = ""

    @property
    def pinned(self) -> bool:
        """Whether its bytes are known beforehand: by digest, or because this project writes them."""
        return self.sha256 is not None or self.text is not None


class WeightsEntry(Record):
    """One model folder.

    Attributes:
        name: unique; also the folder's name under `weights_dir()`.
        alias: short name, unique within the kind ("mini").
        shipped: folder inside this package, for models that come with the project.
        source: page to copy from when the files are not listed one by one.
    """

    name: str
    kind: Kind
    alias: str = ""
    shipped: str = ""
    source: str = ""
    licence: str
    note: str = ""
    files: list[WeightsFile]

    @property
    def folder(self) -> Path:
        """Where the files belong, present or not."""
        return PACKAGE / self.shipped if self.shipped else weights_dir() / self.name


class FileState(NamedTuple):
    """One file on disk against the catalog: `problem` is "" when nothing is wrong, as far as it can be `pinned`."""

    path: Path
    problem: str
    pinned: bool


def weights_dir() -> Path:
    """$MVIDEO_WEIGHTS, else ~/.cache/mvideo/weights."""
    return Path(os.environ.get("MVIDEO_WEIGHTS") or "~/.cache/mvideo/weights").expanduser()


@lru_cache(maxsize=1)
def entries() -> tuple[WeightsEntry, ...]:
    """Every entry, by name. A repeated name, or alias within a kind, is a programming error."""
    found: list[WeightsEntry] = []
    for path in sorted((PACKAGE / "entries").glob("*.yaml")):
        found += [WeightsEntry.model_validate(item) for item in yaml.safe_load(path.read_text(encoding="utf-8"))]
    names = [item.name for item in found] + [f"{item.kind}:{item.alias}" for item in found if item.alias]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RuntimeError(f"weights catalog: {repeated} stand twice")
    return tuple(sorted(found, key=lambda item: item.name))


def entry(name: str, kind: str | None = None) -> WeightsEntry:
    """The entry of that name or alias.

    Raises:
        ConfigError: none, or (without `kind`) several; the message lists the known names.
    """
    matches = [item for item in entries() if name in (item.name, item.alias) and kind in (None, item.kind)]
    if len(matches) != 1:
        known = ", ".join(item.name for item in entries() if kind in (None, item.kind))
        what = "is the alias of several models" if matches else f"is no {kind or 'model'} of the weights catalog"
        raise ConfigError(f"weights: {name!r} {what}; give a folder or one of: {known}")
    return matches[0]


def find(name: str, kind: str | None = None) -> Path:
    """Folder of a model, with every file of the catalog in it (sizes and digests are `check`'s work).

    Args:
        name: catalog name, alias, or path of a folder (anything with a slash, or starting with "." or "~").
        kind: what is looked for; needed for an alias that several kinds share, such as "mini".

    Raises:
        ModelError: folder or file absent; the message says which, where it comes from and where to put it.
        ConfigError: no such name.
    """
    if "/" in name or name.startswith((".", "~")):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise ModelError(f"weights: no folder {folder}; give a model folder or a name of `mvideo weights list`")
        return folder
    item = entry(name, kind)
    for file in item.files:
        if not (item.folder / file.path).is_file():
            raise ModelError(_absent(item, file))
    return item.folder


def check(name: str, kind: str | None = None, digests: bool = True) -> list[FileState]:
    """State of each file of an entry: present, of the right size and (if `digests`) of the right SHA-256."""
    item = entry(name, kind)
    paths = [item.folder / file.path for file in item.files]
    return [
        FileState(path, _problem(path, file, digests), file.pinned)
        for path, file in zip(paths, item.files, strict=True)
    ]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _problem(path: Path, file: WeightsFile, digests: bool) -> str:
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if file.size_bytes is not None and size != file.size_bytes:
        return f"{size} bytes, {file.size_bytes} expected"
    if digests and file.sha256 is not None and (seen := file_sha256(path)) != file.sha256:
        return f"sha256 {seen[:12]}..., {file.sha256[:12]}... expected"
    if file.text is not None and path.read_text(encoding="utf-8") != file.text:
        return "another content than this project writes"
    return ""


def _absent(item: WeightsEntry, file: WeightsFile) -> str:
    path = item.folder / file.path
    if item.shipped:
        return f"weights: {path} is part of this project but not there; reinstall it, or train it again ({item.note})"
    if not file.url:
        return f"weights: {item.name}: {path} is missing. {item.note}: {item.source} -> {item.folder}"
    size = f"{file.size_bytes / 1e6:.0f} MB, " if file.size_bytes else ""
    return (
        f"weights: {item.name} is not on this machine: {path} is missing ({size}from {file.url}). "
        f"Run `mvideo weights fetch {item.name}`, or copy the file there, or set MVIDEO_WEIGHTS to another folder"
    )
