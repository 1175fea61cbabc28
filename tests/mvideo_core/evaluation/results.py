"""Results made by hand: numbers are given, nothing is scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mvideo_core.evaluation.aggregate import ScoreRow, group_of
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan, Part
from mvideo_core.evaluation.record_files import write_record
from mvideo_core.evaluation.result import LoadedResult, PartNote, collect, note_path, read_result
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.video_facts import ItemFacts, VideoFacts

VBENCH = ("overall_consistency", "imaging_quality", "motion_smoothness")


def made(
    out: Path,
    values: Mapping[str, Mapping[str, Sequence[float | None]]],
    seconds: float | None = None,
    unavailable: Mapping[str, str] | None = None,
    test_set: str = "",
    metrics: Sequence[Mapping[str, Any]] = (),
    measured: VideoFacts | None = None,
    weights: Mapping[str, str] | None = None,
) -> LoadedResult:
    """A result on disk.

    Args:
        values: system -> metric -> value per item; None = missing.
        measured: what every video's file is; None = none could be read.
        weights: metric -> digest of what judged.
    """
    names = sorted({metric for one in values.values() for metric in one} | set(unavailable or {}))
    suite = SuiteOptions.parse({"name": "hand", "metrics": list(metrics) or [_plain(name) for name in names]})
    items, rows = [], []
    for system, by_metric in values.items():
        for place in range(max(len(one) for one in by_metric.values())):
            about: dict[str, Any] = {"id": f"i{place}", "system": system, "test_set": test_set}
            items.append(EvalItem(**about, video=f"/v/{system}/{place}.mp4", prompt=f"p{place}", seconds=seconds))
            for metric, numbers in by_metric.items():
                status = "missing" if numbers[place] is None else "ok"
                rows.append(ScoreRow(**about, metric=metric, status=status, value=numbers[place]))
    plan = EvalPlan(suite, tuple(items))
    videos = [
        ItemFacts(**group_of(item)._asdict(), id=item.id, facts=measured) for item in items if measured is not None
    ]
    note = PartNote(
        plan=plan.digest, rows=tuple(rows), unavailable=dict(unavailable or {}), weights=dict(weights or {}),
        videos=tuple(videos),
    )  # fmt: skip
    write_record(note_path(out, Part()), note)
    collect(plan, 1, out)
    return read_result(out)


def _plain(name: str) -> dict[str, Any]:
    """A metric under its own name: S_m with a public judge, which is called as asked."""
    large = {"segmenter_options": {"weights": "sam2.1-hiera-large"}}
    return {"metric": name, "options": large if name == "mask_miou" else {}}
