"""The commands, over a small written dataset."""

import hashlib
import io
import json

import pytest
import typer
from typer.testing import CliRunner

from mvideo_core.cli import testset
from mvideo_core.records import Blob, PlannedSample, ShardPlanRow
from mvideo_core.shards import (
    FileEntry,
    ShardEntry,
    ShardOptions,
    dataset_info,
    info_bytes,
    shard_path,
    write_index,
    write_shard,
)
from mvideo_core.testsets import read_test_set

CONTENT = b"not decoded here"


def sample(key, video, label, caption):
    blob = Blob(path="b", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT))
    meta = {
        "key": key, "n_frames": 97, "fps": 8.0, "source": {"video_id": video, "sha256": f"sha-{video}"},
        "objects": [{"object_id": 0, "label": label, "kept": True}],
    }  # fmt: skip
    return PlannedSample(
        key=key, video_id=video, clip=blob, masks=blob, caption=caption, labels=[label], n_frames=97,
        meta_json=json.dumps(meta),
    )  # fmt: skip


def write(root, *samples):
    plan, path = (
        ShardPlanRow(key="train-000000", split="train", samples=list(samples)),
        shard_path("train-000000", "train"),
    )
    (root / "train").mkdir(parents=True)
    with (root / path).open("wb") as out:
        size = write_shard(plan, lambda blob: io.BytesIO(CONTENT), out).size_bytes
    with (root / "index.parquet").open("wb") as out:
        totals = write_index([plan], out)
    entry = ShardEntry(path=path, size_bytes=size, sha256="0", split="train", samples=len(samples))
    index = FileEntry(path="index.parquet", size_bytes=0, sha256="0")
    (root / "dataset.json").write_bytes(info_bytes(dataset_info(totals, [entry], index, {}, ShardOptions(), "t")))
    return str(root)


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    testset.add_to(app)

    def call(*arguments):
        result = CliRunner().invoke(app, ["testset", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_mask_to_video(run, tmp_path):
    offered = write(
        tmp_path / "offered", sample("a_0", "a", "tiger", "A tiger runs."),
        sample("b_0", "b", "deer", "A stag stands."), sample("c_0", "c", "dog", "A dog runs."),
    )  # fmt: skip
    train = write(tmp_path / "train", sample("a_5", "a", "dog", "A dog runs."))
    said = run("mask-to-video", "--dataset", offered, "--train", train)
    chosen = read_test_set("mask-to-video-test.json")
    assert [one.key for one in chosen.samples] == ["b_0"]  # "stag" is one of the card's words for deer
    assert chosen.left_out == {"in_training": 1, "no_unseen_object": 1}
    assert "1 of 500 samples" in said
    assert (tmp_path / "held-out.txt").read_text().splitlines()[1:] == ["a", "b", "sha-a", "sha-b"]


def test_complexmotion(run, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "flip.mp4").write_bytes(b"x")
    said = run("complexmotion-list", "--folder", "videos")
    assert 'detect: {"classes": ["person"]}' in said
    dataset = write(tmp_path / "data", sample("flip_0", "flip", "person", "A person flips."))
    assert "1 of 200 samples" in run("complexmotion", "--dataset", dataset, "--manifest", "complexmotion.jsonl")


def test_vbench(run, tmp_path):
    entries = [{"prompt_en": f"p{n}", "dimension": ["overall_consistency"]} for n in range(3)]
    (tmp_path / "info.json").write_text(json.dumps(entries))
    assert "3 of 3 prompts (100 wanted)" in run("vbench", "--full-info", "info.json")
    assert [one["prompt"] for one in json.loads((tmp_path / "vbench-prompts.json").read_text())["prompts"]] == [
        "p0", "p1", "p2",
    ]  # fmt: skip
