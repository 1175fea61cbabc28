"""Results made by hand: numbers are given, nothing is scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.evaluation.aggregate import ScoreRow
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan, Part
from mvideo_core.evaluation.result import LoadedResult, PartNote, collect, note_path, read_result
from mvideo_core.evaluation.stored import write_record
from mvideo_core.evaluation.suite import SuiteOptions

VBENCH = ("overall_consistency", "imaging_quality", "motion_smoothness")


def made(
    out: Path,
    values: Mapping[str, Mapping[str, Sequence[float | None]]],
    seconds: float | None = None,
    unavailable: Mapping[str, str] | None = None,
    test_set: str = "",
    metrics: Sequence[Mapping[str, Any]] = (),
) -> LoadedResult:
    """A result on disk.

    Args:
        values: system -> metric -> value per item; None = missing.
    """
    names = sorted({metric for one in values.values() for metric in one} | set(unavailable or {}))
    suite = SuiteOptions.parse({"name": "hand", "metrics": list(metrics) or [{"metric": name} for name in names]})
    items, rows = [], []
    for system, by_metric in values.items():
        for place in range(max(len(one) for one in by_metric.values())):
            about: dict[str, Any] = {"id": f"i{place}", "system": system, "test_set": test_set}
            items.append(EvalItem(**about, video=f"/v/{system}/{place}.mp4", prompt=f"p{place}", seconds=seconds))
            for metric, numbers in by_metric.items():
                status = "missing" if numbers[place] is None else "ok"
                rows.append(ScoreRow(**about, metric=metric, status=status, value=numbers[place]))
    plan = EvalPlan(suite, tuple(items))
    note = PartNote(plan=plan.digest, rows=tuple(rows), unavailable=dict(unavailable or {}), weights={})
    write_record(note_path(out, Part()), note)
    collect(plan, 1, out)
    return read_result(out)
