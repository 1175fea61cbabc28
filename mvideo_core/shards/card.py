"""`dataset.json` and the data card: the dataset described for programs and for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mvideo_core import __version__
from mvideo_core.base.options import Options, digest
from mvideo_core.base.records import Record
from mvideo_core.shards.index import INDEX_NAME, SplitTotals
from mvideo_core.shards.members import EXTENSIONS

SCHEMA_VERSION = 1
INFO_NAME = "dataset.json"
CARD_NAME = "README.md"


class FileEntry(Record):
    """A file of the dataset: path below its root, size, digest."""

    path: str
    size_bytes: int
    sha256: str


class ShardEntry(FileEntry):
    """A tar of the dataset."""

    split: str
    samples: int


class SplitInfo(Record):
    """One split in numbers."""

    shards: int
    samples: int
    videos: int
    frames: int
    hours: float
    bytes: int
    labels: dict[str, int]
    """Class name -> samples with at least one such object."""
    licences: dict[str, int]
    captioners: dict[str, int]


class DatasetInfo(Record):
    """Content of `dataset.json`.

    Attributes:
        digest: over paths and digests of all shards: equal digests mean equal data, byte for byte.
        excluded: reason -> number of excluded triplets.
        options: the shard options that made it.
        extensions: members of every sample.
    """

    schema_version: int = SCHEMA_VERSION
    title: str
    digest: str
    written_by: str
    extensions: list[str] = list(EXTENSIONS)
    splits: dict[str, SplitInfo]
    excluded: dict[str, int]
    options: dict[str, Any]
    index: FileEntry
    shards: list[ShardEntry]


def dataset_info(
    totals: Mapping[str, SplitTotals],
    shards: Sequence[ShardEntry],
    index: FileEntry,
    excluded: Mapping[str, int],
    options: Options,
    title: str,
) -> DatasetInfo:
    """All facts of a written dataset; no clock, no host name, so that equal datasets have equal files.

    Args:
        totals: from `write_index`.
        shards: written tars in the dataset's order, with size and digest as on disk.
        index: the written index.
        excluded: reason -> count.
        options: ShardOptions.
        title: heading of the card.
    """
    per_split = Counter(shard.split for shard in shards)
    return DatasetInfo(
        title=title,
        digest=dataset_digest(shards),
        written_by=f"mvideo {__version__}",
        splits={split: _split_info(total, per_split[split]) for split, total in sorted(totals.items(), reverse=True)},
        excluded=dict(sorted(excluded.items())),
        options=options.model_dump(mode="json"),
        index=index,
        shards=list(shards),
    )


def dataset_digest(shards: Sequence[FileEntry]) -> str:
    """SHA-256 over path and digest of all shards."""
    return digest(sorted([shard.path, shard.sha256] for shard in shards))


def info_bytes(info: DatasetInfo) -> bytes:
    """`dataset.json`: sorted keys, indented."""
    import json

    return (json.dumps(info.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()


def data_card(info: DatasetInfo, license_text: str = "") -> str:
    """README.md with the front matter that Hugging Face reads and the usual facts."""
    lines = [*_front_matter(info), f"# {info.title}", "", _summary(info), "", "## Splits", ""]
    lines += ["| split | samples | source videos | hours | frames | shards | GB |", "|---|---|---|---|---|---|---|"]
    for name, split in info.splits.items():
        lines.append(
            f"| {name} | {split.samples:,} | {split.videos:,} | {split.hours:.2f} | {split.frames:,} "
            f"| {split.shards:,} | {split.bytes / 1e9:.3f} |"
        )
    lines += ["", "All clips of one source video are in one split.", "", "## Classes", ""]
    lines += _counts("samples with at least one object of the class", _merge_counts(info, "labels"))
    lines += ["", "## License and origin", "", license_text or _NO_LICENSE, ""]
    lines += _counts("samples by license of their source", _merge_counts(info, "licences"))
    lines += ["", "Each sample's `.json` names its source URL, license and time span."]
    lines += ["", "## Captions", "", *_counts("samples by captioner", _merge_counts(info, "captioners"))]
    lines += ["", "## Left out", "", *(_counts("triplets by reason", info.excluded) if info.excluded else ["Nothing."])]
    return "\n".join([*lines, "", *_how_to_read(info), ""])


_NO_LICENSE = (
    "No license was stated for the whole. The videos stay under the rights of their owners; "
    "see the license of each source."
)


def _how_to_read(info: DatasetInfo) -> list[str]:
    """Layout, and code that reads the whole first split when run in the dataset's folder."""
    split, of_split = next(iter(info.splits.items()))
    shards = f"{split}/{split}-{{{0:06d}..{max(0, of_split.shards - 1):06d}}}.tar"
    return [
        "## Layout",
        "",
        "`{split}/{split}-000000.tar` are WebDataset shards; every sample has `.json` (source, objects, models),",
        "`.masks` (lossless masks of all objects), `.mp4` (the clip) and `.txt` (the caption). `index.parquet`",
        "gives offset, size and SHA-256 of every member, `dataset.json` counts, options and the digest of every shard.",
        'An object that the quality gate dropped has `"kept": false` and a `drop_reason`; kept ones have `""` there.',
        "",
        "```python",
        "import webdataset as wds",
        f'samples = wds.WebDataset("{shards}", shardshuffle=False)',
        "```",
        "",
        "```python",
        "from mvideo_core.shards import MaskVideoDataset",
        f'samples = MaskVideoDataset(".", split="{split}")',
        "frames_THWC, masks, text = samples[0].frames(), samples[0].masks(), samples[0].text",
        "```",
        "",
        "```python",
        "import os",
        "",
        "from datasets import load_dataset",
        f'samples = load_dataset(os.path.abspath("."), split="{split}", streaming=True).decode(False)',
        "```",
    ]


def _front_matter(info: DatasetInfo) -> list[str]:
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for name in info.splits:
        lines += [f"  - split: {name}", f"    path: {name}/*.tar"]
    return [*lines, "tags:", "- webdataset", "- video", "- segmentation", "---", ""]


def _summary(info: DatasetInfo) -> str:
    samples = sum(split.samples for split in info.splits.values())
    hours = sum(split.hours for split in info.splits.values())
    return (
        f"{samples:,} triplets <video, text, mask sequence>, {hours:.2f} hours. "
        f"Digest `{info.digest}`; written by {info.written_by}; index `{INDEX_NAME}`."
    )


def _split_info(total: SplitTotals, n_shards: int) -> SplitInfo:
    return SplitInfo(
        shards=n_shards,
        samples=total.samples,
        videos=len(total.videos),
        frames=total.frames,
        hours=round(total.seconds / 3600, 6),
        bytes=total.bytes,
        labels=dict(sorted(total.labels.items())),
        licences=dict(sorted(total.licences.items())),
        captioners=dict(sorted(total.captioners.items())),
    )


def _merge_counts(info: DatasetInfo, name: str) -> Counter[str]:
    merged: Counter[str] = Counter()
    for split in info.splits.values():
        merged.update(getattr(split, name))
    return merged


def _counts(what: str, counts: Mapping[str, int]) -> list[str]:
    rows = [f"| {_cell(name)} | {n:,} |" for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return [f"| {what} | |", "|---|---|", *rows]


def _cell(text: str) -> str:
    """Text that cannot break out of its table cell."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
