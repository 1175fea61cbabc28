"""200 drawn clips with random masks in every format that holds masks: equal pixels, or exactly the declared loss."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from mvideo_core.base.records import CaptionRow, ClipRow, MaskRow, ObjectStats
from mvideo_core.curation.import_dataset import import_dataset
from mvideo_core.masks.codec import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.shards import MaskVideoDataset, ShardOptions, plan_sample
from mvideo_core.shards.export import export_dataset
from mvideo_core.shards.imports import IMPORTS
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.shards.conftest import Drawn
from tests.mvideo_core.shards.exports.conftest import label_map, read_video

N_VIDEOS = 100
T, H, W = 5, 32, 48


def draw_masks(random):
    """1 to 4 objects: ellipses that move, overlap and vanish, some with noise on them, some covering everything."""
    n_objects = int(random.integers(1, 5))
    y, x = np.mgrid[:H, :W]
    masks = np.zeros((T, n_objects, H, W), np.bool_)
    for n in range(n_objects):
        center, speed, radius = random.uniform(0, (W, H)), random.uniform(-4, 4, 2), random.uniform(2, 40, 2)
        noise, seen = random.random() < 0.3, random.random(T) < 0.8
        for t in range(T):
            place = center + speed * t
            masks[t, n] = seen[t] & (((x - place[0]) / radius[0]) ** 2 + ((y - place[1]) / radius[1]) ** 2 < 1)
            if noise:
                masks[t, n] &= random.random((H, W)) < 0.7
    return masks


class RandomMasks(Drawn):
    """As Drawn, with random masks, about one object in four dropped by the gate."""

    def _sample(self, video_id, key, tint):
        random = np.random.default_rng(tint)
        masks_TNHW = draw_masks(random)
        n_objects = masks_TNHW.shape[1]
        kept = [n == 0 or random.random() < 0.75 for n in range(n_objects)]
        self.masks = getattr(self, "masks", {}) | {key: masks_TNHW[:, kept]}
        write_mp4(np.full((T, H, W, 3), tint % 256, np.uint8), self.folder / f"{key}.mp4", 8)
        (self.folder / f"{key}.masks").write_bytes(encode(masks_TNHW).to_bytes())
        clip = ClipRow(
            key=key, parent=video_id, fps=8.0, n_frames=T, width=W, height=H, start_s=tint % 10, end_s=tint % 10 + 0.6,
            clip=self.blob(f"{key}.mp4"), licence="CC-BY-4.0", source_sha256=hashlib.sha256(key.encode()).hexdigest(),
            source_url=f"https://video.example/{video_id}",
        )  # fmt: skip
        stats = [
            ObjectStats(
                object_id=n, label=f"thing {n}", detection_score=0.9, mask_score=0.9, visible_frac=1.0,
                mean_area_frac=0.1, drift=0.0, kept=kept[n], drop_reason=None if kept[n] else "rarely_visible",
            )
            for n in range(n_objects)
        ]  # fmt: skip
        rows = MaskRow(
            key=key, parent=key, masks=self.blob(f"{key}.masks"), objects=stats, n_frames=T, width=W, height=H
        )
        return plan_sample(clip, rows, CaptionRow(key=key, parent=key, text=f"Clip {key}.", captioner="a", model="a-1"))


def read_youtube_vis(out):
    document = json.loads((out / "train" / "instances.json").read_text())
    found = {one["id"]: (one["file_names"][0].split("/")[0], []) for one in document["videos"]}
    empty = np.zeros((H, W), np.bool_)
    for one in document["annotations"]:
        rles = one["segmentations"]
        found[one["video_id"]][1].append([empty if rle is None else coco.decode(rle) > 0 for rle in rles])
    return {key: np.array(tracks).transpose(1, 0, 2, 3) for key, tracks in found.values()}


def read_sa_v(out):
    found = {}
    for path in (out / "train").glob("*.json"):
        frames = json.loads(path.read_text())["masklet"]
        found[path.name.removesuffix("_manual.json")] = np.array([[coco.decode(o) > 0 for o in f] for f in frames])
    return found


def read_davis(out):
    folders = (out / "Annotations" / "480p").iterdir()
    return {one.name: np.array([np.asarray(Image.open(f)) for f in sorted(one.glob("*.png"))]) for one in folders}


def read_npz(out):
    return {one.parent.name: np.load(one)["arr_0"] for one in out.rglob("all_masks.npz")}


def read_gray(out):
    return {one.stem: read_video(one)[..., 0] for one in (out / "train" / "masks").iterdir()}


@pytest.fixture(scope="module")
def random_masks(tmp_path_factory):
    drawn = RandomMasks(tmp_path_factory.mktemp("blobs"), N_VIDEOS)
    root = tmp_path_factory.mktemp("dataset")
    drawn.write(root, ShardOptions(samples_per_shard=50))
    assert len(drawn.masks) == 2 * N_VIDEOS
    return root, drawn.masks


@pytest.mark.slow
@pytest.mark.parametrize(("name", "read"), [("youtube-vis", read_youtube_vis), ("sa-v", read_sa_v)])
def test_run_lengths_keep_every_pixel(random_masks, tmp_path, name, read):
    root, masks = random_masks
    facts = export_dataset(root, tmp_path / "out", name)
    found = read(tmp_path / "out")
    assert sorted(found) == sorted(masks)
    assert all(np.array_equal(found[key], masks[key]) for key in masks)
    assert facts["hidden_px"] == 0
    print(f"\n{name}: {len(found)} clips equal, {facts['bytes']} bytes")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read"),
    [("davis", read_davis), ("npz", read_npz), ("mask-mp4", read_gray), ("huggingface", read_gray)],
)
def test_label_maps_lose_the_counted_pixels_and_no_others(random_masks, tmp_path, name, read):
    root, masks = random_masks
    facts = export_dataset(root, tmp_path / "out", name)
    found = read(tmp_path / "out")
    assert sorted(found) == sorted(masks)
    lost = 0
    for key, expected in masks.items():
        maps = found[key]
        if name == "mask-mp4" and expected.shape[1] == 1:
            maps = maps // 255
        assert np.array_equal(maps, label_map(expected)), key
        lost += sum(int((expected[:, n] & (maps != n + 1)).sum()) for n in range(expected.shape[1]))
    assert facts["hidden_px"] == lost > 0
    print(f"\n{name}: {len(found)} clips equal but for {lost} px of {sum(int(one.sum()) for one in masks.values())}")


@pytest.mark.slow
@pytest.mark.parametrize("name", IMPORTS.names())
def test_exports_come_back_with_the_declared_loss_and_no_other(random_masks, tmp_path, name):
    root, masks = random_masks
    export_dataset(root, tmp_path / "out", name)
    workspace = Workspace(str(tmp_path / "ws"))
    done = import_dataset(tmp_path / "out", workspace, name, fps=8.0 if name == "davis" else 0.0)
    assert done.failed == []
    found = {sample.key: sample.masks().pixels() for sample in MaskVideoDataset(done.root)}
    assert sorted(found) == sorted(masks)
    exact = sum(np.array_equal(found[key], masks[key]) for key in masks)
    if name in ("sa-v", "youtube-vis"):
        assert exact == len(masks)
    for key, expected in masks.items():
        assert np.array_equal(label_map(found[key]), label_map(expected)), key
    print(f"\n{name}: {exact} of {len(masks)} clips with all pixels, the others with those of label maps")
