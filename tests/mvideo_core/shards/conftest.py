"""A small real dataset: drawn clips, drawn masks, rows as the stages write them."""

import hashlib

import numpy as np
import pytest

from mvideo_core.base.records import Blob, CaptionRow, ClipRow, MaskRow, ObjectStats, ShardPlanRow, VideoRow
from mvideo_core.masks.codec import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.shards import (
    Candidate,
    FileEntry,
    ShardEntry,
    ShardOptions,
    data_card,
    dataset_info,
    info_bytes,
    plan_sample,
    plan_shards,
    sample_bytes,
    shard_path,
    write_index,
    write_shard,
)

T, H, W = 9, 32, 48


class Drawn:
    """Triplets of a few videos with two clips each, their files in one folder.

    `keeps_both` says by the tint of a clip whether its second object is kept; if so, it is gone in the last frame.
    """

    def __init__(self, folder, n_videos, keeps_both=lambda tint: False):
        self.folder = folder
        self.keeps_both = keeps_both
        self.samples = {}
        for video in range(n_videos):
            for clip in range(2):
                sample = self._sample(f"v{video:02d}", f"v{video:02d}_{clip:06d}", video * 10 + clip)
                self.samples[sample.key] = sample

    def _sample(self, video_id, key, tint):
        frames = np.full((T, H, W, 3), tint, np.uint8)
        masks_TNHW = np.zeros((T, 2, H, W), np.bool_)
        for t in range(T):
            frames[t, 8:16, 4 + 4 * t : 12 + 4 * t] = (250, 40, 40)
            masks_TNHW[t, 0, 8:16, 4 + 4 * t : 12 + 4 * t] = True
            masks_TNHW[t, 1, 12:20, 0:16] = t < T - 1 or not self.keeps_both(tint)
        write_mp4(frames, self.folder / f"{key}.mp4", 8)
        (self.folder / f"{key}.masks").write_bytes(encode(masks_TNHW).to_bytes())
        source = {"source_sha256": f"{tint // 10:064d}", "source_url": f"https://video.example/{video_id}"}
        clip = ClipRow(
            key=key, parent=video_id, fps=8.0, n_frames=T, width=W, height=H, start_s=tint % 10,
            end_s=tint % 10 + 1.125, clip=self.blob(f"{key}.mp4"), licence="CC-BY-4.0", **source,
        )  # fmt: skip
        why = {"drop_reason": "rarely_visible", "drop_value": 0.1, "drop_threshold": 0.3} if tint % 30 else {}
        names = [("dog", True), ("clock" if tint % 20 else "tiger", self.keeps_both(tint))]
        stats = [
            ObjectStats(
                object_id=n, label=label, detection_score=0.9, mask_score=0.9, visible_frac=1.0, mean_area_frac=0.1,
                drift=0.0, kept=kept, **({} if kept else why),
            )
            for n, (label, kept) in enumerate(names)
        ]  # fmt: skip
        masks = MaskRow(
            key=key, parent=key, masks=self.blob(f"{key}.masks"), objects=stats, n_frames=T, width=W, height=H
        )
        text = f"A dog moves to the right in clip {key}."
        caption = CaptionRow(key=key, parent=key, text=text, captioner="motion", model="motion-1")
        return plan_sample(clip, masks, caption, VideoRow(key=video_id, title="a dog", width=96, height=64, fps=24.0))

    def blob(self, name):
        content = (self.folder / name).read_bytes()
        return Blob(path=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))

    def open_blob(self, blob):
        return (self.folder / blob.path).open("rb")

    def plans(self, options):
        candidates = [
            Candidate(
                one.key, one.video_id, "", "", 0.0, 0.0, (*one.labels, one.caption), sample_bytes(one)
            )
            for one in self.samples.values()
        ]  # fmt: skip
        plan = plan_shards(candidates, options)
        rows = [
            ShardPlanRow(key=one.name, split=one.split, samples=[self.samples[key] for key in one.keys])
            for one in plan.shards
        ]
        return plan, rows

    def write(self, root, options):
        """The whole dataset, as the shard stage writes it."""
        plan, rows = self.plans(options)
        shards = []
        for row in rows:
            path = shard_path(row.key, row.split)
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with (root / path).open("wb") as out:
                written = write_shard(row, self.open_blob, out)
            shards.append(ShardEntry(**entry(root, path).model_dump(), split=row.split, samples=len(written.samples)))
        with (root / "index.parquet").open("wb") as out:
            totals = write_index(rows, out)
        excluded = {}
        for one in plan.excluded:
            excluded[one.reason] = excluded.get(one.reason, 0) + 1
        info = dataset_info(totals, shards, entry(root, "index.parquet"), excluded, options, "Drawn dogs")
        (root / "dataset.json").write_bytes(info_bytes(info))
        (root / "README.md").write_text(data_card(info, "CC-BY-4.0, drawn for tests"))
        return info


def entry(root, path):
    content = (root / path).read_bytes()
    return FileEntry(path=path, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    return Drawn(tmp_path_factory.mktemp("blobs"), n_videos=11)


@pytest.fixture(scope="session")
def written(drawn, tmp_path_factory):
    """(root, info) of 22 samples; about a third of the videos in the test split."""
    root = tmp_path_factory.mktemp("dataset")
    return root, drawn.write(root, ShardOptions(samples_per_shard=4, test_frac=0.3, split_seed=5))
