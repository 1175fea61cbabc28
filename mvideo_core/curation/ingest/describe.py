"""Turn a listed video into a row: probe it in a sandboxed process, hash it, keep its license and origin."""

import hashlib
import os

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import VideoRow
from mvideo_core.base.stopping import raise_if_stopped
from mvideo_core.curation.ingest.naming import path_of
from mvideo_core.curation.ingest.options import IngestOptions
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.media.files import open_regular
from mvideo_core.media.probe import probe_open

_BLOCK_BYTES = 1 << 20


def describe(source: SourceItem, options: IngestOptions | None = None) -> VideoRow:
    """The row of one video. The file is opened once, so probe and digest see the same file.

    Raises:
        MediaError: missing, refused or unreadable; the message gives the reason.
    """
    options = options or IngestOptions()
    if not source.uri:
        raise MediaError(f"{source.video_id}: listed, but its file is missing; download it and rerun")
    path = path_of(source.uri)
    with open_regular(path, path_of(source.root) if source.root else None) as fd:
        info = probe_open(fd, path, options.probe)
        sha256 = _sha256(fd, path)
        size = os.fstat(fd).st_size
    return VideoRow(
        key=source.video_id,
        uri=source.uri,
        root=source.root,
        sha256=sha256,
        size_bytes=size,
        container=info.container,
        codec=info.codec,
        pix_fmt=info.pix_fmt,
        width=info.width,
        height=info.height,
        rotation_deg=info.rotation_deg,
        picture=info.picture,
        fps=info.fps,
        duration_s=info.duration_s,
        source_url=source.source_url,
        licence=source.licence,
        title=source.title,
        spans_s=source.spans_s,
    )


def _sha256(fd: int, path: str) -> str:
    """Digest of the whole file, read in 1 MiB blocks."""
    summer, offset = hashlib.sha256(), 0
    try:
        while block := os.pread(fd, _BLOCK_BYTES, offset):
            raise_if_stopped()
            summer.update(block)
            offset += len(block)
    except OSError as error:
        raise MediaError(f"{path!r}: cannot be read at byte {offset}: {error.strerror}") from None
    return summer.hexdigest()
