"""The page's edits have Python's pixels, and both refuse the same lists."""

import shutil

import cv2
import numpy as np
import pytest

from mvideo_core.editing.combine import CombineOptions
from mvideo_core.editing.operations import OPERATIONS
from mvideo_core.masks.io.clip import MaskClip
from tests.mvideo_core.pages.studio.edit_lists import (
    draw_clip,
    draw_picture,
    in_javascript,
    in_python,
    run_node,
    schemas,
)

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node on the path")


def compare(seed: int, n_made: int) -> set[str]:
    """Draw pictures until so many were made, compare all; the operations that were used in those."""
    rng = np.random.default_rng(seed)
    clips = [draw_clip(rng) for _ in range(20)]
    pictures, python = [], []
    while sum(isinstance(one, MaskClip) for one in python) < n_made:
        pictures.append(draw_picture(rng, clips))
        python.append(in_python(clips, pictures[-1]))
    used = set()
    for picture, expected, found in zip(pictures, python, in_javascript(clips, pictures), strict=True):
        if isinstance(expected, str):
            assert isinstance(found, str), (picture, expected)
            continue
        assert isinstance(found, MaskClip), (picture, found)
        assert (found.fps, found.labels) == (expected.fps, expected.labels), picture
        assert found.sequence == expected.sequence, picture
        for edits in (picture["edits"], *(layer["edits"] for layer in picture["layers"])):
            used |= {name for edit in edits for name in edit}
    return used


def test_random_edit_lists_have_the_same_pixels(caplog):
    compare(0, 70)


@pytest.mark.slow
def test_500_random_edit_lists_have_the_same_pixels(caplog):
    assert compare(1, 500) == set(OPERATIONS.names())


def test_halves_are_rounded_as_in_python(caplog):
    clip = draw_clip(np.random.default_rng(4))._replace(fps=8.0)
    layer = {"input": 0, "start_s": 0.0, "tail": "hide"}
    whole = {"combine": CombineOptions().model_dump(), "edits": []}
    edits = [{"delay": {"by_s": 0.3125}}, {"delay": {"by_s": 0.4375}}, {"loop": {"to_s": 0.3125}}]
    pictures = [whole | {"layers": [layer | {"edits": [edit]}]} for edit in edits]
    n_frames = [one.sequence.n_frames for one in in_javascript([clip], pictures)]
    assert n_frames == [clip.sequence.n_frames + 2, clip.sequence.n_frames + 4, 2]  # 2.5, 3.5 and 2.5 frames


COVERAGE = """
const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(task.map(one => {
  const source = { pixels: Uint8Array.from(one.pixels), columns: one.columns, rows: one.pixels.length / one.columns };
  const back = inverted(one.matrix), line = new Float32Array(one.width);
  return Array.from({ length: one.height }, (_, y) => {
    drawLine(source, back, y, line, columnsOf(back, one.width));
    return Array.from(line);
  });
})));
"""


def test_coverage_has_the_bits_of_opencv():
    rng = np.random.default_rng(0)
    tasks = []
    for number in range(40):
        pixels = rng.random(rng.integers(3, 40, 2)) < 0.5
        angle, scale = rng.uniform(-3, 3) * (number % 3 > 0), rng.uniform(0.3, 3)
        linear = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        matrix = np.concatenate([linear, rng.uniform(-20, 60, (2, 1))], axis=1)
        width, height = (int(side) for side in rng.integers(1, 120, 2))
        tasks.append((pixels, matrix, width, height))
    found = run_node(COVERAGE, [
        {"pixels": pixels.ravel().astype(int).tolist(), "columns": pixels.shape[1], "matrix": matrix.ravel().tolist(),
         "width": width, "height": height}
        for pixels, matrix, width, height in tasks
    ])  # fmt: skip
    for (pixels, matrix, width, height), lines in zip(tasks, found, strict=True):
        drawn = cv2.warpAffine(pixels.astype(np.float32), matrix, (width, height), flags=cv2.INTER_LINEAR)
        assert np.array_equal(np.float32(lines), drawn), (matrix, width)


def test_the_page_knows_every_operation():
    assert set(schemas()) == set(OPERATIONS.names())
