"""Files that the page reads and writes: `.masks`, the recipe and the gray video, read by Python."""

import base64
import shutil
from typing import Any

import av
import numpy as np
import pytest
import zstandard

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.combine import CombineOptions
from mvideo_core.editing.mask_files import load_masks
from mvideo_core.editing.recipe import load_recipe, run_recipe
from mvideo_core.editing.resample import resample
from mvideo_core.masks import from_bytes
from mvideo_core.masks.codec import encode
from mvideo_core.masks.io.clip import MaskClip
from mvideo_core.masks.io.label_maps import label_maps
from tests.mvideo_core.pages.studio.edit_lists import draw_clip, draw_picture, in_python, run_node

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node on the path")
READ = """
const { createHash } = require("crypto");
const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(task.map(text => {
  try { return ACTION(new Uint8Array(Buffer.from(text, "base64"))); } catch (error) { return error.message; }
})));
"""


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def acted(action: str, blobs: list[bytes]) -> list[Any]:
    return run_node(READ.replace("ACTION", action), [b64(one) for one in blobs])


@pytest.fixture(scope="module")
def texts() -> list[bytes]:
    """Content for all kinds of blocks: raw, RLE, Huffman trees of both kinds, one and four streams, matches."""
    rng = np.random.default_rng(0)
    words = b"".join(b"word%d " % one for one in rng.integers(0, 300, 40_000))
    return [
        b"", b"a", b"abc" * 1000, bytes(300_000), words, words[:900], bytes(rng.integers(0, 256, 200_000, np.uint8)),
        bytes(rng.integers(0, 4, 200_000, np.uint8)), rng.normal(0, 3, 300_000).astype(np.int8).tobytes(),
        rng.normal(0, 3, 60).astype(np.int8).tobytes(),
    ]  # fmt: skip


def test_zstd_frames_of_every_level_are_read(texts):
    blobs = [zstandard.ZstdCompressor(level=level).compress(text) for level in (-5, 1, 3, 5, 12, 19) for text in texts]
    read = acted('(data => Buffer.from(unzstd(data, 0, 1e9)).toString("base64"))', blobs)
    assert [base64.b64decode(one) for one in read] == texts * 6


def test_masks_come_back_and_damaged_files_are_refused():
    rng = np.random.default_rng(0)
    sequences = [draw_clip(rng).sequence for _ in range(4)] + [
        encode(rng.random((3, 2, 40, 900)) < share) for share in (0, 0.01, 0.5, 1)
    ]
    action = '(data => Buffer.from(writeMasks(readMasks(data, 8, []))).toString("base64"))'
    copied = acted(action, [sequence.to_bytes() for sequence in sequences])
    assert [from_bytes(base64.b64decode(one)) for one in copied] == sequences
    good = sequences[0].to_bytes()
    flipped = [good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :] for place in (0, 4, 9, 29, 40)]
    errors = acted('(data => readMasks(data, 8, []) && "read")', [b"", b"MVMS", good[:-1], *flipped])
    assert errors[0] == 'not a .masks file: it starts with "", expected "MVMS"'
    assert errors[1] == 'not a .masks file: it starts with "MVMS", expected "MVMS"'
    assert errors[2] == errors[5] == "the checksum does not match; the file is truncated or damaged"
    assert errors[4] == "a .masks file of version 3; this page reads version 2"
    assert "read" not in errors


@pytest.mark.parametrize("fps", [8.0, 12.5, 29.97, 30000 / 1001])
def test_a_gray_video_is_lossless_and_keeps_its_rate(tmp_path, fps):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:50, :70]
    discs = np.stack([[(x - 20 - 3 * t - 20 * n) ** 2 + (y - 25) ** 2 < 150 for n in range(2)] for t in range(20)])
    noise = rng.random((20, 2, 50, 70)) < 0.002
    sequence = encode(discs | noise)
    action = f'(data => Buffer.from(writeGrayVideo(readMasks(data, {fps!r}, [])).file).toString("base64"))'
    place = tmp_path / "masks.mp4"
    place.write_bytes(base64.b64decode(acted(action, [sequence.to_bytes()])[0]))
    with av.open(str(place)) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format=frame.format.name)[:50] for frame in video.decode(stream)]
        assert (stream.average_rate, frames[0].dtype) == (pytest.approx(fps, rel=1e-7), np.uint8)
    assert np.array_equal(frames, list(label_maps(sequence)))
    assert load_masks(place).fps == pytest.approx(fps, rel=1e-6)


def test_a_gray_video_that_cannot_be_is_refused():
    odd, many = encode(np.ones((1, 1, 5, 8), bool)), encode(np.ones((1, 255, 2, 2), bool))
    action = '(data => writeGrayVideo(readMasks(data, 8, [])) && "written")'
    assert acted(action, [odd.to_bytes(), many.to_bytes()]) == [
        "H.264 needs even sides; these masks are 8 x 5", "255 objects; a gray video holds at most 254",
    ]  # fmt: skip


RECIPE = """
const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
const edits = list => list.map(one => ({ name: Object.keys(one)[0], options: Object.values(one)[0] }));
const names = ["yes", "été 1", "c"], inputs = { "yes": "a.masks", "été 1": "b.masks", c: "" };
console.log(JSON.stringify(task.pictures.map(one => recipeText({
  title: task.title, prompt: "A horse, and: a dog", inputs,
  layers: one.layers.map(each => Object.assign({}, each, { input: names[each.input], edits: edits(each.edits) })),
  combine: one.combine, edits: edits(one.edits)
}, task.combine))));
"""
TITLE = "Ein \u2028 'Titel': \"é\" 😀 # no"


def test_a_recipe_makes_the_same_masks(tmp_path, caplog):
    rng = np.random.default_rng(5)
    clips, names = [draw_clip(rng) for _ in range(3)], ["yes", "été 1", "c"]
    pictures = [draw_picture(rng, clips) for _ in range(20)]
    pictures[0]["edits"] = [{"translate": {"x_frac": 1e-7, "y_frac": [["0%", 1e-7], ["100%", -2.5e-9]]}}]
    properties = CombineOptions.model_json_schema()["properties"]
    texts = run_node(RECIPE, {"pictures": pictures, "combine": properties, "title": TITLE})
    grid = VideoFormat(height_px=48, width_px=64, clip_frames=9)
    made = 0
    for picture, text in zip(pictures, texts, strict=True):
        expected = in_python(clips, picture)
        if not isinstance(expected, MaskClip):
            continue
        place = tmp_path / "studio.yaml"
        place.write_text(text, encoding="utf-8")
        recipe = load_recipe(str(place))
        assert (recipe.title, recipe.variants["studio"].prompts) == (TITLE, ["A horse, and: a dog"])
        used = {names[layer["input"]]: clips[layer["input"]] for layer in picture["layers"]}
        try:
            wanted = resample(expected, grid, recipe.resample)
        except ConfigError:  # the grid's crop leaves nothing
            continue
        (cooked,) = run_recipe(recipe, used, grid)
        assert cooked.clip.sequence == wanted.sequence
        made += 1
    assert made >= 8
