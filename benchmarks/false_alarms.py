"""How often two equal systems are reported as different, by number of prompts: the current test, and the percentile
bootstrap.

    python -m benchmarks.false_alarms --out benchmarks/results/false_alarms.md

Both systems score every prompt from one distribution, so every "different" is a false alarm. Three kinds of scores:
normal; S_m-like (beta, most between 0.6 and 1, a tenth near 0); and prompts with one to five videos each, which share
most of their noise. The test is `intervals.estimate_mean` as called by `mvideo eval compare`; the bootstrap
(resampling whole prompts 2,000 times, "yes" if the interval excludes 0) is what it replaced.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.evaluation import intervals
from mvideo_core.evaluation.suite import IntervalOptions
from mvideo_core.processes.parallel_map import side_by_side

NUMBERS = range(2, 73)
LEVEL = 0.95
OPTIONS = IntervalOptions(level=LEVEL)
CHECKED = 20
FLIPS_AT_ONCE = 2048
ALLOWED = 0.06


class Draw(NamedTuple):
    """Differences of pairs that do not differ, and the prompt of each."""

    gains: np.ndarray
    prompts: np.ndarray


class Rates(NamedTuple):
    """Fraction of false alarms at one number of prompts, by kind of scores."""

    n_prompts: int
    before: dict[str, float]
    after: dict[str, float]


def normal(draw: np.random.Generator, n: int) -> Draw:
    """One video per prompt."""
    return Draw(draw.normal(size=n) - draw.normal(size=n), np.arange(n))


def miou(draw: np.random.Generator, n: int) -> Draw:
    """Like S_m: most videos follow their masks, one in ten does not."""

    def system() -> np.ndarray:
        return np.where(draw.random(n) < 0.1, draw.beta(1, 12, n), draw.beta(9, 2, n))

    return Draw(system() - system(), np.arange(n))


def seeds(draw: np.random.Generator, n: int) -> Draw:
    """One to five videos per prompt; the prompt's own difference is larger than the seeds'."""
    prompts = np.repeat(np.arange(n), draw.integers(1, 6, n))
    return Draw(draw.normal(size=n)[prompts] + 0.3 * draw.normal(size=len(prompts)), prompts)


KINDS: dict[str, Callable[[np.random.Generator, int], Draw]] = {
    "normal": normal, "S_m-like": miou, "1 to 5 videos": seeds,
}  # fmt: skip


def bootstrap_says_yes(one: Draw, draw: np.random.Generator, samples: int = 2000) -> bool:
    """The verdict of the percentile bootstrap over prompts."""
    n = int(one.prompts.max()) + 1
    sums, counts = np.bincount(one.prompts, one.gains, n), np.bincount(one.prompts, minlength=n)
    drawn = draw.integers(0, n, (samples, n))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bool(low > 0 or high < 0)


def p_values(tries: list[Draw], n: int) -> np.ndarray:
    """P-values of all tries at once, from the same flips as `estimate_mean`; the first are compared with its result.

    Raises:
        AssertionError: one differs.
    """
    sums = np.sort(np.stack([np.bincount(one.prompts, one.gains, n) for one in tries], axis=1), axis=0)
    observed = np.abs(sums.sum(axis=0)) * (1 - 1e-12)
    extreme, n_flips = np.ones(len(tries)), 1
    for flipped in intervals._flips(n, OPTIONS.draws, OPTIONS.seed):
        for start in range(0, len(flipped), FLIPS_AT_ONCE):
            piece = 1 - 2 * flipped[start : start + FLIPS_AT_ONCE]
            extreme += np.count_nonzero(np.abs(piece @ sums) >= observed, axis=0)
        n_flips += len(flipped)
    found = extreme / n_flips
    for one, p in list(zip(tries, found, strict=True))[:CHECKED]:
        assert intervals.estimate_mean(one.gains.tolist(), one.prompts.tolist(), OPTIONS).p == p
    return found


def rates(n: int, trials: int, trials_before: int) -> Rates:
    """False alarms at n prompts; the draws of n are the same on every machine."""
    before, after = {}, {}
    for place, (name, kind) in enumerate(KINDS.items()):
        draw = np.random.default_rng([n, place])
        tries = [kind(draw, n) for _ in range(trials)]
        after[name] = float((p_values(tries, n) <= 1 - LEVEL + 1e-9).mean()) if n >= intervals.MIN_CLUSTERS else 0.0
        before[name] = sum(bootstrap_says_yes(one, draw) for one in tries[:trials_before]) / trials_before
    return Rates(n, before, after)


def markdown(found: list[Rates], trials: int, trials_before: int) -> str:
    """The result as a page; its first lines say whether the promise holds."""
    highest = max((rate, one.n_prompts, name) for one in found for name, rate in one.after.items())
    lines = [
        "# False alarms of the paired comparison",
        "",
        f"Percent of draws without a difference that are called different at {1 - LEVEL:.0%}, of {trials} draws each "
        f"(bootstrap: {trials_before}). Below six prompts the test says \"too few\". Highest rate today: "
        f"{highest[0]:.1%} ({highest[2]}, {highest[1]} prompts); allowed: {ALLOWED:.0%}. Made by "
        "`python -m benchmarks.false_alarms`.",
        "",
        "| prompts | " + " | ".join(f"{name}: bootstrap | test" for name in KINDS) + " |",
        "|---" * (1 + 2 * len(KINDS)) + "|",
    ]  # fmt: skip
    for one in found:
        cells = [f"{100 * one.before[name]:.1f} | {100 * one.after[name]:.1f}" for name in KINDS]
        lines.append(f"| {one.n_prompts} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Simulate, write the page, and exit with 1 if a rate is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/false_alarms.md"))
    parser.add_argument("--trials", type=int, default=5000, help="draws per number of prompts and kind")
    parser.add_argument("--trials-before", type=int, default=500, help="of those, draws that the bootstrap judges")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    one = partial(rates, trials=args.trials, trials_before=args.trials_before)
    found = list(side_by_side(one, list(NUMBERS), args.processes))
    args.out.write_text(markdown(found, args.trials, args.trials_before), encoding="utf-8")
    highest = max(rate for one in found for rate in one.after.values())
    print(f"{args.out}: highest rate of false alarms {highest:.1%}")
    return 0 if highest <= ALLOWED else 1


if __name__ == "__main__":
    raise SystemExit(main())
