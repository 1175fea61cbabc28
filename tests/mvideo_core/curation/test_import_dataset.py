"""Exports imported again, foreign layouts made by hand, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from typer.testing import CliRunner

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.cli.main import app
from mvideo_core.curation.import_dataset import import_dataset, sample_key
from mvideo_core.masks.io.arrays import write_label_maps
from mvideo_core.media.encode import write_gray_mp4, write_mp4
from mvideo_core.shards import MaskVideoDataset, verify_dataset
from mvideo_core.shards.exports.davis import davis_palette
from mvideo_core.shards.imports import IMPORTS
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.shards.exports.conftest import (  # noqa: F401 - fixtures
    BOTH,
    dataset,
    exported,
    label_map,
    samples,
)

RATE = {"davis": 8.0}
RUN_LENGTHS = ("sa-v", "youtube-vis")
PICTURES = ("davis", "youtube-vis")
T, H, W = 9, 32, 48


def take(source, workspace, name, fps=0.0):
    return import_dataset(source, Workspace(str(workspace)), name, fps=fps)


def read(root):
    """key -> (split, sample)."""
    return {one.key: (split, one) for split in ("train", "test") for one in _split(root, split)}


def _split(root, split):
    try:
        return list(MaskVideoDataset(root, split))
    except ConfigError:  # no such split
        return []


def square(t, n=0):
    """A square of 8 px that moves by 2 px per frame."""
    mask = np.zeros((H, W), np.bool_)
    mask[8 : 16 + n, 2 * t : 2 * t + 8] = True
    return mask


def clip_file(path, n_frames=T):
    frames = [np.where(square(t)[..., None], np.uint8(220), np.uint8(30)).repeat(3, 2) for t in range(n_frames)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(frames, path, 24)


@pytest.mark.parametrize("name", IMPORTS.names())
def test_an_export_comes_back(exported, samples, tmp_path, name):  # noqa: F811
    out, _ = exported(name)
    done = take(out, tmp_path / "ws", name, RATE.get(name, 0.0))
    assert verify_dataset(done.root, deep=True) == []
    assert (done.samples, done.failed) == ({"train": 2, "test": 2}, [])
    found = read(done.root)
    assert sorted(found) == sorted(samples)
    for key, (split, text, labels, frames, masks) in samples.items():
        came_to, sample = found[key]
        meta, back = sample.meta(), sample.masks().pixels()
        assert (came_to, meta["fps"]) == (split, 8.0)
        if name in RUN_LENGTHS:
            assert np.array_equal(back, masks)
        else:
            assert np.array_equal(label_map(back), label_map(masks))
        if name == "davis":
            assert (sample.text, {one["label"] for one in meta["objects"]}) == ("", {"object"})
        else:
            assert (sample.text, [one["label"] for one in meta["objects"]]) == (text, labels)
            assert meta["source"]["url"] == f"https://video.example/{key.split('_')[0]}"
            assert meta["source"]["end_s"] - meta["source"]["start_s"] == 1.125
        change = np.abs(sample.frames().astype(int) - frames)
        assert change.mean() < 4 if name in PICTURES else not change.any()


def test_a_killed_import_resumes_with_the_same_dataset(exported, tmp_path):  # noqa: F811
    class Killed(BaseException):
        pass

    def stop(done, total):
        assert total == 4
        raise Killed

    out, _ = exported("sa-v")
    whole = take(out, tmp_path / "whole", "sa-v")
    done = []
    for _ in range(2):
        with pytest.raises(Killed):
            import_dataset(out, Workspace(str(tmp_path / "ws")), "sa-v", progress=stop)
    resumed = import_dataset(out, Workspace(str(tmp_path / "ws")), "sa-v", progress=lambda n, _: done.append(n))
    assert done == [3, 4]
    assert [sample.content for _, sample in read(resumed.root).values()] == [
        sample.content for _, sample in read(whole.root).values()
    ]
    assert resumed.root.rsplit("/", 1)[1] == whole.root.rsplit("/", 1)[1]
    assert take(out, tmp_path / "ws", "sa-v") == resumed
    clip_file(tmp_path / "footage" / "one.mp4")
    words = ["-w", str(tmp_path / "ws")]
    refused = CliRunner().invoke(app, ["plan", *words, "--folder", str(tmp_path / "footage")])
    assert "holds an imported dataset" in str(refused.exception)
    freed = CliRunner().invoke(app, ["gc", *words])
    assert "would delete" in freed.output
    assert "import" not in freed.output
    assert read(resumed.root).keys() == read(whole.root).keys()


def test_sa_v_with_every_fourth_frame(tmp_path):
    """17 frames at 24 fps, masks on frames 0, 4, 8, 12, 16: five frames at 6 fps. Encoded by pycocotools."""
    clip_file(tmp_path / "sav_val" / "sav_000" / "sav_000001.mp4", 17)
    rles = [coco.encode(np.asfortranarray(square(t).astype(np.uint8))) for t in range(0, 17, 4)]
    masklet = [[{"size": one["size"], "counts": one["counts"].decode()}] for one in rles]
    facts = {"video_frame_count": 17.0, "video_height": H, "video_width": W, "masklet": masklet, "video_id": "x"}
    (tmp_path / "sav_val" / "sav_000" / "sav_000001_manual.json").write_text(json.dumps(facts))
    done = take(tmp_path, tmp_path / "ws", "sa-v")
    split, sample = read(done.root)["sav_000001"]
    assert (split, sample.meta()["fps"], sample.meta()["objects"][0]["label"]) == ("test", 6.0, "object")
    assert np.array_equal(sample.masks().pixels()[:, 0], [square(t) for t in range(0, 17, 4)])
    assert all(frame[square(4 * n)].mean() > 150 > 80 > frame[~square(4 * n)].mean()
               for n, frame in enumerate(sample.frames()))  # fmt: skip
    assert done.without_text == 1


def test_youtube_vis_with_plain_runs_and_frames_without_the_object(tmp_path):
    """Uncompressed counts, as in the published lists: columns of 32 px, the first of a square starts at row 8."""
    folder = tmp_path / "train" / "JPEGImages" / "0a49f5265b"
    folder.mkdir(parents=True)
    for number in (0, 5, 10):
        Image.fromarray(np.full((H, W, 3), number * 20, np.uint8)).save(folder / f"{number:05d}.jpg")
    counts = [8, *[8, 24] * 7, 8, (W - 8) * H + 16]
    assert sum(counts) == H * W
    video = {
        "id": 1, "width": W, "height": H, "length": 3,
        "file_names": [f"0a49f5265b/{n:05d}.jpg" for n in (0, 5, 10)],
    }  # fmt: skip
    one = {
        "id": 7, "video_id": 1, "category_id": 3,
        "segmentations": [{"size": [H, W], "counts": counts}, None, {"size": [H, W], "counts": counts}],
    }  # fmt: skip
    document = {"videos": [video], "annotations": [one], "categories": [{"id": 3, "name": "dog"}]}
    (tmp_path / "train" / "instances.json").write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="video 1 has no frame rate; give it with --fps"):
        take(tmp_path, tmp_path / "ws", "youtube-vis")
    done = take(tmp_path, tmp_path / "ws", "youtube-vis", 6.0)
    split, sample = read(done.root)["0a49f5265b"]
    assert (split, sample.meta()["objects"][0]["label"]) == ("train", "dog")
    assert np.array_equal(sample.masks().pixels()[:, 0], [square(0), np.zeros((H, W), bool), square(0)])


def test_davis_without_lists_and_pairs_without_metadata(tmp_path):
    for t in range(T):
        for kind, picture in (("JPEGImages", None), ("Annotations", square(t).astype(np.uint8) * 2)):
            folder = tmp_path / "davis" / kind / "480p" / "bear run"
            folder.mkdir(parents=True, exist_ok=True)
            if picture is None:
                Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(folder / f"{t:05d}.jpg")
            else:
                image = Image.fromarray(picture)
                image.putpalette(davis_palette().reshape(-1).tolist())
                image.save(folder / f"{t:05d}.png")
    done = take(tmp_path / "davis", tmp_path / "ws", "davis", 24)
    (key,) = read(done.root)
    assert key == sample_key("bear run") != "bear run"
    masks = read(done.root)[key][1].masks()
    assert masks.n_objects == 2
    assert [masks.mask(3, 0).sum(), masks.mask(3, 1).sum()] == [0, 64]

    maps = [square(t).astype(np.uint8) for t in range(T)]
    for name in ("npz", "mask-mp4"):
        clip_file(tmp_path / name / "videos" / "a.mp4")
        (tmp_path / name / "masks" / "a").mkdir(parents=True)
    write_label_maps(tmp_path / "npz" / "masks" / "a" / "all_masks.npz", maps)
    write_gray_mp4([one * 255 for one in maps], tmp_path / "mask-mp4" / "masks" / "a.mp4", 24)
    for name in ("npz", "mask-mp4"):
        done = take(tmp_path / name, tmp_path / f"ws-{name}", name)
        _, sample = read(done.root)["a"]
        assert np.array_equal(sample.masks().pixels()[:, 0], np.array(maps, bool)), name
        assert sample.meta()["fps"] == 24.0


def test_bad_samples_are_named_and_the_others_imported(exported, tmp_path):  # noqa: F811
    out, _ = exported("sa-v")
    (damaged,) = out.rglob(f"{BOTH}_manual.json")
    facts = json.loads(damaged.read_text())
    facts["masklet"][2][0]["counts"] = [4, 4]
    damaged.write_text(json.dumps(facts))
    done = CliRunner().invoke(app, ["dataset", "import", str(out), str(tmp_path / "ws"), "--from", "sa-v"])
    assert done.exit_code == 3, done.output
    assert f"warning: {BOTH} was not imported: COCO runs of 8 px for a frame of 48x32 px" in done.output
    assert "not kept: object ids: numbered from 0" in done.output
    for path in out.rglob("*_manual.json"):
        path.write_text("[]")
    with pytest.raises(StoreError, match=r"no sample was imported \(4 failed\): v00.*not an SA-V annotation"):
        take(out, tmp_path / "ws2", "sa-v")


def test_refusals(exported, tmp_path):  # noqa: F811
    out, _ = exported("npz")
    with pytest.raises(ConfigError, match=r"no import format called 'coco'; known: davis, .*youtube-vis"):
        take(out, tmp_path / "ws", "coco")
    with pytest.raises(ConfigError, match="no such folder"):
        take(tmp_path / "nowhere", tmp_path / "ws", "npz")
    with pytest.raises(ConfigError, match=r"--fps 8: npz states the frame rate"):
        take(out, tmp_path / "ws", "npz", 8.0)
    for name, words in (
        ("davis", "no Annotations/480p"),
        ("sa-v", "no .*_manual.json"),
        ("youtube-vis", "no instances"),
    ):
        with pytest.raises(ConfigError, match=words):
            take(out, tmp_path / "ws", name, RATE.get(name, 0.0))
    take(out, tmp_path / "ws", "npz")
    shutil.copytree(out, tmp_path / "copy")
    with pytest.raises(StoreError, match=r"holds another import \(npz, source .*use another folder"):
        take(tmp_path / "copy", tmp_path / "ws", "npz")
    line = json.loads((out / "train" / "metadata.jsonl").read_text().splitlines()[0])
    (out / "train" / "metadata.jsonl").write_text(
        "".join(
            json.dumps(line | {"key": key, "video": video}) + "\n"
            for key, video in (("a", "../../secret.mp4"), ("b", "/etc/hostname"))
        )
    )
    done = take(out, tmp_path / "ws3", "npz")
    assert [why for _, why in done.failed] == [
        f"{out}/train/../../secret.mp4 leads out of {out}", f"/etc/hostname leads out of {out}"
    ]  # fmt: skip
    (out / "train" / "metadata.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"metadata.jsonl: line 1 is not a JSON object with video, masks"):
        take(out, tmp_path / "ws4", "npz")
