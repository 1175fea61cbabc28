"""What got worse than the last dated result: goal values of this run over those in benchmarks/results/.

A value counts as worse (or better) if it moved further than the noise: the widest spread over rounds that either run
recorded in the same measurement, and at least 5%. Times are compared on the same processor only; ratios to
a peer that ran in the same minute are compared everywhere.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).with_name("results")
LEAST_NOISE = 0.05
_TIME = re.compile(r"_m?s$")


class Change(NamedTuple):
    """One goal's value, before and now.

    Attributes:
        ratio: now / before.
        noise: relative; see the module.
        verdict: "worse", "better", "same", or why it is not compared.
    """

    measurement: str
    goal: str
    before: float
    now: float
    ratio: float
    noise: float
    verdict: str


def last_result(kind: str, results: Path = RESULTS) -> Path | None:
    """The newest file YYYY-MM-DD-{kind}.json."""
    return max(results.glob(f"[0-9]*-{kind}.json"), default=None)


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[Change]:
    """Every goal that both reports of `make bench` have."""
    same_machine = all(now["machine"][key] == before["machine"][key] for key in ("cpu", "cores"))
    for name, one in now["measurements"].items():
        earlier = before["measurements"].get(name, {})
        noise = max([LEAST_NOISE, *_spreads(one), *_spreads(earlier)])
        for goal, limit in one["goals"].items():
            if goal not in earlier or not earlier[goal]:
                continue
            ratio = one[goal] / earlier[goal]
            verdict = _verdict(ratio, noise, lower_is_better=limit.strip().startswith("<"))
            if not same_machine and _TIME.search(goal):
                verdict = "other processor"
            yield Change(name, goal, earlier[goal], one[goal], round(ratio, 3), round(noise, 3), verdict)


def _verdict(ratio: float, noise: float, lower_is_better: bool) -> str:
    worse = ratio if lower_is_better else (1 / ratio if ratio else float("inf"))
    if worse > 1 + noise:
        return "worse"
    return "better" if worse < 1 / (1 + noise) else "same"


def _spreads(value: Any) -> Iterator[float]:
    """(high - low) / 2 / median of every spread in a measurement."""
    if isinstance(value, Mapping):
        if {"median", "low", "high"} <= value.keys():
            if value["median"]:
                yield (value["high"] - value["low"]) / 2 / abs(value["median"])
        else:
            for part in value.values():
                yield from _spreads(part)


def report(kind: str, now: dict[str, Any], results: Path = RESULTS) -> Iterator[str]:
    """Lines for the terminal; the changes are also added to `now` as "compared"."""
    path = last_result(kind, results)
    if path is None:
        yield f"no earlier result {results}/YYYY-MM-DD-{kind}.json to compare with"
        return
    changes = list(compare(now, json.loads(path.read_text(encoding="utf-8"))))
    now["compared"] = {"with": path.name, "changes": [change._asdict() for change in changes]}
    yield "| measurement | before | now | ratio | noise | |"
    yield "|---|---|---|---|---|---|"
    for one in changes:
        yield (
            f"| {one.measurement}: {one.goal} | {one.before:g} | {one.now:g} | {one.ratio:g} | {one.noise:g} | "
            f"{one.verdict} |"
        )
    worse = sum(one.verdict == "worse" for one in changes)
    yield f"compared with {path.name}: {worse} of {len(changes)} worse"
