import re
from pathlib import Path

import numpy as np

from tests.mvideo_core.shards.exports.conftest import OVERLAP_PX, label_map, read_video


def test_datasets_loads_both_splits_by_the_card_alone(exported, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    out, facts = exported("huggingface")
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded) == ["test", "train"]
    for split, rows in loaded.items():
        assert isinstance(rows.features["video"], datasets.Video)
        assert isinstance(rows.features["masks"], datasets.Video)
        rows = rows.cast_column("video", datasets.Video(decode=False)).cast_column(
            "masks", datasets.Video(decode=False)
        )
        assert list(rows["key"]) == [key for key, sample in samples.items() if sample[0] == split]
        for row in rows:
            _, text, labels, frames, masks = samples[row["key"]]
            assert (row["text"], row["fps"], row["labels"]) == (text, 8.0, labels)
            video_id = row["key"].split("_")[0]
            assert (row["source_url"], row["licence"]) == (f"https://video.example/{video_id}", "CC-BY-4.0")
            assert row["end_s"] - row["start_s"] == 1.125
            assert read_video(row["video"]["path"]).shape == frames.shape
            assert np.array_equal(read_video(row["masks"]["path"])[..., 0], label_map(masks))
    assert facts["hidden_px"] == OVERLAP_PX


def test_videofolder_loads_one_split(exported, samples, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    out, _ = exported("huggingface", "train")
    rows = datasets.load_dataset("videofolder", data_dir=str(out / "train"), cache_dir=str(tmp_path / "cache"))["train"]
    assert list(rows["key"]) == [key for key, sample in samples.items() if sample[0] == "train"]
    card = (out / "README.md").read_text()
    assert re.match(
        r"---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train/\*\*\n", card
    )
    assert {Path(one).name for one in out.iterdir() if not one.name.startswith(".")} == {
        "README.md",
        "train",
        "export.json",
    }
