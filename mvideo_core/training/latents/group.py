"""Groups of clips of a tar, encoded together while a thread decodes the frames of the next clips.

A group is written as a unit, and a killed run resumes after the last whole group; batches never span two groups, so a
group gives the same bytes regardless of what this process did before.
"""

import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from mvideo_core.base.records import LatentWindow
from mvideo_core.base.stopping import stop_between
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.training.latents.encode import WindowPixels, encode_windows
from mvideo_core.training.latents.info import LatentIdentity
from mvideo_core.training.latents.members import EncodedClip, pack_clip
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.source import PlannedClip, ShardReader
from mvideo_core.training.latents.text import embed_texts
from mvideo_core.training.latents.windows import Window

if TYPE_CHECKING:
    from mvideo_core.cogvideox.base import Base

T = TypeVar("T")


class Decoded(NamedTuple):
    """One window with its pixels; `at` is the index of its clip in the group."""

    at: int
    window: Window
    pixels: WindowPixels


def decode_batches(
    reader: ShardReader, groups: Iterable[Sequence[PlannedClip]], video_format: VideoFormat, options: LatentOptions
) -> Iterator[list[Decoded]]:
    """Pixels of all groups in order, `batch_size` windows at a time; a group's last batch may be smaller.

    Raises:
        ConfigError, StoreError: from `ShardReader.pixels`.
    """
    for group in groups:
        windows = (
            Decoded(at, window, pixels)
            for at, clip in enumerate(group)
            for window, pixels in reader.pixels(clip, video_format, options.max_stretch, options.sloppy)
        )
        yield from batches(windows, options.batch_size)


def encode_group(
    base: "Base",
    identity: LatentIdentity,
    options: LatentOptions,
    group: Sequence[PlannedClip],
    batches: Iterator[list[Decoded]],
    offset_bytes: int,
) -> tuple[bytes, list[LatentWindow]]:
    """The members of a group's clips in a tar, and the row of each window.

    Args:
        base: VAE, text encoder and tokenizer are used.
        batches: encodings of this group and of later groups; only this group's are consumed.
        offset_bytes: where in the tar the bytes will be.

    Raises:
        ModelError: an encoding is not finite.
    """
    captions = [clip.sample.caption for clip in group]
    texts_BLC = embed_texts(base.text_encoder, base.tokenizer, captions, identity.text_tokens)
    latents: list[list[tuple[Window, dict[str, Any]]]] = [[] for _ in group]
    n_batches = -(-sum(len(clip.windows) for clip in group) // options.batch_size)
    for batch in stop_between(itertools.islice(batches, n_batches)):
        pixels = [one.pixels for one in batch]
        encoded = encode_windows(base.vae, pixels, identity.format, options.store_logvar, options.store_coverage)
        for one, tensors in zip(batch, encoded, strict=True):
            latents[one.at].append((one.window, tensors))
    content, rows = bytearray(), []
    for clip, text_LC, found in zip(group, texts_BLC, latents, strict=True):
        sample = clip.sample
        packed, windows = pack_clip(
            EncodedClip(sample.key, sample.video_id, sample.caption, text_LC, found), offset_bytes + len(content)
        )
        content += packed
        rows += windows
    return bytes(content), rows


def compute_ahead(values: Iterator[T]) -> Generator[T, None, None]:
    """The same values, with the next value computed in a thread while the current one is used; at most two are held."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        coming = pool.submit(next, values, end)
        while (value := coming.result()) is not end:
            coming = pool.submit(next, values, end)
            yield value  # type: ignore[misc]  # not `end`


def batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` values, the last one shorter; values are taken from the source only when needed."""
    source = iter(values)
    while batch := list(itertools.islice(source, size)):
        yield batch
