"""Publish latents: index and `latents.json` next to the tars, then the pointer that makes them current."""

import hashlib
from collections import Counter
from collections.abc import Iterator

from mvideo_core import __version__
from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import LatentShardRow, Record
from mvideo_core.curation.stages.encode import STAGE, encoders, latents_folder, write_empty
from mvideo_core.engine.chain import stage_and_inputs, valid_markers
from mvideo_core.shards.card import FileEntry
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.store.keys import settings_digest
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.verify import Problem
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.cache import read_info
from mvideo_core.training.latents.identity import base_identity, vae_numbers
from mvideo_core.training.latents.info import (
    EMPTY_NAME,
    INDEX_NAME,
    INFO_NAME,
    LatentShard,
    LatentsInfo,
    LatentSplit,
    info_bytes,
    latents_digest,
    write_index,
)
from mvideo_core.training.latents.members import read_tensors
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.text import TEXT


class LatentsSummary(Record):
    """The published latents: folder relative to the workspace, digest over all tars, windows by split."""

    path: str
    digest: str
    splits: dict[str, LatentSplit]
    filtered: dict[str, int]


def publish_latents(workspace: Workspace, options: LatentOptions) -> LatentsSummary:
    """Write index and `latents.json` for the current tars; the same rows give the same bytes.

    Raises:
        StoreError: a part is not finished with these options, or one of its tars is missing.
    """
    with stages_in_use(workspace.folder, stage_and_inputs(STAGE.name)):
        return _publish(workspace, options)


def _publish(workspace: Workspace, options: LatentOptions) -> LatentsSummary:
    dataset = workspace.pointer("dataset")
    if dataset is None:
        raise StoreError(f"{workspace.url} has no dataset; run `mvideo stage shard` and `mvideo encode` first")
    identity = base_identity(options.base, options.format)
    settings = settings_digest(STAGE.name, STAGE.revision, options, STAGE.externals(options))
    root = latents_folder(settings, dataset["path"])
    filtered = Counter(row.reason or "unknown" for row in _rows(workspace, settings) if row.status == "filtered")
    shards = list(_shards(workspace, settings, root))
    with scratch_folder("latents") as folder:
        local = folder / INDEX_NAME
        with local.open("wb") as out:
            splits = write_index(_rows(workspace, settings), root, out)
        workspace.folder.adopt(local, f"{root}/{INDEX_NAME}")
    if not workspace.folder.exists(f"{root}/{EMPTY_NAME}"):
        write_empty(workspace, root, encoders(options), identity)
    empty = read_tensors(workspace.folder.read(f"{root}/{EMPTY_NAME}"), f"{root}/{EMPTY_NAME}")[TEXT]
    numbers = vae_numbers(options.base)
    info = LatentsInfo(
        digest=latents_digest([*shards, _entry(workspace, root, EMPTY_NAME)]),
        written_by=f"mvideo {__version__}",
        dataset=dataset["path"],
        dataset_digest=dataset["digest"],
        identity=identity,
        latent_channels=numbers.channels,
        scaling_factor=numbers.scaling_factor,
        stride_px=numbers.stride_px,
        text_shape=tuple(empty.shape),
        splits=splits,
        filtered=dict(sorted(filtered.items())),
        options=options.model_dump(mode="json"),
        index=_entry(workspace, root, INDEX_NAME),
        empty=_entry(workspace, root, EMPTY_NAME),
        shards=shards,
    )
    workspace.folder.write(f"{root}/{INFO_NAME}", info_bytes(info))
    workspace.set_pointer("latents", root, digest=info.digest)
    return LatentsSummary(path=root, digest=info.digest, splits=splits, filtered=info.filtered)


def latents_problems(workspace: Workspace, deep: bool) -> list[Problem]:
    """Problems with the files of the current latents; [] if they are fine or there are none yet."""
    pointer = workspace.pointer("latents")
    if pointer is None:
        return []
    root, fix = pointer["path"], f"run `mvideo encode --workspace {workspace.url}` again, it redoes only this"
    try:
        info = read_info(DatasetFiles(current_latents(workspace)))
    except StoreError as error:
        return [Problem(path=f"{root}/{INFO_NAME}", what=str(error), fix=fix)]
    found: list[Problem] = []
    for entry in (*info.shards, info.index, info.empty):
        path = f"{root}/{entry.path}"
        if workspace.folder.size(path) != entry.size_bytes:
            found.append(Problem(path=path, what="missing or of another size than recorded", fix=fix))
        elif deep and workspace.folder.sha256(path) != entry.sha256:
            what = "content differs from its recorded SHA-256"
            found.append(Problem(path=path, what=what, fix=f"delete it, {fix}"))
    return found


def current_latents(workspace: Workspace) -> str:
    """Folder or URL of the latents published last, for `LatentDataset`.

    Raises:
        StoreError: there are none yet.
    """
    pointer = workspace.pointer("latents")
    if pointer is None:
        raise StoreError(f"{workspace.url} has no latents; run `mvideo encode --workspace {workspace.url}` first")
    path = pointer["path"]
    return workspace.folder.at(path) if workspace.folder.is_local else f"{workspace.url.rstrip('/')}/{path}"


def _rows(workspace: Workspace, settings: str) -> Iterator[LatentShardRow]:
    for index, marker in valid_markers(workspace, STAGE.name):
        if marker is None or marker.settings != settings:
            raise StoreError(
                f"encode part {index} is not finished with these options on the current dataset; "
                f"run `mvideo encode --workspace {workspace.url}` with these options"
            )
        yield from workspace.rows(marker, LatentShardRow)


def _shards(workspace: Workspace, settings: str, root: str) -> Iterator[LatentShard]:
    for row in _rows(workspace, settings):
        if row.status == "filtered":
            continue
        if row.status != "ok" or row.tar is None or not workspace.holds(row.tar):
            raise StoreError(f"latents of {row.key}: {row.message or 'the tar is missing'}; rerun encode")
        yield LatentShard(
            path=row.tar.path.removeprefix(f"{root}/"),
            size_bytes=row.tar.size_bytes,
            sha256=row.tar.sha256,
            split=row.split,
            clips=len({window.key for window in row.windows}),
            windows=len(row.windows),
        )


def _entry(workspace: Workspace, root: str, name: str) -> FileEntry:
    content = workspace.folder.read(f"{root}/{name}")
    return FileEntry(path=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
