"""What got worse than the last dated result: values of this run over those in benchmarks/results/.

The values are those with a goal, and those that a measurement lists under "watched" with the direction that is better
("<" or ">"). The past of a measurement is the newest dated file that has it.

A value counts as worse (or better) if it moved further than the noise, at least 5%: its own spread over rounds, which a
measurement lists under "spread", or the widest that it recorded; sizes and counts have none. Times are compared only on
the same processor, and only if it was not busy in either run (`BUSY`); ratios to a peer that ran in the same minute are
compared everywhere.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).with_name("results")
LEAST_NOISE = 0.05
BUSY = 1.5
"""Runnable threads per core at the start of a measurement, above which its times say little."""
_TIME = re.compile(r"_m?s$")
_EXACT = re.compile(r"(_kb|_mb|_runs|_operators_over_ours)$")


class Change(NamedTuple):
    """One value, before and now.

    Attributes:
        past: name of the file with the value before.
        ratio: now / before; None if either is missing, not a number, or before is 0.
        noise: relative; see the module.
        verdict: "worse", "better", "same", "missing" (no longer measured), or why it is not compared.
    """

    measurement: str
    value: str
    past: str
    before: float
    now: float | None
    ratio: float | None
    noise: float
    verdict: str


class Past(NamedTuple):
    """The last dated result of a measurement."""

    file: str
    machine: Mapping[str, Any]
    measured: Mapping[str, Any]


def last_results(results: Path = RESULTS) -> dict[str, Past]:
    """The past of every measurement that was ever stored."""
    found: dict[str, Past] = {}
    for path in sorted(results.glob("[0-9]*-*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for name, measured in content.get("measurements", {}).items():
            found[name] = Past(path.name, content["machine"], measured)
    return found


def compare(now: Mapping[str, Any], past: Mapping[str, Past]) -> Iterator[Change]:
    """Every value of this report of `make bench` that also has a past."""
    for name, one in now["measurements"].items():
        if name not in past:
            continue
        file, machine, earlier = past[name]
        times = _why_no_times(one, now["machine"], earlier, machine)
        for value, limit in (_list_watched(earlier) | _list_watched(one)).items():
            if earlier.get(value) is None:
                continue
            before, after = earlier[value], one.get(value)
            noise = max(LEAST_NOISE, _noise(value, one), _noise(value, earlier))
            verdict = _verdict(before, after, noise, lower_is_better=limit.strip().startswith("<"))
            if times and _TIME.search(value) and verdict != "missing":
                verdict = times
            comparable = after is not None and before and math.isfinite(after)
            ratio = round(after / before, 3) if comparable else None
            yield Change(name, value, file, before, after, ratio, round(noise, 3), verdict)


def report(now: dict[str, Any], results: Path = RESULTS) -> Iterator[str]:
    """Lines for the terminal; the changes are also added to `now` as "compared"."""
    changes = list(compare(now, last_results(results)))
    now["compared"] = {"with": sorted({one.past for one in changes}), "changes": [one._asdict() for one in changes]}
    if not changes:
        yield f"no earlier result in {results} to compare with"
        return
    yield "| measurement | before | now | ratio | noise | | in |"
    yield "|---|---|---|---|---|---|---|"
    for one in changes:
        after, ratio = ("-" if number is None else f"{number:g}" for number in (one.now, one.ratio))
        yield (
            f"| {one.measurement}: {one.value} | {one.before:g} | {after} | {ratio} | {one.noise:g} | "
            f"{one.verdict} | {one.past} |"
        )
    yield worse_line(changes)


def worse_line(changes: list[Change]) -> str:
    """The values that got worse or are missing, by name."""
    worse = [f"{one.measurement}: {one.value}" for one in changes if one.verdict in ("worse", "missing")]
    return f"{len(worse)} of {len(changes)} worse than before" + (f": {', '.join(worse)}" if worse else "")


def _list_watched(measured: Mapping[str, Any]) -> dict[str, str]:
    """Names of the values to compare, with a goal or direction."""
    return dict(measured.get("watched", {})) | dict(measured["goals"])


def _why_no_times(
    now: Mapping[str, Any], machine: Mapping[str, Any], earlier: Mapping[str, Any], then: Mapping[str, Any]
) -> str:
    if any(machine[key] != then[key] for key in ("cpu", "cores")):
        return "other processor"
    loads = [
        one.get("load", [where.get("load_at_start", 0.0)])[0] / where["cores"]
        for one, where in ((now, machine), (earlier, then))
    ]
    return "busy machine" if max(loads) > BUSY else ""


def _verdict(before: float, now: float | None, noise: float, lower_is_better: bool) -> str:
    if now is None:
        return "missing"
    if not math.isfinite(now):
        return "worse"
    if before == 0 or now == 0:
        return "same" if before == now else "worse" if (now > before) == lower_is_better else "better"
    worse = now / before if lower_is_better else before / now
    if worse > 1 + noise:
        return "worse"
    return "better" if worse < 1 / (1 + noise) else "same"


def _noise(value: str, measured: Mapping[str, Any]) -> float:
    own = measured.get("spread", {}).get(value)
    if own is None and _EXACT.search(value):
        return 0.0
    return max(_spreads(own or measured), default=0.0)


def _spreads(value: Any) -> Iterator[float]:
    """(high - low) / 2 / median of every spread in a measurement."""
    if isinstance(value, Mapping):
        if {"median", "low", "high"} <= value.keys():
            if value["median"]:
                yield (value["high"] - value["low"]) / 2 / abs(value["median"])
        else:
            for part in value.values():
                yield from _spreads(part)
