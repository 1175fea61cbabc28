"""One number of a table with its interval, its counts, and a mark if ranking by it would be unfair."""

from mvideo_core.base.records import Record
from mvideo_core.evaluation.aggregate import Aggregate
from mvideo_core.evaluation.result import EvalResult, GroupResult, MetricFacts
from mvideo_core.evaluation.suite import says_mini

DIGITS = 2
MARK = "*"
NOTHING_SCORED = "no video scored"
COUNTS = ("n", "prompts", "missing", "failed", "own mean (n)")
READING = (
    "Means are over the n items that every system on the test set was scored on; brackets: confidence interval, with "
    "at least 6 prompts; own mean: over all n items of that system, if those are more. "
    f"{MARK} not scored on every item of the test set, or no item in common with the others: do not rank by it."
)
_BASES = {"mask_miou": "S_m"}


class Figure(Record):
    """One of our numbers, in table units.

    Attributes:
        mean, low, high: over the items that all systems of the test set share; over its own items if there are none.
        n, n_prompts: items and prompts in that mean.
        own_mean, own_n: over all scored items of the system.
        n_missing, n_failed, n_inapplicable, n_frames_skipped: counts for the system.
        marked: not scored on every item of the test set, or shares no item.
        remark: caveat for the reader.
        reason: why there is no number; "" if there is one.
    """

    mean: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_prompts: int = 0
    own_mean: float | None = None
    own_n: int = 0
    n_missing: int = 0
    n_failed: int = 0
    n_inapplicable: int = 0
    n_frames_skipped: int = 0
    marked: bool = False
    remark: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """ "26.57 [25.90, 27.21]", with a mark, or why there is no number."""
        if self.mean is None:
            return self.reason
        text = f"{self.mean:.{DIGITS}f}{MARK if self.marked else ''}" + (f" ({self.remark})" if self.remark else "")
        if self.low is None or self.high is None:
            return text
        return f"{text} [{self.low:.{DIGITS}f}, {self.high:.{DIGITS}f}]"

    @property
    def counts(self) -> list[str]:
        """Cells of the columns `COUNTS`."""
        if self.reason and self.reason != NOTHING_SCORED:
            return ["-"] * len(COUNTS)
        more = f" + {self.n_inapplicable} inapplicable" if self.n_inapplicable else ""
        own = f"{self.own_mean:.{DIGITS}f} ({self.own_n})" if self.own_mean is not None and self.own_n > self.n else ""
        return [str(self.n), str(self.n_prompts), f"{self.n_missing}{more}", str(self.n_failed), own]


def figure_of(result: EvalResult, group: GroupResult, metric: str) -> Figure:
    """A system's number for a metric, or why there is none."""
    own = group.metrics.get(metric)
    if metric in result.unavailable:
        return Figure(reason="unavailable")
    if own is None:
        return Figure(reason="not measured")
    shared = group.shared.get(metric, own)
    shown = shared if shared.n else own
    counts = {name: getattr(own, name) for name in ("n_missing", "n_failed", "n_inapplicable", "n_frames_skipped")}
    if own.mean is None:
        return Figure(reason=own.remark or NOTHING_SCORED, **counts)
    scale = result.metrics[metric].scale
    return Figure(
        **{name: _times(getattr(shown, name), scale) for name in ("mean", "low", "high")},
        remark=shown.remark,
        reason=shown.remark if shown.mean is None else "",
        n=shown.n,
        n_prompts=shown.n_prompts,
        own_mean=own.mean * scale,
        own_n=own.n,
        marked=own.n < group.n_asked.get(metric, own.n) or not shared.n,
        **counts,
    )


def detail_of(result: EvalResult, group: GroupResult, metric: str, detail: str) -> Figure | None:
    """An additional number of a metric, such as the score of filled boxes; None if it was not measured."""
    whole = figure_of(result, group, metric)
    own = group.metrics.get(metric, Aggregate())
    shared = group.shared.get(metric, own)
    value = (shared if shared.n else own).details.get(detail)
    if value is None or whole.mean is None:
        return None
    return whole.model_copy(
        update={"mean": value * result.metrics[metric].scale, "low": None, "high": None, "own_mean": None, "remark": ""}
    )


def metric_titles(metrics: dict[str, MetricFacts]) -> dict[str, str]:
    """Readable names by key: "S_m, shuffled masks (mini)"; with the key added if two names would be equal."""
    titles = {name: _title(name, facts) for name, facts in metrics.items()}
    taken = list(titles.values())
    return {name: title if taken.count(title) == 1 else f"{title} ({name})" for name, title in titles.items()}


def _title(name: str, facts: MetricFacts) -> str:
    words = [_BASES.get(facts.metric, facts.metric.replace("_", " "))]
    options = facts.options
    words += ["source videos"] if options.get("subject") == "source" else []
    words += ["shuffled masks"] if options.get("pairing") == "shuffled" else []
    words += ["VBench-Long"] if options.get("protocol") == "long" else []
    judge = (options.get("segmenter_options") or {}).get("weights", "")
    if says_mini(name) and not says_mini(facts.metric):  # named by its weights, see `suite.prepare`
        judge = "mini"
    return ", ".join(words) + (f" ({judge})" if judge else "")


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale
