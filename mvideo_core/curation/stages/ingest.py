"""Stage ingest: a listed source -> a probed, hashed video row. Bad files become failed rows with the reason."""

from collections.abc import Sequence

from mvideo_core.base.records import Row, SourceRow, VideoRow
from mvideo_core.curation.ingest.describe import describe
from mvideo_core.curation.ingest.options import IngestOptions
from mvideo_core.curation.ingest.sources import SourceItem
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker


class IngestWorker(Worker):
    """Probes and hashes files one at a time."""

    def __init__(self, options: IngestOptions, context: StageContext):
        self.options = options

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One VideoRow per source."""
        return [[self._describe(item.row(SourceRow))] for item in items]

    def _describe(self, row: SourceRow) -> VideoRow:
        fields = SourceItem.model_fields.keys() - {"video_id"}
        source = SourceItem(video_id=row.key, **{name: getattr(row, name) for name in fields})
        return describe(source, self.options).model_copy(update={"parent": row.key})


STAGE = Stage(
    name="ingest",
    revision=3,  # 2: rows have the folder that links must stay inside; 3: and how to interpret the samples (`picture`)
    title="Probe and hash listed files.",
    reads=("source",),
    unit="video",
    options=IngestOptions,
    row=VideoRow,
    resource="cpu",
    open=IngestWorker,
)
