"""`make test`: the default suite, then one summary line and `build/test.json`.

Tests marked gpu, multi_gpu, weights, vbench or slow are left out; `make test-all` adds the slow ones.
"""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

DEFAULT_MARKS = "not gpu and not multi_gpu and not weights and not vbench and not slow"
BUILD = Path("build")
PROCESSES = 3
"""Tests run one thread each; on two cores, a third process uses the time in which the end-to-end tests wait (587 s
against 601 s).
"""


def main() -> int:
    """Run pytest, write the counts, print them."""
    BUILD.mkdir(exist_ok=True)
    report = BUILD / "test.xml"
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-m", DEFAULT_MARKS, f"--junitxml={report}", "--durations=10"]
    command += ["-n", str(min(PROCESSES, len(os.sched_getaffinity(0)) + 1)), "--dist", "loadscope"]
    command += ["--no-loadscope-reorder"]  # the end-to-end tests are few and long: start them early
    # Without bytecode on disk, each of the many child processes compiles the project again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = subprocess.run([*command, *sys.argv[1:]], env=environment, check=False).returncode
    seconds = round(time.monotonic() - started, 1)
    counts = _counts(report) | {"seconds": seconds, "exit_code": code}
    (BUILD / "test.json").write_text(json.dumps(counts, indent=1))
    print(f"make test: {seconds:.0f} s, details in build/test.json")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return code


def _counts(report: Path) -> dict[str, float]:
    if not report.exists():
        return {"passed": 0, "failed": 1, "skipped": 0}
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))  # our own file, just written
    total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    failed = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    return {"passed": total - skipped - failed, "failed": failed, "skipped": skipped}


if __name__ == "__main__":
    raise SystemExit(main())
