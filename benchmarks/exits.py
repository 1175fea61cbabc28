"""Runs short commands over and over, each in its own process: all must end with exit code 0.

A command that succeeded can still die while the interpreter exits (threads of a library that free Python objects), so
the code that the shell sees is what counts. `python -m benchmarks.exits` runs 500 and prints a line per command.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mvideo_core.curation.stages.publish import dataset_root
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.pages.data_report.build import build_report
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import finish

COMMANDS = ("status -w WS", "verify -w WS", "gc -w WS", "stage shard -w WS", "dataset info DATASET")
"""Each reads Parquet files of the workspace."""


def main() -> None:
    """Exit code 1 if a command ended with anything but 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="total over all commands")
    runs = parser.parse_args().runs // len(COMMANDS)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="mvideo-exits-") as place:
        workspace = Workspace(f"{place}/ws")
        finish(workspace, Path(place), {"a": 2, "b": 1, "c": 2})
        shard_dataset(workspace, ShardOptions())
        build_report(workspace)
        names = {"WS": workspace.url, "DATASET": dataset_root(workspace)}
        for command in COMMANDS:
            words = [names.get(word, word) for word in command.split()]
            started = time.monotonic()
            codes = Counter(_code(words) for _ in range(runs))
            bad += runs - codes[0]
            print(f"mvideo {command}: {runs} runs, {(time.monotonic() - started) / runs:.2f} s each; exit codes: "
                  + ", ".join(f"{code} {n} times" for code, n in sorted(codes.items())), flush=True)  # fmt: skip
    print(f"{runs * len(COMMANDS)} runs, {bad} of them without exit code 0")
    sys.exit(bad > 0)


def _code(words: list[str]) -> int:
    done = subprocess.run([sys.executable, "-m", "mvideo_core.cli.main", *words], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    main()
