"""Pictures of masks in the docs are what the commands next to them make."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mvideo_core.cli.main import app
from mvideo_core.cli.settings import FINISHED_WITH_WARNINGS
from tests.docs.shell_lines import command_lines
from tests.reference import REPOSITORY

IMAGES = REPOSITORY / "docs" / "images"


def run(page: str, name: str) -> None:
    """Run the lines of a page that name a file of masks, in the current folder."""
    lines = [line.words for line in command_lines("mvideo", [REPOSITORY / page]) if line.whole and name in line.words]
    assert lines
    for words in lines:
        typed = [str(REPOSITORY / word) if word.startswith("docs/images/") else word for word in words[1:]]
        done = CliRunner().invoke(app, typed, catch_exceptions=False)
        assert done.exit_code in (0, FINISHED_WITH_WARNINGS), done.output


def difference(made: Path, kept: Path) -> float:
    """Mean difference in gray levels."""
    one, other = (np.asarray(Image.open(path).convert("RGB"), int) for path in (made, kept))
    assert one.shape == other.shape
    return float(np.abs(one - other).mean())


def test_the_picture_of_drawn_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("docs/masks.md", "drawn.masks")
    assert difference(Path("drawn.png"), IMAGES / "mask-draw.png") < 0.1


@pytest.mark.slow
def test_the_picture_of_every_edit_of_outlines_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("docs/results/benchmarks.md", "star.masks")
    assert difference(Path("edits/overview.png"), IMAGES / "mask-operations.png") < 0.1
