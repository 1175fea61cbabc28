"""Cached latents as a random-access collection, checked when opened: right models, right format, nothing missing.

Shape letters: K sloppy masks, F latent frames, C channels, H, W latent sides, L tokens.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import problems_of
from mvideo_core.shards.files import DatasetFiles
from mvideo_core.training.latents.encode import APPEARANCE, COVERAGE, LOGVAR, MASK, MOTION, TARGET, latent_shapes
from mvideo_core.training.latents.info import EMPTY_NAME, INFO_NAME, SCHEMA_VERSION, LatentIdentity, LatentsInfo
from mvideo_core.training.latents.members import read_tensors
from mvideo_core.training.latents.sloppy import variant_names
from mvideo_core.training.latents.text import TEXT
from mvideo_core.training.latents.window_index import History, Names, WindowIndex

if TYPE_CHECKING:
    from torch import Tensor


MAX_GAP_BYTES = 1 << 16
"""Most bytes between a window and its text that are read with them rather than in another request."""


@dataclass(frozen=True, slots=True)
class LatentSample:
    """One training window. Latents are bfloat16 means, not multiplied by the VAE's scaling factor.

    Attributes:
        key: of the clip in the dataset; `target_start_frame` is the frame at which the target starts.
        appearance_1CHW: the target's first frame, encoded alone.
        motion_FCHW: the frames up to it at low resolution; None if the clip is too short.
        target_logvar_FCHW: None unless the cache was made with `store_logvar`.
        text_LC: embedding of `caption`.
        sloppy_KFCHW: sloppy masks, each like `mask_FCHW`; as many as the cache was made with.
        coverage_FHW: share of each cell that the mask covers, uint8, 255 = all; None unless the cache was made with
            `store_coverage`.
    """

    key: str
    target_start_frame: int
    target_FCHW: "Tensor"
    mask_FCHW: "Tensor"
    appearance_1CHW: "Tensor"
    motion_FCHW: "Tensor | None"
    target_logvar_FCHW: "Tensor | None"
    text_LC: "Tensor"
    caption: str
    sloppy_KFCHW: tuple["Tensor", ...] = ()
    coverage_FHW: "Tensor | None" = None


class LatentDataset:
    """Windows of one split in dataset order; reading a window takes one or two positioned reads.

    Its memory does not grow with the number of windows (see `WindowIndex`); threads and forked or spawned loader
    workers may read concurrently.

    Args:
        root: folder of latents or fsspec URL.
        split: "train" or "test".
        expect: identity of the models and the format to be trained (`base_identity`); None accepts any.
        history: only windows with the frames before the target, only windows without them, or both. A batch that uses
            history needs "with".
        transform: called with each LatentSample in the worker process; `dataset[i]` returns its result.

    Raises:
        ConfigError: the latents are from another VAE, text encoder or format, or the split is missing or empty.
        StoreError: a file is missing, truncated or damaged; the message names it.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = "train",
        expect: LatentIdentity | None = None,
        history: History = "any",
        transform: Callable[[LatentSample], Any] | None = None,
    ):
        self.files = DatasetFiles(root)
        self.info = read_info(self.files)
        self.split, self.transform = split, transform
        if expect is not None:
            check_identity(self.info.identity, expect, self.files.root)
        if split not in self.info.splits:
            raise ConfigError(f"{self.files.root} has no split {split!r}; it has: {', '.join(self.info.splits)}")
        check_files(self.files, self.info)
        self._sloppy = variant_names(self.info.n_sloppy)
        self._shapes = self._member_shapes()
        self._index = WindowIndex(self.files, self.info.index.sha256, split, history)
        if not len(self):
            kind = "" if history == "any" else f" {history} history"
            raise ConfigError(
                f"{self.files.root}: split {split!r} has no window{kind}; clips need "
                "2 * clip_frames - 1 frames for one with history (cut.min_frames)"
            )

    @property
    def ids(self) -> Names:
        """Ids of all windows."""
        return self._index.names("id")

    @property
    def keys(self) -> Names:
        """Clip key of each window."""
        return self._index.names("key")

    @property
    def videos(self) -> Names:
        """Source of each window: its video id."""
        return self._index.names("video_id")

    @property
    def digests(self) -> Names:
        """SHA-256 of each window's tensors."""
        return self._index.names("sha256")

    @property
    def text_digests(self) -> Names:
        """SHA-256 of the embedding of each window's caption."""
        return self._index.names("text_sha256")

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Any:
        sample = self.get(int(index))
        return sample if self.transform is None else self.transform(sample)

    def get(self, index: int) -> LatentSample:
        """Window `index`, before `transform`.

        Raises:
            StoreError: the bytes are not tensors of the recorded shapes; digests are compared by `find_damage`.
        """
        where = f"{self.files.root}/{self._shard(index)}: {self.ids[index]}"
        tensors, text = (read_tensors(content, where) for content in self._contents(index))
        self._check_shapes(tensors | text, where)
        return LatentSample(
            key=str(self._column("key", index)),
            target_start_frame=int(self._column("target_start_frame", index)),
            target_FCHW=tensors[TARGET],
            mask_FCHW=tensors[MASK],
            appearance_1CHW=tensors[APPEARANCE],
            motion_FCHW=tensors.get(MOTION),
            target_logvar_FCHW=tensors.get(LOGVAR),
            text_LC=text[TEXT],
            caption=str(self._column("caption", index)),
            sloppy_KFCHW=tuple(tensors[name] for name in self._sloppy),
            coverage_FHW=tensors.get(COVERAGE),
        )

    def empty_text_LC(self) -> "Tensor":
        """Embedding of the empty prompt.

        Raises:
            StoreError: it is damaged.
        """
        content = self.files.read(EMPTY_NAME)
        if hashlib.sha256(content).hexdigest() != self.info.empty.sha256:
            raise StoreError(f"{self.files.root}/{EMPTY_NAME}: changed after it was written; delete it, encode again")
        return read_tensors(content, EMPTY_NAME)[TEXT]

    def find_damage(self) -> list[str]:
        """Ids of windows whose bytes have changed since they were written; reads everything."""
        return [
            name
            for index, name in enumerate(self.ids)
            if not (self._is_whole(index, "") and self._is_whole(index, "text_"))
        ]

    def _is_whole(self, index: int, member: str) -> bool:
        return hashlib.sha256(self._content(index, member)).hexdigest() == self._column(f"{member}sha256", index)

    def _column(self, name: str, index: int) -> Any:
        return self._index.value(name, index)

    def _shard(self, index: int) -> str:
        return str(self._column("shard", index))

    def _content(self, index: int, member: str) -> bytes:
        return self.files.read_range(self._shard(index), *self._span(index, member))

    def _contents(self, index: int) -> tuple[bytes, bytes]:
        """Tensors and text; in one read where they are neighbors, since a store takes its time for each request."""
        (start, size), (text_start, text_size) = self._span(index, ""), self._span(index, "text_")
        first, end = min(start, text_start), max(start + size, text_start + text_size)
        if end - first > size + text_size + MAX_GAP_BYTES:
            return self._content(index, ""), self._content(index, "text_")
        both = self.files.read_range(self._shard(index), first, end - first)
        start, text_start = start - first, text_start - first
        return both[start : start + size], both[text_start : text_start + text_size]

    def _span(self, index: int, member: str) -> tuple[int, int]:
        return self._column(f"{member}offset_bytes", index), self._column(f"{member}size_bytes", index)

    def _member_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor that a window can have, by name."""
        shapes = latent_shapes(self.info.identity.format, self.info.latent_channels, self.info.stride_px)
        frames, _, height, width = shapes[MASK]
        return {**shapes, COVERAGE: (frames, height, width), **dict.fromkeys(self._sloppy, shapes[MASK])}

    def _check_shapes(self, tensors: dict[str, Any], where: str) -> None:
        wanted: dict[str, tuple[int, ...]] = {**self._shapes, TEXT: tuple(self.info.text_shape)}
        for name, tensor in tensors.items():
            if tuple(tensor.shape) != wanted.get(name):
                raise StoreError(
                    f"{where}: {name} has shape {list(tensor.shape)}, {list(wanted.get(name, ()))} wanted; encode again"
                )


def read_info(files: DatasetFiles) -> LatentsInfo:
    """`latents.json` of a folder.

    Raises:
        StoreError: missing, or not in this format.
    """
    try:
        info = LatentsInfo.model_validate_json(files.read(INFO_NAME))
    except ValueError as error:
        raise StoreError(
            f"{files.root}/{INFO_NAME}: not a description of latents ({problems_of(error)}); encode again"
        ) from None
    if info.schema_version != SCHEMA_VERSION:
        raise StoreError(
            f"{files.root}: latents of schema {info.schema_version}, this version reads {SCHEMA_VERSION}; encode again"
        )
    return info


def check_identity(seen: LatentIdentity, wanted: LatentIdentity, root: str) -> None:
    """Raise if latents were not made by these models in this format.

    Raises:
        ConfigError: names every part that differs.
    """
    lines = []
    for name in ("vae", "text_encoder", "text_tokens"):
        old, new = str(getattr(seen, name)), str(getattr(wanted, name))
        if old != new:
            lines.append(f"{name} {old[:12]}, wanted {new[:12]}")
    for name, new in wanted.format.model_dump().items():
        old = getattr(seen.format, name)
        if old != new:
            lines.append(f"format.{name} {old}, wanted {new}")
    if lines:
        raise ConfigError(
            f"{root}: these latents were made with other settings than the model to be trained: {'; '.join(lines)}. "
            "Run `mvideo encode` with the weights and format of the training run, or train with those of the latents"
        )


def check_files(files: DatasetFiles, info: LatentsInfo) -> None:
    """Raise if a file of the folder is missing or truncated.

    Raises:
        StoreError: names the first file and how many more.
    """
    entries = [*info.shards, info.index, info.empty]
    bad = [(entry, size) for entry in entries if (size := files.size(entry.path)) != entry.size_bytes]
    if bad:
        entry, size = bad[0]
        seen = "is missing" if size is None else f"has {size} bytes"
        raise StoreError(
            f"{files.root}/{entry.path} {seen}, {entry.size_bytes} bytes recorded ({len(bad)} of {len(entries)} files "
            "are incomplete); run `mvideo encode` again, it redoes only these"
        )
