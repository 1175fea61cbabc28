import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

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
        "croissant.json",
        "train",
        "export.json",
    }


def test_croissant_names_the_files_their_digests_and_all_columns(exported):
    out, _ = exported("huggingface")
    facts = json.loads((out / "croissant.json").read_text())
    assert facts["license"] == ["CC-BY-4.0"]
    lists = [one for one in facts["distribution"] if one["@type"] == "cr:FileObject"]
    assert sorted(one["contentUrl"] for one in lists) == ["test/metadata.jsonl", "train/metadata.jsonl"]
    for one in lists:
        assert one["sha256"] == hashlib.sha256((out / one["contentUrl"]).read_bytes()).hexdigest()
    patterns = [one["includes"] for one in facts["distribution"] if one["@type"] == "cr:FileSet"]
    assert sorted(file for one in patterns for file in out.glob(one)) == sorted(out.rglob("*.mp4"))
    for records in facts["recordSet"]:
        row = json.loads((out / records["@id"] / "metadata.jsonl").read_text().splitlines()[0])
        assert [one["name"] for one in records["field"]] == list(row)


def test_mlcroissant_validates_it_and_reads_the_rows(exported, samples):
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    out, _ = exported("huggingface")
    loaded = croissant.Dataset(str(out / "croissant.json"))
    assert not loaded.metadata.ctx.issues.errors
    for split in ("train", "test"):
        rows = list(loaded.records(split))
        assert [row[f"{split}/key"].decode() for row in rows] == [
            key for key, sample in samples.items() if sample[0] == split
        ]
        for row in rows:
            _, text, labels, *_ = samples[row[f"{split}/key"].decode()]
            assert row[f"{split}/text"].decode() == text
            assert [one.decode() for one in row[f"{split}/labels"]] == labels
            assert row[f"{split}/fps"] == 8.0
