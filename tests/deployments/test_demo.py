import os
import subprocess
import sys
from pathlib import Path

from mvideo.deployments.demo import score_lines

ROOT = Path(__file__).resolve().parents[2]


def row(system: str, end: str, mean: float | None) -> dict[str, object]:
    return {"test_set": "t", "system": system, "metric": f"mini_mask_miou{end}", "mean": mean, "n": 3}


def test_the_last_lines_have_the_score_and_its_controls() -> None:
    rows = [
        row("mvideo", "", 35.84),
        row("base", "", 8.29),
        row("mvideo", "_shuffled", 3.34),
        row("base", "_shuffled", 9.1),
    ]
    line = "mask mIoU (3 videos): 35.8 with masks, 8.3 without, 3.3 with shuffled masks; upper bound "
    assert list(score_lines([*rows, row("mvideo", "_source", 70.37)])) == [f"{line}70.4"]
    assert list(score_lines(rows)) == [f"{line}not measured"]


def test_a_disk_error_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("a file where the folder should be")
    ended = subprocess.run(
        [sys.executable, "-m", "mvideo.deployments.demo", "--videos", "1"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "build" in ended.stderr.splitlines()[-1]
