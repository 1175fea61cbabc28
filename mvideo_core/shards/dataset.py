"""A written dataset as a random-access collection: sample i by one positioned read, decoded only when needed.

Map-style on purpose: with the index every sample is one seek away, so the order can be an exact global shuffle, the
resume position is one number, and any number of workers gives the same sequence. It needs no torch; a DataLoader takes
it as is.
"""

import io
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import problems_of
from mvideo_core.base.parquet import read_table
from mvideo_core.base.records import ObjectPhrase
from mvideo_core.shards.card import INFO_NAME, DatasetInfo
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.shards.index import INDEX_NAME
from mvideo_core.shards.members import EXTENSIONS

if TYPE_CHECKING:
    from mvideo_core.masks.codec import MaskSequence

_AGAIN = "run stage shard again, or copy the dataset again"


@dataclass(frozen=True, slots=True)
class Sample:
    """One triplet with its members still encoded; only the requested members are present.

    Attributes:
        key: clip key.
        content: extension -> bytes.
    """

    key: str
    content: dict[str, bytes]

    @property
    def text(self) -> str:
        """The caption."""
        try:
            return self._member("txt").decode()
        except UnicodeDecodeError as error:
            raise StoreError(f"{self.key}: its .txt is damaged ({error}); run `mvideo dataset verify --deep`") from None

    def meta(self) -> dict[str, Any]:
        """The .json member: source, span, objects, models."""
        try:
            return dict(json.loads(self._member("json")))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self.key}: its .json is damaged ({error}); run `mvideo dataset verify --deep`"
            ) from None

    def phrases(self) -> dict[int, ObjectPhrase]:
        """What is said about each kept object, by its index into the mask file; {} if `caption.phrases` was off."""
        found = [ObjectPhrase.model_validate(one) for one in self.meta().get("phrases", [])]
        return {one.object_id: one for one in found}

    def frames(self) -> np.ndarray:
        """The clip, (T, H, W, 3) uint8 RGB. Raises MediaError if it does not decode."""
        from mvideo_core.media.decode import read_clip

        return read_clip(io.BytesIO(self._member("mp4")))

    def masks(self) -> "MaskSequence":
        """Masks of all objects in the mask file; the .json says which ones the quality gate kept."""
        from mvideo_core.masks.codec import from_bytes

        return from_bytes(self._member("masks"))

    def _member(self, extension: str) -> bytes:
        if extension not in self.content:
            raise ConfigError(f"{self.key}: .{extension} was not requested; add it to `members` of the dataset")
        return self.content[extension]


class MaskVideoDataset:
    """Samples of one split in the order of the index.

    Args:
        root: dataset folder or fsspec URL.
        split: "train" or "test".
        members: extensions to read; fewer members mean fewer bytes.
        labels: keep only samples with one of these classes; empty keeps all.
        transform: called with each Sample in the worker process; its result is the item.

    Raises:
        StoreError: the dataset or its index cannot be read. ConfigError: no such split or member.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        members: Collection[str] = EXTENSIONS,
        labels: Collection[str] = (),
        transform: Callable[[Sample], Any] | None = None,
    ):
        unknown = sorted(set(members) - set(EXTENSIONS))
        if unknown or not members:
            raise ConfigError(
                f"no member {', '.join(unknown)} in a sample; known: {', '.join(EXTENSIONS)}"
                if unknown
                else f"no members are requested; use some of {', '.join(EXTENSIONS)} (keys alone: `.keys`)"
            )
        self.files = DatasetFiles(root)
        self.info = read_info(self.files)
        if split not in self.info.splits:
            raise ConfigError(f"{self.files.root} has no split {split!r}; it has: {', '.join(self.info.splits)}")
        self.split = split
        self.members = tuple(extension for extension in EXTENSIONS if extension in set(members))
        self.transform = transform
        self._read_index(set(labels))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Any:
        sample = self.sample(int(index))
        return sample if self.transform is None else self.transform(sample)

    def sample(self, index: int) -> Sample:
        """Sample `index` of the split, before `transform`: one read that spans the requested members."""
        starts, sizes = self._starts[index], self._sizes[index]
        first, end = int(starts[0]), int(starts[-1] + sizes[-1])
        shard = self._shard_names[self._shards[index]]
        span = self.files.read_range(shard, first, end - first)
        held = {
            extension: span[start - first : start - first + size]
            for extension, start, size in zip(self.members, starts.tolist(), sizes.tolist(), strict=True)
        }
        return Sample(str(self.keys[index]), held)

    def _read_index(self, labels: set[str]) -> None:
        """Columns as arrays (about 150 bytes per sample), so that forked workers share them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = ["key", "shard", *(f"{e}_{what}_bytes" for e in self.members for what in ("offset", "size"))]
        try:
            whole = read_table(self.files.read(INDEX_NAME), [*wanted, "split", *(["labels"] if labels else [])])
            table = whole.filter(pc.field("split") == self.split)
        except pa.ArrowException as error:
            raise StoreError(f"{self.files.root}/{INDEX_NAME}: not a readable index ({error}); {_AGAIN}") from None
        if labels:
            rows = table.column("labels").to_pylist()
            table = table.filter(pa.array([bool(labels.intersection(row)) for row in rows], pa.bool_()))
        self.keys = np.array(table.column("key").to_pylist(), dtype=np.str_)
        shards = pc.dictionary_encode(table.column("shard").combine_chunks())
        self._shard_names, self._shards = shards.dictionary.to_pylist(), shards.indices.to_numpy()
        self._starts = np.stack([table.column(f"{e}_offset_bytes").to_numpy() for e in self.members], axis=1)
        self._sizes = np.stack([table.column(f"{e}_size_bytes").to_numpy() for e in self.members], axis=1)


def read_info(files: DatasetFiles) -> DatasetInfo:
    """`dataset.json` of a dataset.

    Raises:
        StoreError: missing, or not in this format.
    """
    if files.size(INFO_NAME) is None:
        raise StoreError(f"{files.root}: no dataset there ({INFO_NAME} is missing); `mvideo status` prints its folder")
    try:
        return DatasetInfo.model_validate_json(files.read(INFO_NAME))
    except ValueError as error:
        raise StoreError(
            f"{files.root}/{INFO_NAME}: not a description of a dataset ({problems_of(error)}); {_AGAIN}"
        ) from None
