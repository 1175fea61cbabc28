"""Publish a dataset: index, `dataset.json` and data card next to the tars, then the pointer that makes it current."""

from collections import Counter
from collections.abc import Iterator

from mvideo_core.base.digests import sha256_of
from mvideo_core.base.errors import StoreError
from mvideo_core.base.records import Record, ShardPlanRow, ShardRow
from mvideo_core.curation.stages.samples import SAMPLES_STAGE
from mvideo_core.engine.chain import stage_and_inputs
from mvideo_core.shards.card import CARD_NAME, INFO_NAME, FileEntry, ShardEntry, data_card, dataset_info, info_bytes
from mvideo_core.shards.dataset import MaskVideoDataset
from mvideo_core.shards.index import INDEX_NAME, write_index
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.verify import verify_dataset
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.verify import Problem
from mvideo_core.store.workspace import Workspace


class DatasetSummary(Record):
    """The published dataset: folder relative to the workspace, digest over all shards, samples by split."""

    path: str
    digest: str
    shards: int
    samples: dict[str, int]
    excluded: dict[str, int]


def publish_dataset(workspace: Workspace, options: ShardOptions) -> DatasetSummary:
    """Write index, `dataset.json` and data card for the current shards; the same rows give the same bytes.

    Raises:
        StoreError: a shard part is unfinished or its tar is missing.
    """
    with stages_in_use(workspace.folder, stage_and_inputs("shard")):
        return _publish(workspace, options)


def _publish(workspace: Workspace, options: ShardOptions) -> DatasetSummary:
    excluded: Counter[str] = Counter()
    dataset = ""
    for row in workspace.current_rows(SAMPLES_STAGE, ShardPlanRow):
        dataset = row.dataset or dataset
        if row.status == "filtered":
            excluded[row.reason or "unknown"] += 1
    shards = list(_shards(workspace, dataset))
    with scratch_folder("index") as folder:
        local = folder / INDEX_NAME
        with local.open("wb") as out:
            totals = write_index(workspace.current_rows(SAMPLES_STAGE, ShardPlanRow), out)
        with local.open("rb") as stream:
            index = FileEntry(path=INDEX_NAME, size_bytes=local.stat().st_size, sha256=sha256_of(stream))
        workspace.folder.adopt(local, f"{dataset}/{INDEX_NAME}")
    info = dataset_info(totals, shards, index, excluded, options, options.title)
    workspace.folder.write(f"{dataset}/{CARD_NAME}", data_card(info, options.license).encode())
    workspace.folder.write(f"{dataset}/{INFO_NAME}", info_bytes(info))
    workspace.set_pointer("dataset", dataset, digest=info.digest)
    return DatasetSummary(
        path=dataset,
        digest=info.digest,
        shards=len(shards),
        samples={name: split.samples for name, split in info.splits.items()},
        excluded=info.excluded,
    )


def dataset_problems(workspace: Workspace, deep: bool) -> list[Problem]:
    """Problems of the current dataset; [] if it is fine or there is none yet."""
    pointer = workspace.pointer("dataset")
    if pointer is None:
        return []
    path = pointer["path"]
    root = _root(workspace, path)
    return [
        Problem(
            path=f"{path}/{found.path}",
            what=f"{found.key}: {found.what}".removeprefix(": "),
            fix="run stage shard again",
        )
        for found in verify_dataset(root, deep)
    ]


def dataset_root(workspace: Workspace) -> str:
    """Folder or URL of the current dataset.

    Raises:
        StoreError: there is no dataset yet.
    """
    pointer = workspace.pointer("dataset")
    if pointer is None:
        raise StoreError(f"{workspace.url} has no dataset; run `mvideo run` on it first")
    return _root(workspace, pointer["path"])


def first_sample(workspace: Workspace) -> str:
    """`DATASET#KEY` of the first sample of the current dataset.

    Raises:
        StoreError: there is no dataset yet, or it is empty.
    """
    root = dataset_root(workspace)
    keys = MaskVideoDataset(root).keys
    if len(keys) == 0:
        raise StoreError(f"{root} has no samples; give a prompt or a source")
    return f"{root}#{keys[0]}"


def _root(workspace: Workspace, path: str) -> str:
    return str(workspace.folder.at(path)) if workspace.folder.is_local else f"{workspace.url.rstrip('/')}/{path}"


def _shards(workspace: Workspace, dataset: str) -> Iterator[ShardEntry]:
    for index in range(workspace.parts_of("shard")):
        marker = workspace.current("shard", index)
        if marker is None:
            raise StoreError(
                f"shard part {index} is not finished; run `mvideo stage shard --workspace {workspace.url}`"
            )
        for row in workspace.rows(marker, ShardRow):
            if row.status != "ok" or row.tar is None or not workspace.holds(row.tar):
                raise StoreError(f"shard {row.key}: {row.message or 'its tar is missing'}; rerun stage shard")
            yield ShardEntry(
                path=row.tar.path.removeprefix(f"{dataset}/"),
                size_bytes=row.tar.size_bytes,
                sha256=row.tar.sha256,
                split=row.split,
                samples=len(row.samples),
            )
