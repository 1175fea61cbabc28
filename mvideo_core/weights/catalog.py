"""The catalog: every model by name, whether it is on this disk, and what is wrong with it."""

import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import parse_yaml
from mvideo_core.weights.file_checks import file_problem, folder_problems, needs_of
from mvideo_core.weights.records import PACKAGE, WeightsEntry, WeightsFile, read_files


class FileState(NamedTuple):
    """One file on disk: `problem` is "" if nothing is wrong; `pinned`: its digest is known in advance."""

    path: Path
    problem: str
    pinned: bool


@lru_cache(maxsize=1)
def entries() -> tuple[WeightsEntry, ...]:
    """Every entry, by name. A repeated name, or alias within a kind, is a programming error."""
    found: list[WeightsEntry] = []
    for path in visible_files(PACKAGE / "entries", ".yaml"):
        found += [WeightsEntry.model_validate(item) for item in parse_yaml(path.read_text(encoding="utf-8"), str(path))]
    names = [item.name for item in found] + [f"{item.kind}:{item.alias}" for item in found if item.alias]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise RuntimeError(f"weights catalog: {repeated} are listed twice")
    return tuple(sorted(found, key=lambda item: item.name))


def entry(name: str, kind: str | None = None) -> WeightsEntry:
    """The entry of that name or alias.

    Raises:
        ConfigError: no entry, or (without `kind`) several; the message lists the known names.
    """
    matches = [item for item in entries() if name in (item.name, item.alias) and kind in (None, item.kind)]
    if len(matches) != 1:
        known = ", ".join(item.name for item in entries() if kind in (None, item.kind))
        what = "is the alias of several models" if matches else f"is not a {kind or 'model'} in the weights catalog"
        raise ConfigError(f"weights: {name!r} {what}; use a folder or one of: {known}")
    return matches[0]


def find(name: str, kind: str | None = None) -> Path:
    """Folder of a model with all its catalog files, complete by size and header (digests are checked by `check`).

    Args:
        name: catalog name, alias, or path of a folder (anything with a slash, or starting with "." or "~").
        kind: kind of model; needed for an alias that several kinds share, such as "mini".

    Raises:
        ModelError: folder or file missing or damaged; the message says which, where it comes from and where to put it.
        ConfigError: no such name.
    """
    if is_path(name):
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise ModelError(f"weights: no folder {folder}; use a model folder or a name from `mvideo weights list`")
        return folder
    item = entry(name, kind)
    states = check(item.name, item.kind, digests=False)
    wrong = [state for state in states if state.problem]
    if wrong:
        raise ModelError(_describe_unusable(item, wrong[0], not_here=is_absent(states)))
    return item.folder


def is_absent(states: list[FileState]) -> bool:
    """Whether no file of a model is there."""
    return all(state.problem == "missing" for state in states)


def is_path(name: str) -> bool:
    """Whether it is a folder rather than a catalog entry."""
    return "/" in name or name.startswith((".", "~"))


def check(name: str, kind: str | None = None, digests: bool = True) -> list[FileState]:
    """State of each file of an entry or a folder: present, of the right type, with the right size and SHA-256.

    Args:
        name: as in `find`.
        digests: read every byte of the files whose digest is known; else sizes and headers only.

    Raises:
        ModelError: a path that is not a model folder. ConfigError: no such name.
    """
    if is_path(name):
        folder = Path(name).expanduser()
        found = folder_problems(folder, needs_of(folder))
        return _states(folder, found, read_files(folder), digests)
    return check_entry(entry(name, kind), digests)


def check_entry(item: WeightsEntry, digests: bool = True) -> list[FileState]:
    """As `check`, for an entry that need not be in the catalog."""
    found = folder_problems(item.folder, item.needs)
    known = {file.path: file for file in item.files} | read_files(item.folder)
    return _states(item.folder, found | _find_unexpected(item, found), known, digests)


def size_text(size_bytes: int) -> str:
    """ "13.8 GB", "694.0 MB", "51.2 kB", "3 B"."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"


def _states(folder: Path, found: dict[str, str], known: dict[str, WeightsFile], digests: bool) -> list[FileState]:
    """Problems found in files, and differences from known sizes and digests."""
    states = []
    for name in [*found, *(name for name in known if name not in found)]:
        file = known.get(name)
        problem = found.get(name) or (file_problem(folder / name, file, digests) if file else "")
        states.append(FileState(folder / name, problem, file is not None and file.pinned))
    return states


def _find_unexpected(item: WeightsEntry, found: dict[str, str]) -> dict[str, str]:
    """JSON files with the values of a different model."""
    problems = {}
    for name, values in item.expects.items():
        if found.get(name, "missing"):
            continue
        content = json.loads((item.folder / name).read_text(encoding="utf-8"))
        for key, value in values.items():
            if (seen := content.get(key)) != value:
                problems[name] = f"{key} is {seen}, expected {value}: the folder does not hold {item.name}"
    return problems


def _describe_unusable(item: WeightsEntry, state: FileState, not_here: bool) -> str:
    path = state.path
    problem = "is missing" if state.problem == "missing" else f"is unusable: {state.problem}"
    if item.shipped:
        return f"weights: {path} is part of this project and {problem}; reinstall it, or train it again ({item.note})"
    if repository := item.repository:
        size = f"about {size_text(repository.about_bytes)} " if repository.about_bytes else ""
        source, place = f"https://huggingface.co/{repository.name}", f"the repository to {item.folder}"
    else:
        file = next(file for file in item.files if item.folder / file.path == path)
        size = f"{file.size_bytes / 1e6:.0f} MB, " if file.size_bytes else ""
        source, place = file.url or "this project", f"the file to {path}"
    where = f"{item.name} is {'not on this machine' if not_here else 'incomplete'}: {path} {problem}"
    return (
        f"weights: {where}. Run `mvideo weights fetch {item.name}` ({size}from {source}), or copy {place} by hand, or "
        f"set MVIDEO_WEIGHTS to another folder{_gate(item)}"
    )


def _gate(item: WeightsEntry) -> str:
    if not item.repository or not item.repository.gated:
        return ""
    page = f"https://huggingface.co/{item.repository.name}"
    return f". It is gated ({item.license}): first accept its terms at {page} and set HF_TOKEN"
