"""Fetches a model's files: linked from the Hugging Face cache or downloaded, resumed byte by byte, digests checked.

We download ourselves rather than with the hub client (2.x), which drops a partial file when it is stopped; a file of 5
GB is then fetched from the start. The client provides a repository's listing, errors and cache (`hub`).
"""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ModelError, StoreError
from mvideo_core.weights import hub
from mvideo_core.weights.catalog import check, check_entry, entry, size_text
from mvideo_core.weights.download import Progress, download, http_client, part_of
from mvideo_core.weights.file_checks import file_problem
from mvideo_core.weights.records import Fetched, WeightsEntry, WeightsFile, read_record, write_record

log = logging.getLogger(__name__)


def fetch(name: str, kind: str | None = None, progress: Progress | None = None, revision: str = "") -> Path:
    """Fetch an entry's missing or damaged files into its folder.

    Args:
        name: catalog name or alias.
        kind: as in `find`.
        progress: called with (file, bytes so far, total bytes or None).
        revision: branch, tag or commit of a repository, instead of the catalog's.

    Returns:
        The folder, complete.

    Raises:
        ModelError: shipped files, a server that refuses or cannot be reached, or a digest that differs.
        StoreError: too little free disk space, or a folder that cannot be written.
        ConfigError: no such name.
    """
    item = entry(name, kind)
    if item.repository:
        return fetch_repository(item, progress, revision)
    _fetch_files(item, progress)
    return item.folder


def fetch_repository(item: WeightsEntry, progress: Progress | None = None, revision: str = "") -> Path:
    """As `fetch`, for an entry with a repository, which need not be in the catalog."""
    assert item.repository is not None
    _fetch_repository(item, revision or item.repository.revision, progress)
    return item.folder


def _fetch_files(item: WeightsEntry, progress: Progress | None) -> None:
    """The files of an entry that lists an address for each."""
    states = {state.path: state for state in check(item.name, item.kind)}
    wrong = [file for file in item.files if states[item.folder / file.path].problem]
    for file in wrong:
        if file.text is not None:
            write_whole(item.folder / file.path, file.text)
        elif not file.url:
            path = item.folder / file.path
            raise ModelError(f"weights: {path} is part of this project and is {states[path].problem}; reinstall it")
    files = [hub.with_hub_digest(file) for file in wrong if file.url]
    check_free_disk(item.folder, files)
    _download_all(item.folder, files, progress)


def _fetch_repository(item: WeightsEntry, revision: str, progress: Progress | None) -> None:
    """The needed files of a repository; a fetch that has started stays at its commit."""
    before = read_record(item.folder)
    record = before if before and revision in (before.revision, before.commit) else hub.list_repository(item, revision)
    if item.folder.is_dir():
        log.info("%s: checking what is in %s", item.name, item.folder)
    wrong = [file for file in record.files if file_problem(item.folder / file.path, file)]
    if record == before and not wrong:
        return
    linked = [file for file in wrong if _link(item, record.commit, file)]
    rest = [file for file in wrong if file not in linked]
    _log_plan(item, record, linked, rest)
    if rest:
        if hub.offline():
            raise ModelError(
                f"weights: {item.name}: HF_HUB_OFFLINE is set, and {len(rest)} files are neither in {item.folder} nor "
                f"complete in the Hugging Face cache, such as {rest[0].path}; unset it and rerun the command"
            )
        hub.check_access(record.repository, record.commit, rest[0].path)
    addresses = [
        file.model_copy(update={"url": hub.file_url(record.repository, record.commit, file.path)}) for file in rest
    ]
    check_free_disk(item.folder, addresses)
    for file in before.files if before and before != record else []:
        part_of(item.folder / file.path).unlink(missing_ok=True)
        if file.path not in {new.path for new in record.files}:
            (item.folder / file.path).unlink(missing_ok=True)
    write_record(item.folder, record)
    _download_all(item.folder, addresses, progress)
    bad = [state for state in check_entry(item, digests=False) if state.problem]
    if bad:
        raise ModelError(f"weights: {item.name} as published at {record.commit}: {bad[0].path}: {bad[0].problem}")


def check_free_disk(folder: Path, files: Sequence[WeightsFile]) -> None:
    """Compare the remaining download size with the free disk space.

    Raises:
        StoreError: not enough.
    """
    needed = sum(file.size_bytes or 0 for file in files) - _partial_bytes(folder, files)
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise StoreError(
            f"weights: {folder} needs {size_text(needed)} more, but only {size_text(free)} are free; free "
            f"{size_text(needed - free)}, or set MVIDEO_WEIGHTS to a folder on a larger disk"
        )


def _partial_bytes(folder: Path, files: Sequence[WeightsFile]) -> int:
    """Bytes of these files that an earlier fetch left."""
    parts = [part_of(folder / file.path) for file in files]
    return sum(part.stat().st_size for part in parts if part.is_file())


def _download_all(folder: Path, files: Sequence[WeightsFile], progress: Progress | None) -> None:
    with http_client() as client:
        for file in files:
            download(client, file, folder / file.path, progress, hub.request_headers(file.url))


def _link(item: WeightsEntry, commit: str, file: WeightsFile) -> bool:
    """Whether the file is complete in the Hugging Face cache and now linked from the model's folder."""
    source, target = hub.find_in_cache(item, commit, file.path), item.folder / file.path
    if source is None or file_problem(source, file):
        return False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(source)
    except OSError as error:
        raise StoreError(f"weights: {target}: cannot be linked to {source} ({error}); fix permissions") from None
    return True


def _log_plan(item: WeightsEntry, record: Fetched, linked: Sequence[WeightsFile], rest: Sequence[WeightsFile]) -> None:
    partial_bytes = _partial_bytes(item.folder, rest)
    what = [f"{_total(linked)} linked from the Hugging Face cache"] if linked else []
    if rest:
        there = f" ({size_text(partial_bytes)} already downloaded)" if partial_bytes else ""
        what.append(f"{_total(rest)} to download from {hub.endpoint()}{there}")
    total = f"{_total(record.files)} in {len(record.files)} files"
    log.info("%s: %s at %s, %s: %s", item.name, record.repository, record.commit[:12], total, ", ".join(what) or "here")


def _total(files: Sequence[WeightsFile]) -> str:
    return size_text(sum(file.size_bytes or 0 for file in files))
