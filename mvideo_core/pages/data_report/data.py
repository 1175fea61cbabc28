"""Contents of a report as records: funnel, histograms, times, drop examples, gallery."""

from itertools import pairwise

from pydantic import Field

from mvideo_core.base.errors import StoreError
from mvideo_core.base.options import Options
from mvideo_core.base.records import Record, TrustStats


class ReportOptions(Options):
    """Size of the report."""

    gallery_items: int = Field(
        default=24, ge=0, le=500, description="overlay videos in the gallery; each needs a decode"
    )
    seed: int = Field(default=0, description="seed for choosing gallery clips")
    max_side_px: int = Field(default=480, ge=64, le=2160, description="maximum longer side of overlay videos, pixels")
    examples: int = Field(default=3, ge=0, le=50, description="example items per drop reason")
    title: str = Field(default="Mask dataset report", description="heading of the page")


class FunnelStep(Record):
    """One stage. Every item that entered is in exactly one place.

    Attributes:
        stage: name of the stage.
        unit: what its rows are: "video", "clip", "sample".
        entered: items from the previous stage.
        pending: entered items that have no row yet (the stage is not finished).
        rows: rows written; equals entered - pending unless `expands`.
        expands: one item may give several rows (a video's shots) or none.
        empty: entered items without a row, in a stage that expands.
        kept: rows with status ok.
        filtered, failed: reason or error class -> rows.
    """

    stage: str
    unit: str
    entered: int
    pending: int = 0
    rows: int
    expands: bool = False
    empty: int = 0
    kept: int
    filtered: dict[str, int] = {}
    failed: dict[str, int] = {}

    @property
    def dropped(self) -> int:
        """Rows that were filtered or failed."""
        return sum(self.filtered.values()) + sum(self.failed.values())


class Histogram(Record):
    """Counts between edges; values outside are counted separately.

    Attributes:
        edges: bin i holds edges[i] <= value < edges[i + 1]; the last bin includes its right edge.
        below, above: number of values outside.
        total, mean, least, most: of all values; the last three are 0 if there are none.
        limits: values that a rule compares with.
    """

    name: str
    unit: str
    edges: list[float]
    counts: list[int]
    below: int = 0
    above: int = 0
    total: int = 0
    mean: float = 0.0
    least: float = 0.0
    most: float = 0.0
    limits: list[float] = []


class StageTime(Record):
    """Seconds of a stage summed over its parts (work time, not wall time if parts run in parallel)."""

    stage: str
    seconds: float
    items: int
    parts: int


class DropExample(Record):
    """One dropped item and the reason; `value` and `threshold` are set for a filtered row.

    Attributes:
        picture: a frame of the clip, as a path in the report's folder; "" if there is no clip.
    """

    stage: str
    key: str
    why: str
    value: float | None = None
    threshold: float | None = None
    message: str = ""
    picture: str = ""


class ListedEntry(Record):
    """An entry of a removal or held-out list, and how many samples it excluded."""

    reason: str
    entry: str
    samples: int


class GalleryObject(Record):
    """One object of a gallery item.

    Attributes:
        color: of its overlay, "#rrggbb".
        phrase: "" if there is none.
        trust: None if it is not predicted.
    """

    label: str
    color: str
    detection_score: float
    visible_frac: float
    phrase: str = ""
    trust: TrustStats | None = None


class GalleryItem(Record):
    """One gallery clip; `video` and `poster` are paths in the report's folder."""

    key: str
    video: str
    poster: str
    caption: str
    objects: list[GalleryObject]
    source: str
    """Title or id of the source video."""
    source_url: str = ""
    start_s: float = 0.0
    end_s: float = 0.0
    split: str = ""
    n_frames: int = 0


class ReportData(Record):
    """Everything on the page.

    Attributes:
        warnings: "stage: what its checks found".
        facts: name -> text for the last section (workspace, digest, versions).
    """

    title: str
    funnel: list[FunnelStep]
    labels: dict[str, int] = {}
    """Class -> number of kept objects."""
    histograms: list[Histogram] = []
    times: list[StageTime] = []
    examples: list[DropExample] = []
    listed: list[ListedEntry] = []
    gallery: list[GalleryItem] = []
    warnings: list[str] = []
    facts: dict[str, str] = {}


def check_funnel(steps: list[FunnelStep]) -> None:
    """Check that every item is accounted for, within each stage and between stages.

    Raises:
        StoreError: a sum does not match; the message gives both sides.
    """
    for step in steps:
        if step.rows != step.kept + step.dropped:
            raise StoreError(
                f"funnel: {step.stage} wrote {step.rows} rows, but {step.kept} kept + {step.dropped} dropped = "
                f"{step.kept + step.dropped}; run `mvideo verify`"
            )
        with_rows = step.entered - step.pending - step.empty
        if with_rows < 0 or (not step.expands and (with_rows != step.rows or step.empty)):
            raise StoreError(
                f"funnel: {step.entered} entered {step.stage}, {step.pending} pending, but it has {step.rows} rows; "
                "run `mvideo verify`"
            )
    for before, after in pairwise(steps):
        if before.kept != after.entered:
            raise StoreError(f"funnel: {before.stage} kept {before.kept}, but {after.entered} entered {after.stage}")
