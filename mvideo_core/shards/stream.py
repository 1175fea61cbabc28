"""Samples of a tar in order, read with `webdataset`: what a trainer that streams the shards gets."""

import tarfile
from collections.abc import Iterator
from typing import IO

from mvideo_core.base.errors import StoreError
from mvideo_core.shards.dataset import Sample
from mvideo_core.shards.members import EXTENSIONS


def stream_samples(stream: IO[bytes], path: str) -> Iterator[Sample]:
    """Every sample of a tar, one in memory at a time. `MaskVideoDataset` reads single samples.

    Args:
        stream: the tar, read from its current position; it need not be seekable.
        path: for messages.

    Raises:
        StoreError: not a tar, truncated, or a sample has a missing or duplicate member.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    try:
        for found in group_by_keys(tar_file_expander([{"url": path, "stream": stream}])):
            key = found["__key__"]
            if missing := [extension for extension in EXTENSIONS if extension not in found]:
                raise StoreError(f"{path}: sample {key} lacks .{missing[0]}; run stage shard again")
            yield Sample(key, {extension: found[extension] for extension in EXTENSIONS})
    except (tarfile.TarError, ValueError) as error:
        what = str(error.args[0]).split(" @ ")[0]  # webdataset appends the stream and the path
        raise StoreError(f"{path}: not a readable tar ({what}); run stage shard again") from None
