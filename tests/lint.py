"""`make check`: ruff, format, mypy, import-linter; one summary line and `build/check.json`."""

import json
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
FOLDERS = ["flows", "tasks", "mvideo_core", "deployments", "tests", "benchmarks"]
CHECKS = {
    "ruff": ["ruff", "check", "--quiet", *FOLDERS],
    "format": ["ruff", "format", "--check", "--quiet", *FOLDERS],
    "types": ["mypy"],
    "imports": ["lint-imports"],
}


def main() -> int:
    """Run every check, print the output of those that fail."""
    results = {}
    for name, (program, *arguments) in CHECKS.items():
        started = time.monotonic()
        done = subprocess.run([str(BIN / program), *arguments], capture_output=True, text=True, check=False)
        results[name] = {"ok": done.returncode == 0, "seconds": round(time.monotonic() - started, 1)}
        if done.returncode:
            print(f"--- {name}\n{done.stdout}{done.stderr}")
    Path("build").mkdir(exist_ok=True)
    Path("build/check.json").write_text(json.dumps(results, indent=1))
    bad = [name for name, result in results.items() if not result["ok"]]
    failing = f"; failing: {', '.join(bad)}" if bad else ""
    print(f"make check: {len(results) - len(bad)} of {len(results)} checks pass{failing}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
