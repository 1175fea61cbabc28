"""The Parquet index: one row per sample with offset, size and digest of every member. Made from the plan alone."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from mvideo_core.base.records import PlannedSample, SampleRow, ShardPlanRow
from mvideo_core.shards.members import EXTENSIONS, sample_members, sample_row
from mvideo_core.shards.write import shard_path

if TYPE_CHECKING:
    import pyarrow as pa

INDEX_NAME = "index.parquet"


@dataclass
class SplitTotals:
    """Running sums over the samples of one split; only the set of video ids grows with the dataset."""

    samples: int = 0
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    videos: set[str] = field(default_factory=set)
    labels: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    captioners: Counter[str] = field(default_factory=Counter)

    def add(self, sample: PlannedSample, row: SampleRow, meta: dict[str, Any]) -> None:
        """Count one sample."""
        self.samples += 1
        self.frames += sample.n_frames
        self.seconds += sample.n_frames / meta["fps"] if meta.get("fps") else 0.0
        self.bytes += row.size_bytes
        self.videos.add(sample.video_id)
        self.labels.update(set(sample.labels))
        self.licences[meta.get("source", {}).get("licence") or "not stated"] += 1
        caption = meta.get("caption", {})
        self.captioners[" / ".join(filter(None, (caption.get("captioner"), caption.get("model")))) or "not stated"] += 1


def index_schema() -> "pa.Schema":
    """Columns of the index."""
    import pyarrow as pa

    columns = [
        ("key", pa.string()), ("video_id", pa.string()), ("split", pa.string()), ("shard", pa.string()),
        ("offset_bytes", pa.int64()), ("size_bytes", pa.int64()), ("sha256", pa.string()), ("n_frames", pa.int32()),
        ("width", pa.int32()), ("height", pa.int32()), ("fps", pa.float64()), ("labels", pa.list_(pa.string())),
        ("caption", pa.string()), ("source_url", pa.string()), ("licence", pa.string()), ("start_s", pa.float64()),
        ("end_s", pa.float64()),
    ]  # fmt: skip
    for extension in EXTENSIONS:
        columns += [
            (f"{extension}_offset_bytes", pa.int64()), (f"{extension}_size_bytes", pa.int64()),
            (f"{extension}_sha256", pa.string()),
        ]  # fmt: skip
    return pa.schema(columns)


def write_index(plans: Iterable[ShardPlanRow], out: IO[bytes]) -> dict[str, SplitTotals]:
    """Write the index of all planned shards into `out`, one row group per shard, and return the totals per split.

    Args:
        plans: `ok` rows in the order of the dataset; other rows are skipped. Held one at a time.
        out: binary file; the same plans give the same bytes (of one pyarrow version).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    totals: dict[str, SplitTotals] = {}
    schema = index_schema()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for plan in plans:
            if plan.status == "ok":
                rows = list(_index_rows(plan, totals.setdefault(plan.split, SplitTotals())))
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return totals


def _index_rows(plan: ShardPlanRow, totals: SplitTotals) -> Iterator[dict[str, Any]]:
    offset_bytes = 0
    for sample in plan.samples:
        row = sample_row(sample, shard_path(plan.key, plan.split), plan.split, offset_bytes)
        meta = json.loads(sample.meta_json)
        totals.add(sample, row, meta)
        source = meta.get("source", {})
        columns: dict[str, Any] = row.model_dump(
            include={"key", "video_id", "split", "shard", "offset_bytes", "size_bytes", "sha256", "n_frames", "labels"}
        )
        columns |= {name: meta.get(name) for name in ("width", "height", "fps")}
        columns |= {"caption": sample.caption, "source_url": source.get("url"), "licence": source.get("licence")}
        columns |= {"start_s": source.get("start_s"), "end_s": source.get("end_s")}
        for member in sample_members(sample, offset_bytes):
            columns[f"{member.extension}_offset_bytes"] = member.offset_bytes
            columns[f"{member.extension}_size_bytes"] = member.size_bytes
            columns[f"{member.extension}_sha256"] = member.sha256
        yield columns
        offset_bytes += row.size_bytes
