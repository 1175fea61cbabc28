"""What is on the page; data.json and the page's script hold the same text of it."""

from mvideo_core.base.records import Record


class Clip(Record):
    """One picture column of a row. Paths are relative to the page; "" = none.

    Attributes:
        overlay: the video with the outlines of wanted and seen masks.
        poster: its picture at the row's `start_s`.
        poster_overlay: the overlay's picture there.
    """

    video: str
    overlay: str = ""
    poster: str = ""
    poster_overlay: str = ""
    fps: float
    n_frames: int
    width: int
    height: int


class Curve(Record):
    """One number per step of time, as printed; None = the metric has none there."""

    step_s: float
    values: tuple[float | None, ...]


class Cell(Record):
    """One system's video of a row.

    Attributes:
        note: why there is no video; "" when there is one.
        values: by metric, as printed.
        notes: by metric, why there is no value.
        details: by metric, its further numbers in raw units.
    """

    clip: Clip | None = None
    note: str = ""
    seed: int | None = None
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    details: dict[str, dict[str, float]] = {}
    curves: dict[str, Curve] = {}


class PageRow(Record):
    """One prompt or sample under every system; `cells` in the order of `PageData.systems`."""

    key: str
    id: str
    test_set: str = ""
    prompt: str = ""
    start_s: float = 0.0
    source: Clip | None = None
    source_curves: dict[str, Curve] = {}
    mask: Clip | None = None
    cells: tuple[Cell | None, ...] = ()


class PageMetric(Record):
    """A metric instance: its key in the result, its name for readers, and the ends of its curves' axis."""

    name: str
    title: str
    metric: str
    scale: float
    low: float
    high: float
    on_source: bool = False
    options: str = ""
    weights_sha256: str = ""


class PageData(Record):
    """The whole page. `n_rows` counts rows of the result; `rows` may be fewer, `chosen_by` says which."""

    title: str
    version: str
    systems: tuple[str, ...]
    metrics: tuple[PageMetric, ...]
    main_metric: str = ""
    overlays_of: str = ""
    n_rows: int
    chosen_by: str = ""
    rows: tuple[PageRow, ...]
