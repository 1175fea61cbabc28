"""What the catalog knows about a model: its folder, its files, their publisher; and what a fetch found there."""

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mvideo_core.base.disk import write_whole
from mvideo_core.base.records import Record

PACKAGE = Path(__file__).parent
FETCHED = "fetched.json"
"""The record that a fetch leaves in the folder; not one of the model's files."""
Kind = Literal["detector", "segmenter", "captioner", "generator", "adapter", "metric", "trust"]


class Needs(NamedTuple):
    """What a model folder must contain.

    Attributes:
        files: paths relative to the folder.
        weights: stems: "vae/model" is vae/model.safetensors, or vae/model.safetensors.index.json with the files it
            names.
    """

    files: tuple[str, ...]
    weights: tuple[str, ...] = ()


class WeightsFile(Record):
    """One file of a model folder.

    Attributes:
        path: relative to the folder, forward slashes.
        url: where it is published; "" for shipped files and for `text`.
        text: content of a small file that this project writes itself (config.json).
        size_bytes, sha256: as published; None if unknown.
        git_sha1: Git's id of the content, which the hub states for small files instead of a SHA-256.
        pinned_by: where those figures were read; without it there are none, except for shipped files.
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
        """Whether its bytes are known in advance: by digest, or because this project writes them."""
        return self.sha256 is not None or self.git_sha1 is not None or self.text is not None


class Repository(Record):
    """A repository on the Hugging Face hub, of which a model folder holds the needed files.

    Attributes:
        name: owner/name.
        former: earlier names; the hub redirects them, and caches on disk keep them.
        revision: commit, or a branch if no commit is known for certain; the first fetch records the commit.
        revision_by: where the commit was read.
        weights: stems of the weight files, see `Needs`; only safetensors, never a pickle.
        also: patterns of more small files, fetched if the repository has them ("*" matches "/", too).
        about_bytes: approximate total of these files, for a list without asking the hub; None if unknown.
        gated: the hub refuses the files until the publisher's terms are accepted, with a token of that account.
    """

    name: str
    former: list[str] = []
    revision: str = "main"
    revision_by: str = ""
    weights: list[str]
    also: list[str] = []
    about_bytes: int | None = None
    gated: bool = False

    def takes(self, path: str, required: list[str]) -> bool:
        """Whether we need a file of the repository."""
        patterns = [f"{stem}{ending}" for stem in self.weights for ending in WEIGHTS_OF_STEM]
        return path in required or any(fnmatchcase(path, pattern) for pattern in (*patterns, *self.also))


WEIGHTS_OF_STEM = (".safetensors", ".safetensors.index.json", "-*-of-*.safetensors")


class WeightsEntry(Record):
    """One model folder.

    Attributes:
        name: unique; also the folder's name under `weights_dir()`.
        alias: short name, unique within the kind ("mini").
        shipped: folder inside this package, for models shipped with the project.
        repository: for a model that is fetched as a whole; `files` are then the required ones.
        expects: values in its JSON files that distinguish it from its relatives, by file and key.
        base: for an adapter, the generator it was trained with.
    """

    name: str
    kind: Kind
    alias: str = ""
    shipped: str = ""
    repository: Repository | None = None
    license: str
    note: str = ""
    files: list[WeightsFile]
    expects: dict[str, dict[str, Any]] = {}
    base: str = ""

    @property
    def terms(self) -> str:
        """The license, and whether the files are gated."""
        return f"{self.license}, gated" if self.repository and self.repository.gated else self.license

    @property
    def folder(self) -> Path:
        """Where the files belong, present or not."""
        return PACKAGE / self.shipped if self.shipped else weights_dir() / self.name

    @property
    def needs(self) -> Needs:
        """What the folder must contain."""
        weights = self.repository.weights if self.repository else ()
        return Needs(tuple(file.path for file in self.files), tuple(weights))


class Fetched(Record):
    """What a fetch found on the hub, kept in the folder as `fetched.json`: it pins the commit and every file.

    It overrides the catalog's figures: to put different weights under a name on purpose, write one (`write_record`).

    Attributes:
        repository: owner/name, or another source of the files.
        revision: what was requested.
        commit: what that was at the time; a repeated fetch stays at it.
        files: with sizes and digests from the hub.
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
    """Write a record into a model's folder. Raises StoreError: it cannot be written."""
    write_whole(folder / FETCHED, record.model_dump_json(indent=1, exclude_defaults=True) + "\n")


def read_files(folder: Path) -> dict[str, WeightsFile]:
    """Files of the folder's record, by path; {} without one."""
    record = read_record(folder)
    return {file.path: file for file in record.files} if record else {}
