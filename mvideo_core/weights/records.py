"""What the catalog says of a model: its folder, its files, where they are published; and what a fetch found there."""

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from mvideo_core.base.disk import write_whole
from mvideo_core.base.records import Record
from mvideo_core.weights.contents import FETCHED, Needs

PACKAGE = Path(__file__).parent
Kind = Literal["detector", "segmenter", "captioner", "generator", "adapter", "metric"]


class WeightsFile(Record):
    """One file of a model folder.

    Attributes:
        path: relative to the folder, forward slashes.
        url: where it is published; "" for shipped files and for `text`.
        text: content of a small file that this project writes itself (config.json).
        size_bytes, sha256: as published; None where not known.
        git_sha1: Git's id of the content, which the hub states for small files in place of a SHA-256.
        pinned_by: where those figures were read; none without it, except for files that come with the project.
    """

    path: str
    url: str = ""
    text: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    pinned_by: str = ""

    @property
    def pinned(self) -> bool:
        """Whether its bytes are known beforehand: by digest, or because this project writes them."""
        return self.sha256 is not None or self.git_sha1 is not None or self.text is not None


class Repository(Record):
    """A repository of the Hugging Face hub, of which a model folder holds the files that are needed.

    Attributes:
        name: owner/name.
        former: names it had before; the hub redirects them, and caches on disk keep them.
        revision: commit, or a branch where no commit is known for certain; the first fetch records the commit.
        revision_by: where the commit was read.
        weights: stems of the weight files, see `Needs`; of safetensors only, never a pickle beside them.
        also: patterns of further small files, taken where the repository has them ("*" matches "/", too).
        about_bytes: rough total of these files, for a list made without asking the hub; None where not known.
    """

    name: str
    former: list[str] = []
    revision: str = "main"
    revision_by: str = ""
    weights: list[str]
    also: list[str] = []
    about_bytes: int | None = None

    def takes(self, path: str, required: list[str]) -> bool:
        """Whether a file of the repository is needed."""
        patterns = [f"{stem}{ending}" for stem in self.weights for ending in WEIGHTS_OF_STEM]
        return path in required or any(fnmatchcase(path, pattern) for pattern in (*patterns, *self.also))


WEIGHTS_OF_STEM = (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")


class WeightsEntry(Record):
    """One model folder.

    Attributes:
        name: unique; also the folder's name under `weights_dir()`.
        alias: short name, unique within the kind ("mini").
        shipped: folder inside this package, for models that come with the project.
        repository: for a model that is fetched as a whole; `files` are then those that it must have.
        expects: values in its JSON files that tell it from its relatives, by file and key.
        base: of an adapter, the generator it was trained over.
    """

    name: str
    kind: Kind
    alias: str = ""
    shipped: str = ""
    repository: Repository | None = None
    licence: str
    note: str = ""
    files: list[WeightsFile]
    expects: dict[str, dict[str, Any]] = {}
    base: str = ""

    @property
    def folder(self) -> Path:
        """Where the files belong, present or not."""
        return PACKAGE / self.shipped if self.shipped else weights_dir() / self.name

    @property
    def needs(self) -> Needs:
        """What the folder has to hold."""
        weights = self.repository.weights if self.repository else ()
        return Needs(tuple(file.path for file in self.files), tuple(weights))


class Fetched(Record):
    """What a fetch found on the hub, kept in the folder as `fetched.json`: it pins the commit and every file.

    It goes over the catalog's figures: who puts other weights under a name on purpose writes one (`write_record`).

    Attributes:
        repository: owner/name, or where else the files are from.
        revision: what was asked for.
        commit: what that was then; a fetch that is run again stays at it.
        files: with sizes and digests as the hub states them.
    """

    repository: str
    revision: str
    commit: str
    files: list[WeightsFile]


def weights_dir() -> Path:
    """$MVIDEO_WEIGHTS, else ~/.cache/mvideo/weights."""
    return Path(os.environ.get("MVIDEO_WEIGHTS") or "~/.cache/mvideo/weights").expanduser()


def read_record(folder: Path) -> Fetched | None:
    """The record of a fetch into this folder, if there is a readable one."""
    try:
        return Fetched.model_validate_json((folder / FETCHED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_record(folder: Path, record: Fetched) -> None:
    """Put a record into a model's folder. Raises StoreError: it cannot be written."""
    write_whole(folder / FETCHED, record.model_dump_json(indent=1, exclude_defaults=True) + "\n")


def read_files(folder: Path) -> dict[str, WeightsFile]:
    """Files of the folder's record, by path; {} without one."""
    record = read_record(folder)
    return {file.path: file for file in record.files} if record else {}
