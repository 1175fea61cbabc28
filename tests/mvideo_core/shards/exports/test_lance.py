"""Lance tables, read with pylance; skipped without it, except for the message."""

import importlib.util

import numpy as np
import pytest
from pycocotools import mask as coco

from mvideo_core.base.errors import ModelError
from mvideo_core.shards import MaskVideoDataset
from mvideo_core.shards.export import export_dataset

HAVE_LANCE = importlib.util.find_spec("lance") is not None


@pytest.mark.skipif(HAVE_LANCE, reason="pylance is installed")
def test_without_pylance_the_install_line_comes_first(dataset, tmp_path):
    with pytest.raises(ModelError, match=r"No module named 'lance'; install it with: pip install 'mvideo\[lance\]'"):
        export_dataset(dataset, tmp_path / "out", "lance")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not HAVE_LANCE, reason="pylance is not installed")
def test_tables_keep_every_pixel_and_a_killed_export_resumes(dataset, samples, tmp_path):
    import lance

    class Killed(BaseException):
        pass

    def stop(done, total):
        if done == 3:
            raise Killed

    out = tmp_path / "out"
    with pytest.raises(Killed):
        export_dataset(dataset, out, "lance", "all", stop)
    assert export_dataset(dataset, out, "lance", "all")["hidden_px"] == 0
    assert sorted(one.name for one in out.iterdir() if one.name != ".lock") == [
        "export.json", "test.lance", "train.lance",
    ]  # fmt: skip
    for split in ("train", "test"):
        table = lance.dataset(str(out / f"{split}.lance"))
        rows = table.to_table().to_pylist()
        assert [row["key"] for row in rows] == [key for key, sample in samples.items() if sample[0] == split]
        files = {sample.key: sample.content["mp4"] for sample in MaskVideoDataset(dataset, split)}
        for row in rows:
            _, text, labels, _, masks = samples[row["key"]]
            assert (row["text"], row["labels"], row["fps"], row["licence"]) == (text, labels, 8.0, "CC-BY-4.0")
            size = [row["height"], row["width"]]
            found = [[coco.decode({"size": size, "counts": one}) > 0 for one in frame] for frame in row["masks"]]
            assert np.array_equal(found, masks)
            assert row["video"] == files[row["key"]]
        assert table.take([1], columns=["key"]).to_pylist() == [{"key": rows[1]["key"]}]
