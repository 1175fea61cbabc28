"""Videos, mattes and lists that come from outside."""

import json

import numpy as np
import pyarrow.parquet as pq

from tests.mvideo_core.base import test_listing
from tests.mvideo_core.curation.scenes import test_clip_colors, test_damage
from tests.mvideo_core.media import bars, footage
from tests.mvideo_core.right_or_refused.cases import Cases, finished, mvideo, published, refusal

CASES = Cases()


@CASES.kind("wrong colors")
def _(tmp_path):
    path = bars.write(tmp_path / "a.mp4", matrix="bt709", size=(320, 180))
    row, result = test_clip_colors.cut(path, tmp_path / "out", fit="stretch")
    test_clip_colors.assert_right(result.clips[0].path, "stretch", row)


@CASES.kind("damaged pictures")
def _(tmp_path):
    coding = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-g", "20", "-pix_fmt", "yuv420p")
    path = footage.film(tmp_path / "a.mp4", *coding, frames=test_damage.noisy(60))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = np.random.default_rng(3).bytes(1500)
    path.write_bytes(content)
    result = test_damage.cut(path, tmp_path / "out", max_decode_errors=1000)
    assert {(one.reason, one.value > 0) for one in result.dropped} == {("decode_errors", True)}
    assert result.clips


@CASES.kind("mattes of more than 8 bits")
def _(tmp_path):
    from mvideo_core.editing.mask_files import load_masks

    rgb = np.zeros((128, 256, 3), np.uint8)
    rgb[44:84, 160:200] = 255  # a square around x = 180
    coding = ("-c:v", "prores_ks", "-profile:v", "2")
    bars.write(tmp_path / "m.mov", pix_fmt="yuv422p10le", coding=coding, size=(256, 128), n=3, rgb=rgb)
    rows, columns = np.nonzero(load_masks(tmp_path / "m.mov").sequence.frame(0)[0])
    assert np.abs(np.array([rows.min(), rows.max(), columns.min(), columns.max()]) - [44, 83, 160, 199]).max() <= 1


@CASES.kind("stale list entries")
def _(tmp_path):
    workspace = finished(tmp_path)
    (tmp_path / "removed.txt").write_text("a_000000000\nno-such-video\n")
    _, _, error = mvideo("stage", "shard", "-w", workspace.url, "-s", f"shard.removal_list={tmp_path}/removed.txt")
    assert "no-such-video" in str(error)
    assert workspace.pointer("dataset") is None


@CASES.kind("lists as people write them")
def _(tmp_path):
    workspace = finished(tmp_path, a=1, b=1)
    (tmp_path / "removed.txt").write_bytes('\ufeff"a",  # asked on Monday\r\n'.encode())
    mvideo("stage", "shard", "-w", workspace.url, "-s", f"shard.removal_list={tmp_path}/removed.txt")
    assert pq.read_table(published(workspace) / "index.parquet").column("key").to_pylist() == ["b_000000000"]


@CASES.kind("lines broken at U+2028")
def _(tmp_path):
    from mvideo_core.evaluation.make_videos import read_prompts

    (tmp_path / "prompts.txt").write_text("a dog\u2028runs\u0085away\na cat\n", encoding="utf-8")
    assert read_prompts(tmp_path / "prompts.txt") == ["a dog\u2028runs\u0085away", "a cat"]


@CASES.kind("hidden files as sources")
def _(tmp_path):
    (tmp_path / "in" / ".trash").mkdir(parents=True)
    for name in ("a.mp4", "._a.mp4", ".hidden.mp4", ".part-1.mp4", ".trash/b.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    assert mvideo("plan", "-w", tmp_path / "ws", "--folder", tmp_path / "in")[1] == "1 sources in 1 parts\n"


@CASES.kind("a path cut at its comma")
def _(tmp_path):
    (tmp_path / "list.csv").write_text("path\nred, blue.mp4\n")
    _, _, error = mvideo("plan", "-w", tmp_path / "ws", "--manifest", tmp_path / "list.csv")
    assert "list.csv:2: more values than columns" in str(error)


@CASES.kind("damage that a decoder conceals")
def _(tmp_path):
    from mvideo_core.media.decode import read_clip

    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "12", "-pix_fmt", "yuv420p")
    path = footage.film(tmp_path / "a.mp4", *coding, frames=test_damage.noisy(20))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = np.random.default_rng(3).bytes(500)
    path.write_bytes(content)
    refusal(lambda: read_clip(path), "a.mp4", "cannot be decoded")


def imported(tmp_path, **row):
    """(exit code, output, error) of the import of a folder with two clips, one of which is listed with these fields."""
    from mvideo_core.masks.io.arrays import write_label_maps
    from mvideo_core.media.encode import write_mp4

    root = tmp_path / "npz"
    root.mkdir(exist_ok=True)
    frames = [np.full((32, 48, 3), 20 * t, np.uint8) for t in range(9)]
    write_mp4(frames, root / "a.mp4", 8)
    write_label_maps(root / "a.npz", [frame[..., 0].clip(0, 1) for frame in frames])
    rows = [{"key": key, "video": "a.mp4", "masks": "a.npz", "text": "A dog."} for key in "ab"]
    (root / "metadata.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (rows[0] | row, rows[1])))
    return mvideo("dataset", "import", root, tmp_path / "ws", "--from", "npz")


@CASES.kind("values of another type in an imported list")
def _(tmp_path):
    code, said, _ = imported(tmp_path, text=["A", "dog"])
    assert code == 3
    assert "a was not imported: its `text` is ['A', 'dog']" in said
    assert ": 1 train" in said


@CASES.kind("an import repeated after its source changed")
def _(tmp_path):
    assert imported(tmp_path)[0] == 0
    assert "other files); use another folder" in str(imported(tmp_path, text="A cat.")[2])


@CASES.kind("a folder that cannot be listed")
def _(_tmp_path):
    test_listing.test_a_folder_that_cannot_be_listed_is_an_error()
