"""`latents.json` and the Parquet index: what a folder of latents contains, and which models and dataset it comes
from.
"""

import json
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any

from mvideo_core.base.options import digest
from mvideo_core.base.records import LatentShardRow, Record
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.shards.card import FileEntry
from mvideo_core.training.latents.windows import window_id

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
INFO_NAME = "latents.json"
INDEX_NAME = "index.parquet"
EMPTY_NAME = "empty.safetensors"


class LatentIdentity(Record):
    """What latents and text embeddings depend on besides the data; latents with equal identities are interchangeable.

    Attributes:
        vae, text_encoder: fingerprints of the component's files; the text encoder's includes the tokenizer.
        text_tokens: rows of a text embedding.
        format: sizes, clip length, frame rate.
    """

    vae: str
    text_encoder: str
    text_tokens: int
    format: VideoFormat


class LatentShard(FileEntry):
    """A tar of latents."""

    split: str
    clips: int
    windows: int


class LatentSplit(Record):
    """One split in numbers."""

    shards: int
    clips: int
    windows: int
    with_history: int
    bytes: int


class LatentsInfo(Record):
    """Content of `latents.json`.

    Attributes:
        digest: over paths and digests of all tars and the empty prompt.
        dataset: folder of the dataset, relative to the workspace; `dataset_digest` is the digest in its dataset.json.
        latent_channels: C of every latent; `text_shape` is (L, C) of every text embedding.
        scaling_factor: what the unscaled latents are multiplied by before they reach the transformer.
        stride_px: pixels per latent cell, in both directions; folders written before it was recorded have 8.
        filtered: reason -> number of clips without a window.
        options: LatentOptions as used.
    """

    schema_version: int = SCHEMA_VERSION
    digest: str
    written_by: str
    dataset: str
    dataset_digest: str
    identity: LatentIdentity
    latent_channels: int
    scaling_factor: float
    stride_px: int = 8
    text_shape: tuple[int, int]
    dtype: str = "bfloat16"
    splits: dict[str, LatentSplit]
    filtered: dict[str, int]
    options: dict[str, Any]
    index: FileEntry
    empty: FileEntry
    shards: list[LatentShard]

    @property
    def n_sloppy(self) -> int:
        """Sloppy masks of every window."""
        return int(self.options.get("sloppy", {}).get("variants", 0))

    @property
    def has_coverage(self) -> bool:
        """Whether every window has the coverage of its mask."""
        return bool(self.options.get("store_coverage", False))


def latents_digest(files: Sequence[FileEntry]) -> str:
    """SHA-256 over path and digest of files."""
    return digest(sorted([file.path, file.sha256] for file in files))


def info_bytes(info: LatentsInfo) -> bytes:
    """`latents.json`: sorted keys, indented."""
    return (json.dumps(info.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


def index_schema() -> "pa.Schema":
    """Columns of the index: one row per window."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()), ("key", pa.string()), ("video_id", pa.string()), ("split", pa.string()),
            ("shard", pa.string()), ("target_start_frame", pa.int32()), ("history", pa.bool_()),
            ("caption", pa.string()), ("offset_bytes", pa.int64()), ("size_bytes", pa.int64()), ("sha256", pa.string()),
            ("text_offset_bytes", pa.int64()), ("text_size_bytes", pa.int64()), ("text_sha256", pa.string()),
        ]
    )  # fmt: skip


def write_index(rows: Iterable[LatentShardRow], root: str, out: IO[bytes]) -> dict[str, LatentSplit]:
    """Write the index of all tars into `out`, one row group per tar, and return the totals per split.

    Args:
        rows: `ok` rows in the order of the dataset; others are skipped. Held one at a time.
        root: folder of the latents within the workspace, removed from the tars' paths.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    totals: dict[str, LatentSplit] = {}
    schema = index_schema()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for row in rows:
            if row.status != "ok" or row.tar is None:
                continue
            shard = row.tar.path.removeprefix(f"{root}/")
            columns = [
                {"id": window_id(one.key, one.target_start_frame), "split": row.split, "shard": shard}
                | one.model_dump()
                for one in row.windows
            ]
            writer.write_table(pa.Table.from_pylist(columns, schema=schema))
            totals[row.split] = _add_row(totals.get(row.split), row)
    return totals


def _add_row(total: LatentSplit | None, row: LatentShardRow) -> LatentSplit:
    total = total or LatentSplit(shards=0, clips=0, windows=0, with_history=0, bytes=0)
    return LatentSplit(
        shards=total.shards + 1,
        clips=total.clips + len({one.key for one in row.windows}),
        windows=total.windows + len(row.windows),
        with_history=total.with_history + sum(one.history for one in row.windows),
        bytes=total.bytes + (row.tar.size_bytes if row.tar else 0),
    )
