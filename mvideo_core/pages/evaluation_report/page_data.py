"""Contents of the page; data.json and the page's script contain the same JSON."""

from mvideo_core.base.records import Record


class Clip(Record):
    """One video column of a row. Paths are relative to the page; "" = none.

    Attributes:
        overlay: the video with outlines of target and predicted masks.
        poster: its frame at the row's `start_s`.
        poster_overlay: the overlay's frame at that time.
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
    """One value per time step, as printed; None = no value there."""

    step_s: float
    values: tuple[float | None, ...]


class Cell(Record):
    """One system's video in a row.

    Attributes:
        note: why there is no video; "" if there is one.
        values: by metric, as printed.
        notes: by metric, why there is no value.
        details: by metric, additional numbers in raw units.
    """

    clip: Clip | None = None
    note: str = ""
    seed: int | None = None
    values: dict[str, float] = {}
    notes: dict[str, str] = {}
    details: dict[str, dict[str, float]] = {}
    curves: dict[str, Curve] = {}


class PageRow(Record):
    """One prompt or sample with every system; `cells` in the order of `PageData.systems`.

    Attributes:
        studio: page that opens the masks in the mask studio; "" if there are none.
    """

    key: str
    id: str
    test_set: str = ""
    prompt: str = ""
    start_s: float = 0.0
    source: Clip | None = None
    source_curves: dict[str, Curve] = {}
    mask: Clip | None = None
    studio: str = ""
    cells: tuple[Cell | None, ...] = ()


class PageMetric(Record):
    """A metric instance: its key in the result, its readable name, and the limits of its curves' axis."""

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
    """The whole page. `n_rows` counts rows of the result; `rows` may have fewer; `chosen_by` says which."""

    title: str
    version: str
    systems: tuple[str, ...]
    metrics: tuple[PageMetric, ...]
    main_metric: str = ""
    overlays_of: str = ""
    n_rows: int
    chosen_by: str = ""
    rows: tuple[PageRow, ...]
