"""The page's edits have Python's pixels, and both refuse the same lists."""

import shutil

import numpy as np
import pytest

from mvideo_core.editing.operations import OPERATIONS
from mvideo_core.masks.io.clip import MaskClip
from tests.mvideo_core.pages.studio.edit_lists import draw_clip, draw_picture, in_javascript, in_python, schemas

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


def test_the_page_knows_every_operation():
    assert set(schemas()) == set(OPERATIONS.names())
