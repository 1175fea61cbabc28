"""Broken weights, adapters and masks, each passed to a real `mvideo` process: its output, exit code and seconds.

`python -m benchmarks.broken_inputs` prints one Markdown table per kind; benchmarks/results/broken_inputs.md has them.
Exit code 1: a process printed anything but one line of ours (earlier warnings are counted separately), or a wrong exit
code. The inputs are those of the tests, which compare every line with its pattern.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mvideo_core.cogvideox.base import random_base, save_base
from tests.mvideo_core.cli import test_broken_masks as masks
from tests.mvideo_core.cogvideox import test_folder_check as weights
from tests.mvideo_core.generation import test_adapters as adapters

UNWANTED = (
    "Traceback", "weights_only", "pip install", "safe to ignore", "pickle_module", "allow_pickle", "trust_remote_code",
    "Repo id", "Re-running",
)  # fmt: skip
"""Tracebacks, and other libraries' advice that is unsafe or wrong here."""


class Said(NamedTuple):
    """The result for one broken input.

    Attributes:
        line: what the process printed, with paths shortened.
        code: its exit code.
        n_warnings: log lines before it.
        seconds: from start to end of the process, imports included.
        fault: what is wrong with that, "" if nothing.
    """

    name: str
    line: str
    code: int
    n_warnings: int
    seconds: float
    fault: str


def call(name: str, arguments: list[str], codes: tuple[int, ...], place: Path) -> Said:
    """Run `mvideo` and judge its output.

    Args:
        codes: correct exit codes.
        place: folder to remove from the line.
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "mvideo_core.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - started
    lines = done.stderr.strip().splitlines()
    faults = [f"says {word!r}" for word in UNWANTED if word in done.stdout + done.stderr]
    n_warnings = sum(" WARNING " in one for one in lines[:-1])
    faults += [f"{len(lines)} lines"] if len(lines) - n_warnings != 1 else []
    faults += [f"exit code {done.returncode}"] if done.returncode not in codes else []
    line = (lines[-1] if lines else "").replace(f"{place}/", "")
    return Said(name, line, done.returncode, n_warnings, seconds, ", ".join(faults))


def of_weights(place: Path) -> Iterator[Said]:
    """Each broken base, passed to `mvideo generate --base`."""
    save_base(random_base("tiny-sincos"), place / "whole")
    for name, (damage, _) in weights.BROKEN.items():
        yield _try_damage(name, place / "whole", place / "base", damage, ["--base", f"{place}/base"], (1,))


def of_adapters(place: Path) -> Iterator[Said]:
    """Each broken adapter, passed to `mvideo generate --adapter` with a base that cannot be loaded either."""
    adapters.write_bases(place)
    whole = adapters.write_adapter(place).rename(place / "whole")
    for name, (damage, code, _) in adapters.BROKEN.items():
        words = ["--base", f"{place}/gone", "--adapter", f"{place}/adapter"]
        yield _try_damage(name, whole, place / "adapter", damage, words, (code,))


def of_masks(place: Path) -> Iterator[Said]:
    """Each broken or doubtful mask file, passed to the table's command."""
    masks.draw_masks(place)
    for name, arguments, code, _ in masks.TABLE:
        yield call(name, masks.words_of(arguments, place, place / "out.masks"), (code,), place)


def _try_damage(
    name: str, whole: Path, copy: Path, damage: Callable[[Path], object], words: list[str], codes: tuple[int, ...]
) -> Said:
    """`generate` with a damaged copy; there must be no output."""
    shutil.copytree(whole, copy)
    damage(copy)
    out = copy.parent / "out"
    said = call(name, ["generate", "--out", str(out), "--prompt", "a red kite", *words], codes, copy.parent)
    shutil.rmtree(copy, ignore_errors=True)
    return said._replace(fault=", ".join(filter(None, (said.fault, "an output is there" if out.exists() else ""))))


KINDS = {"weights": of_weights, "adapters": of_adapters, "masks": of_masks}


def table(kind: str, rows: list[Said]) -> list[str]:
    """Markdown lines: a summary, then one row per input."""
    times = sorted(row.seconds for row in rows)
    wrong = sum(bool(row.fault) for row in rows)
    summary = f"{len(rows)} broken {kind}: {wrong} at fault; {times[0]:.1f} to {times[-1]:.1f} s"
    lines = [summary, "", f"| Broken {kind} | The line | Exit code | Seconds |", "|---|---|---|---|"]
    for row in rows:
        line = row.line.replace("|", "\\|").replace("<", "&lt;")
        fault = f" **{row.fault}**" if row.fault else ""
        before = f"({row.n_warnings} warning before) " if row.n_warnings else ""
        lines.append(f"| {row.name} | {before}{line}{fault} | {row.code} | {row.seconds:.1f} |")
    return lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, joined with commas")
    chosen = parser.parse_args().only.split(",")
    at_fault = False
    for kind in chosen:
        with tempfile.TemporaryDirectory(prefix="mvideo-broken-") as place:
            rows = []
            for row in KINDS[kind](Path(place)):
                rows.append(row)
                print(f"{kind}: {row.name}: {row.fault or 'one line'}", file=sys.stderr)
        print("\n".join([*table(kind, rows), ""]))
        at_fault |= any(row.fault for row in rows)
    sys.exit(at_fault)


if __name__ == "__main__":
    main()
