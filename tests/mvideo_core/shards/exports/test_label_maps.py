import json

import numpy as np
import pytest

from mvideo_core.shards import MaskVideoDataset
from tests.mvideo_core.shards.exports.conftest import BOTH, OVERLAP_PX, label_map, read_video


def rows(out, split):
    return [json.loads(line) for line in (out / split / "metadata.jsonl").read_text().splitlines()]


def test_gray_video_has_the_listed_value_for_each_object(exported, samples):
    out, facts = exported("mask-mp4")
    for split in ("train", "test"):
        for row in rows(out, split):
            _, text, labels, frames, masks = samples[row["video"].removeprefix("videos/").removesuffix(".mp4")]
            read = read_video(out / split / row["masks"])
            assert np.array_equal(read[..., 0], read[..., 2])
            expected = label_map(masks) * (255 if len(labels) == 1 else 1)
            assert np.array_equal(read[..., 0], expected)
            assert [one["value"] for one in row["objects"]] == ([255] if len(labels) == 1 else [1, 2])
            assert [one["label"] for one in row["objects"]] == labels
            assert row["text"] == text
            assert row["source"]["url"].startswith("https://video.example/v0")
            assert len(read_video(out / split / row["video"])) == len(frames)
    assert facts["hidden_px"] == OVERLAP_PX


def test_numpy_reads_the_label_maps(exported, samples):
    out, facts = exported("npz")
    for split in ("train", "test"):
        for row in rows(out, split):
            _, text, labels, _, masks = samples[row["video"].removeprefix("videos/").removesuffix(".mp4")]
            with np.load(out / split / row["masks"]) as read:
                assert read.files == ["arr_0"]
                assert np.array_equal(read["arr_0"], label_map(masks))
            assert (row["text"], row["labels"], row["fps"]) == (text, labels, 8.0)
    assert facts["hidden_px"] == OVERLAP_PX


@pytest.mark.parametrize("name", ["mask-mp4", "npz", "sa-v"])
def test_the_clip_is_copied_unchanged(exported, dataset, samples, name):
    out, _ = exported(name, samples[BOTH][0])
    for sample in MaskVideoDataset(dataset, samples[BOTH][0]):
        copies = list(out.rglob(f"{sample.key}.mp4"))
        assert sample.content["mp4"] in [one.read_bytes() for one in copies]
