"""mvideo eval from the command line, in this process."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError
from mvideo_core.cli.eval import eval_app
from mvideo_core.media.encode import write_mp4

SUITE = "name: thin\nmetrics: [{metric: temporal_flickering}]\n"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two still videos and a broken one, named after prompts; the suite beside them."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        write_mp4((np.full((32, 48, 3), 90, np.uint8) for _ in range(5)), folder / f"a cat {number}-0.mp4", 8)
    (folder / "broken-0.mp4").write_bytes(b"nothing")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return folder


def invoke(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(eval_app, [str(word) for word in words], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_validate_run_compare_and_table(videos: Path, tmp_path: Path) -> None:
    suite, out = tmp_path / "suite.yaml", tmp_path / "out"
    code, text = invoke("validate", videos, "--suite", suite)
    assert code == 1
    assert "videos: 2 of 3 readable, 8 fps, 5 frames, 48x32" in text
    assert "1 errors, 0 warnings" in text
    code, text = invoke("run", videos, "--suite", suite, "--out", out)
    assert code == 0
    assert "| temporal flickering | videos | 100.00* | 2 | 2 | 0 | 1 |  |" in text  # nothing moves; one is broken
    assert json.loads((out / "vbench" / "videos_eval_results.json").read_text())["temporal_flickering"][0] == 1.0
    code, text = invoke("compare", out, "--a", "videos", "--b", "videos")
    assert (code, "| +0.00 | 2 | 2 | 0 | 0 | - | - | too few (needs 6) |" in text) == (0, True)
    assert invoke("retry-failed", out) == (0, "1 failed scores deleted; the next run scores those videos again\n")
    code, text = invoke("table", "2", "--results", out, "--out", tmp_path / "tables")
    assert (code, "| videos | 0.5 s x 32 x 48, 8 fps | - | not measured |" in text) == (0, True)
    assert (tmp_path / "tables" / "table-2.tex").exists()


def test_parts_wait_for_each_other(videos: Path, tmp_path: Path) -> None:
    words = ("run", videos, "--suite", tmp_path / "suite.yaml", "--out", tmp_path / "out", "--no-check", "--part")
    assert "waiting for parts [0]" in invoke(*words, "1/2")[1]
    assert not (tmp_path / "out" / "result.json").exists()
    assert "| temporal flickering | videos | 100.00* | 2 | 2 | 0 | 1 |" in invoke(*words, "0/2")[1]


def test_strict_stops_before_scoring(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 errors above"):
        invoke("run", videos, "--suite", tmp_path / "suite.yaml", "--out", tmp_path / "out", "--strict")
    with pytest.raises(ConfigError, match="1 errors above"):  # of a part that does not validate by itself, too
        invoke(
            "run", videos, "--suite", tmp_path / "suite.yaml", "--out", tmp_path / "out", "--strict", "--part", "1/2"
        )
    assert not (tmp_path / "out").exists()


def test_ls_lists_metrics_suites_and_systems() -> None:
    code, text = invoke("ls")
    assert code == 0
    for name in ("temporal_flickering", "mask_miou", "CC BY-NC", "paper ", "cogvideox-5b", "wan-vace-1.3b"):
        assert name in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("table", "7"), "available: 2, 3, 4, 5"),
        (("run", "nowhere.jsonl", "--out", "x"), "no such manifest"),
        (("compare", "nowhere"), "no result.json"),
        (("generate", "--system", "nobody", "--prompts", "p", "--manifest", "m", "--out", "x"), "give either"),
    ],
)
def test_wrong_calls_say_what_is_allowed(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        invoke(*words)
