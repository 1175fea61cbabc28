"""Lance: one table per split with clips, masks and captions, for random access and search over columns."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvideo_core.base.disk import new_folder, write_whole
from mvideo_core.base.errors import ModelError
from mvideo_core.masks.io.coco_rle import coco_rle
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat

if TYPE_CHECKING:
    import pyarrow as pa

STAGED = ".staged"
"""Clips until the tables are written: a table appended to clip by clip would have a version per clip."""


@EXPORTS.register("lance")
class Lance(ExportFormat):
    """A table `SPLIT.lance` with the columns `key`, `text`, `fps`, `width`, `height`, `labels`, the source, `masks`
    (COCO run lengths, per frame and object) and `video` (the bytes of the mp4). Needs `pip install "mvideo[lance]"`.

    Raises:
        ModelError: the package pylance is not installed.
    """

    title = "Lance (pylance, DuckDB, LanceDB)"
    losses = ()

    def __init__(self) -> None:
        self._lance = _import_lance()

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip, staged; the entry holds the rest of the row."""
        masks = clip.masks
        write_whole(out / STAGED / clip.split / f"{clip.key}.mp4", clip.mp4)
        source = {"source_url" if name == "url" else name: value for name, value in clip.source.items()}
        counts = [
            [coco_rle(masks.mask(frame, obj))["counts"] for obj in range(masks.n_objects)]
            for frame in range(masks.n_frames)
        ]
        row = {
            "key": clip.key, "text": clip.text, "fps": clip.fps, "width": masks.width, "height": masks.height,
            "labels": list(clip.labels), **source, "masks": counts,
        }  # fmt: skip
        return {"row": row}

    def finish(self, out: Path, entries: Entries) -> None:
        """The tables. A finished one is not written again: its clips may be gone already."""
        import pyarrow as pa

        for split in entries.splits:
            table = out / f"{split}.lance"
            if not table.is_dir():
                reader = pa.RecordBatchReader.from_batches(_schema(), _batches(out / STAGED / split, entries.of(split)))
                with new_folder(table) as part:
                    self._lance.write_dataset(reader, str(part), mode="overwrite")
        shutil.rmtree(out / STAGED, ignore_errors=True)


_INSTALL = "install it with: pip install 'mvideo[lance]'"


def _import_lance() -> Any:
    try:
        import lance
    except ImportError as error:
        raise ModelError(f"export to lance: {error}; {_INSTALL}") from None
    if not hasattr(lance, "write_dataset"):  # another package has this name, too
        raise ModelError(f"export to lance: the package `lance` here is not pylance; {_INSTALL}")
    return lance


def _schema() -> "pa.Schema":
    import pyarrow as pa

    texts = ("video_id", "source_url", "licence")
    return pa.schema(
        [
            ("key", pa.string()), ("text", pa.string()), ("fps", pa.float64()), ("width", pa.int32()),
            ("height", pa.int32()), ("labels", pa.list_(pa.string())), *((name, pa.string()) for name in texts),
            ("start_s", pa.float64()), ("end_s", pa.float64()), ("masks", pa.list_(pa.list_(pa.string()))),
            ("video", pa.large_binary()),
        ]
    )  # fmt: skip


def _batches(staged: Path, entries: Iterator[Entry]) -> Iterator["pa.RecordBatch"]:
    """One row each, so that a single clip is in memory."""
    import pyarrow as pa

    for entry in entries:
        row = entry["row"] | {"video": (staged / f"{entry['key']}.mp4").read_bytes()}
        yield pa.RecordBatch.from_pylist([row], schema=_schema())
