import io
import json
import os
import re
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.options import SHOWN, digest
from mvideo_core.shards import (
    DatasetInfo,
    MaskVideoDataset,
    ShardEntry,
    ShardOptions,
    files,
    info_bytes,
    verify_dataset,
)
from mvideo_core.shards.card import dataset_digest
from mvideo_core.shards.tar_format import add_member, open_tar
from tests.mvideo_core.shards.conftest import H, T, W, entry


def test_two_builds_give_the_same_files(drawn, written, tmp_path):
    root, info = written
    again = drawn.write(tmp_path, ShardOptions(samples_per_shard=4, test_frac=0.3, split_seed=5))
    assert again.digest == info.digest
    for path in sorted(one.relative_to(root) for one in root.rglob("*") if one.is_file()):
        assert (root / path).read_bytes() == (tmp_path / path).read_bytes(), path


def test_description_counts_what_is_there(written):
    root, info = written
    assert sum(split.samples for split in info.splits.values()) == 22
    assert sum(split.videos for split in info.splits.values()) == 11
    assert info.splits["train"].frames == info.splits["train"].samples * T
    assert info.splits["test"].samples > 0
    # 9 frames at 8 fps are 1.125 s
    assert info.splits["train"].hours == pytest.approx(info.splits["train"].samples * 1.125 / 3600, abs=1e-6)
    assert info.splits["train"].labels == {"dog": info.splits["train"].samples}
    assert json.loads((root / "dataset.json").read_text())["options"]["samples_per_shard"] == 4


def test_the_license_of_the_dataset_is_stored_and_read_under_its_former_name_too():
    """So that parts, dataset.json and `mvideo forget` of a workspace from before the new name stay what they are."""
    options = ShardOptions(license="CC0")
    assert options.model_dump()["licence"] == options.model_dump(context=SHOWN)["license"] == "CC0"
    assert ShardOptions.parse(options.model_dump()) == ShardOptions.parse({"license": "CC0"}) == options
    assert digest(ShardOptions()) == "1e1322a134c330ca4f48bb94b0457fd1dd4f95b3f93dbc7799a42c8fadb04eb9"


def test_card_has_license_classes_and_front_matter(written):
    card = (written[0] / "README.md").read_text()
    assert card.startswith(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train/*.tar"
    )
    assert "CC-BY-4.0, drawn for tests" in card
    assert "| CC-BY-4.0 | 22 |" in card
    assert "| motion / motion-1 | 22 |" in card


def test_samples_come_back_whole(drawn, written):
    dataset = MaskVideoDataset(written[0], "train")
    for index in (0, len(dataset) - 1):
        sample = dataset[index]
        planned = drawn.samples[sample.key]
        assert sample.text == planned.caption
        assert sample.meta()["key"] == sample.key
        assert sample.frames().shape == (T, H, W, 3)
        masks = sample.masks()
        assert masks.shape == (T, 2, H, W)
        assert masks.mask(3, 0).sum() == 64  # an 8x8 square
        assert masks.mask(3, 0)[8:16, 16:24].all()
        assert masks.mask(3, 1).sum() == 128
    red = dataset[0].frames()[3, 10, 18]
    assert red[0] > 180
    assert red[2] < 110


def test_only_the_members_asked_for_are_read(written):
    sample = MaskVideoDataset(written[0], "test", members=["txt", "masks"])[0]
    assert sorted(sample.content) == ["masks", "txt"]
    with pytest.raises(ConfigError, match=r"\.mp4 was not requested"):
        sample.frames()


def test_splits_share_no_video(written):
    videos = {
        split: {key.split("_")[0] for key in MaskVideoDataset(written[0], split).keys} for split in ("train", "test")
    }
    assert not videos["train"] & videos["test"]


def test_filter_by_label(written):
    assert len(MaskVideoDataset(written[0], labels=["dog"])) == len(MaskVideoDataset(written[0]))
    assert len(MaskVideoDataset(written[0], labels=["clock"])) == 0  # that object was not kept


def test_memory_file_system_and_damage(written):
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.put(str(written[0]), "/shards-under-test", recursive=True)
    local, remote = MaskVideoDataset(written[0]), MaskVideoDataset("memory://shards-under-test")
    assert remote[3] == local[3]
    assert verify_dataset("memory://shards-under-test", deep=True) == []
    fs.pipe_file("/shards-under-test/dataset.json", b"{}")
    with pytest.raises(StoreError, match="not a description"):
        MaskVideoDataset("memory://shards-under-test")
    fs.rm("/shards-under-test", recursive=True)


def test_unknown_split_and_member_are_named(written):
    with pytest.raises(ConfigError, match=r"no split 'val'; it has: "):
        MaskVideoDataset(written[0], "val")
    with pytest.raises(ConfigError, match="no member flac"):
        MaskVideoDataset(written[0], members=["flac"])
    with pytest.raises(ConfigError, match="no members are requested"):
        MaskVideoDataset(written[0], members=())
    with pytest.raises(StoreError, match="no dataset there"):
        MaskVideoDataset(written[0] / "absent")


def test_open_files_are_few(written):
    dataset = MaskVideoDataset(written[0])
    before = len(os.listdir("/proc/self/fd"))
    for index in range(len(dataset)):
        dataset[index]
    assert len(os.listdir("/proc/self/fd")) - before <= 16


def test_verify_finds_each_kind_of_damage(written, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(written[0], root)
    assert verify_dataset(str(root), deep=True) == []
    shard = root / "train" / "train-000000.tar"
    whole = shard.read_bytes()

    middle = MaskVideoDataset(root, members=["mp4"])
    at = int(middle._starts[0][0]) + 40
    shard_of_first = root / middle._shard_names[middle._shards[0]]
    damaged = bytearray(shard_of_first.read_bytes())
    damaged[at] ^= 1
    shard_of_first.write_bytes(bytes(damaged))
    assert verify_dataset(str(root)) == []  # sizes and structure are unchanged
    found = verify_dataset(str(root), deep=True)
    assert [one.what for one in found] == [
        "its SHA-256 is not the one in dataset.json", ".mp4: its SHA-256 is not the one in the index",
    ]  # fmt: skip
    assert found[1].key == middle.keys[0]

    shard.write_bytes(whole[:-5000])
    assert "bytes recorded" in verify_dataset(str(root))[0].what
    shard.unlink()
    assert verify_dataset(str(root))[0].what.startswith("missing")
    (root / "index.parquet").write_bytes(b"PAR1")
    assert "not a readable index" in verify_dataset(str(root))[0].what
    (root / "dataset.json").unlink()
    assert "no dataset there" in verify_dataset(str(root))[0].what


def test_verify_finds_a_leak_across_the_split(written, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "copy"
    shutil.copytree(written[0], root)
    table = pq.read_table(root / "index.parquet")
    videos = np.array(table.column("video_id").to_pylist(), dtype=object)
    videos[:] = "v00"
    at = table.column_names.index("video_id")
    pq.write_table(table.set_column(at, "video_id", pa.array(videos)), root / "index.parquet")
    words = [one.what for one in verify_dataset(str(root))]
    assert "clips of source video v00 are in test and train" in words
    assert "its SHA-256 is not the one in dataset.json" in words


def test_deep_verification_finds_samples_that_webdataset_cannot_put_together(written, tmp_path):
    """Every offset and digest is right, but the members of a sample are not next to each other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "copy"
    shutil.copytree(written[0], root)
    path = "train/train-000000.tar"
    with tarfile.open(root / path) as tar:
        members = [(one.name, tar.extractfile(one).read()) for one in tar]
    places = {}
    with (root / path).open("wb") as out, open_tar(out) as tar:
        for name, content in sorted(members, key=lambda one: one[0].split(".")[1]):
            places[name] = add_member(tar, name, io.BytesIO(content), len(content))
    table = pq.read_table(root / "index.parquet")
    rows = table.to_pylist()
    for row in [one for one in rows if one["shard"] == path]:
        row |= {f"{e}_offset_bytes": places[f"{row['key']}.{e}"] for e in ("json", "masks", "mp4", "txt")}
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), root / "index.parquet")
    info = DatasetInfo.model_validate_json((root / "dataset.json").read_bytes())
    shards = [
        ShardEntry(**entry(root, path).model_dump(), split=one.split, samples=one.samples) if one.path == path else one
        for one in info.shards
    ]
    changes = {"shards": shards, "digest": dataset_digest(shards), "index": entry(root, "index.parquet")}
    (root / "dataset.json").write_bytes(info_bytes(info.model_copy(update=changes)))
    assert verify_dataset(str(root)) == []
    (problem,) = verify_dataset(str(root), deep=True)
    assert problem.path == path
    assert "lacks .masks" in problem.what


def test_plain_webdataset_reads_it(drawn, written):
    import webdataset as wds

    root, info = written
    paths = [str(root / shard.path) for shard in info.shards if shard.split == "train"]
    seen = {}
    for sample in wds.WebDataset(paths, shardshuffle=False):
        seen[sample["__key__"]] = sample
    assert sorted(seen) == sorted(MaskVideoDataset(root).keys)
    for key, sample in seen.items():
        assert sample["txt"].decode() == drawn.samples[key].caption
        assert sample["masks"] == drawn.open_blob(drawn.samples[key].masks).read()
        assert json.loads(sample["json"])["key"] == key


def test_hugging_face_datasets_reads_it(drawn, written, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    root, _ = written
    files = {"train": str(root / "train" / "*.tar"), "test": str(root / "test" / "*.tar")}
    loaded = datasets.load_dataset("webdataset", data_files=files, streaming=True, cache_dir=str(tmp_path))
    keys = []
    for sample in loaded["train"].decode(False):
        keys.append(sample["__key__"].rsplit("/", 1)[-1])
        planned = drawn.samples[keys[-1]]
        assert sample["txt"] == planned.caption
        assert sample["mp4"]["bytes"] == drawn.open_blob(planned.clip).read()
        assert sample["masks"] == drawn.open_blob(planned.masks).read()
    assert sorted(keys) == sorted(MaskVideoDataset(root).keys)


def test_the_cards_front_matter_gives_hugging_face_both_splits(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    root, info = written
    loaded = datasets.load_dataset(str(root), streaming=True, cache_dir=str(tmp_path))
    assert sorted(loaded) == ["test", "train"]
    assert len(list(loaded["test"].select_columns(["txt"]))) == info.splits["test"].samples


def test_every_snippet_of_the_card_reads_the_whole_split(written, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(written[0])
    root, info = written
    snippets = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    assert len(snippets) == 3
    assert info.splits["train"].shards > 1
    for snippet in snippets:
        found = {}
        exec(snippet, found)
        samples = found["samples"]
        seen = samples.keys if isinstance(samples, MaskVideoDataset) else [one["__key__"] for one in samples]
        assert len(seen) == info.splits["train"].samples, snippet


def test_json_members_all_have_the_same_fields(written, tmp_path, monkeypatch):
    """Some objects were dropped, some kept: readers that take types from the first samples can read all."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    root, info = written
    loaded = datasets.load_dataset(str(root), split="train", cache_dir=str(tmp_path))
    reasons = {one["drop_reason"] for sample in loaded.select_columns(["json"]) for one in sample["json"]["objects"]}
    assert len(loaded) == info.splits["train"].samples
    assert reasons == {"", "rarely_visible"}


def test_verify_finds_lost_and_doubled_index_rows(written, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "copy"
    shutil.copytree(written[0], root)
    table = pq.read_table(root / "index.parquet")
    pq.write_table(pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 4)]), root / "index.parquet")
    found = verify_dataset(str(root))
    first, lost = table["key"][0].as_py(), table["key"][table.num_rows - 1].as_py()
    assert ("index.parquet", first, "the key occurs 2 times") in found
    assert any(one.key == f"{lost}.mp4" and one.what == "a member that is not in the index" for one in found)
    splits = table["split"].to_pylist()
    seen = (splits[:1] + splits[:-4]).count("train")  # one row doubled, the last four lost
    assert seen != splits.count("train")
    words = f"{seen} samples of split train, dataset.json says {splits.count('train')}"
    assert words in [one.what for one in found]


def test_threads_do_not_close_what_others_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_OPEN", 1)
    for n in range(3):
        (tmp_path / str(n)).write_bytes(bytes([n]) * 1000)
    root = files.DatasetFiles(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda n: root.read_range(str(n % 3), 10, 500), range(3000)))
    assert all(content == bytes([n % 3]) * 500 for n, content in enumerate(read))
