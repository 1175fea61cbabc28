"""Each trainer's files, read by the keys and paths that its documentation names."""

import csv
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.mvideo_core.shards.exports.conftest import read_video


@pytest.fixture
def check(samples):
    """Compares a clip, a white-on-black control video and a caption with the dataset's."""

    def compare(video, control, text):
        _, caption, _, frames, masks = samples[Path(video).stem]
        assert read_video(video).shape == frames.shape
        shown = read_video(control)
        assert set(np.unique(shown).tolist()) == {0, 255}
        assert np.array_equal(shown == 255, np.repeat(masks.any(axis=1)[..., None], 3, axis=3))
        assert text == caption

    return compare


def keys_of(samples, split):
    return [key for key, sample in samples.items() if sample[0] == split]


@pytest.mark.parametrize("split", ["train", "test"])
def test_videox_fun(exported, samples, check, split):
    folder = exported("videox-fun")[0] / split
    rows = json.loads((folder / "metadata.json").read_text())
    assert [Path(row["file_path"]).stem for row in rows] == keys_of(samples, split)
    for row in rows:
        assert (row["type"], row["width"], row["height"]) == ("video", 48, 32)
        check(folder / row["file_path"], folder / row["control_file_path"], row["text"])


@pytest.mark.parametrize("split", ["train", "test"])
def test_diffsynth(exported, samples, check, split):
    folder = exported("diffsynth")[0] / split
    with (folder / "metadata.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [Path(row["video"]).stem for row in rows] == keys_of(samples, split)
    for row in rows:
        check(folder / row["video"], folder / row["vace_video_mask"], row["prompt"])
        masks = samples[Path(row["video"]).stem][4].any(axis=1)
        shown, frames = (
            read_video(folder / row["vace_video"]).astype(int),
            samples[Path(row["video"]).stem][3].astype(int),
        )
        assert np.abs(shown[masks] - 128).mean() < 12  # lossy video of small, hard edges
        assert np.abs(shown - frames)[~masks].mean() < 8


@pytest.mark.parametrize("split", ["train", "test"])
def test_musubi_tuner(exported, samples, check, split):
    folder = exported("musubi-tuner")[0] / split
    settings = tomllib.loads((folder / "dataset.toml").read_text())
    assert settings["general"]["resolution"] == [48, 32]
    (one,) = settings["datasets"]
    # nine frames are 4 * 2 + 1
    assert (one["target_frames"], one["frame_extraction"]) == ([9], "head")
    assert "source_fps" not in one  # frames would be dropped, and nine no longer be left
    assert one["cache_directory"]
    rows = [json.loads(line) for line in Path(one["video_jsonl_file"]).read_text().splitlines()]
    assert [Path(row["video_path"]).stem for row in rows] == keys_of(samples, split)
    for row in rows:
        check(row["video_path"], row["control_path"], row["caption"])


@pytest.mark.parametrize("split", ["train", "test"])
def test_diffusion_pipe(exported, samples, split):
    folder = exported("diffusion-pipe")[0] / split
    settings = tomllib.loads((folder / "dataset.toml").read_text())
    assert settings["resolutions"] == [[48, 32]]
    assert settings["frame_buckets"] == [1, 9]
    (directory,) = settings["directory"]
    assert directory["num_repeats"] == 1
    videos = sorted(Path(directory["path"]).glob("*.mp4"))
    assert [one.stem for one in videos] == sorted(keys_of(samples, split))
    for video in videos:
        assert video.with_suffix(".txt").read_text() == samples[video.stem][1]
        assert read_video(video).shape == samples[video.stem][3].shape


@pytest.mark.parametrize("split", ["train", "test"])
def test_diffusers(exported, samples, split):
    folder = exported("diffusers")[0] / split
    videos = (folder / "videos.txt").read_text().splitlines()
    prompts = (folder / "prompts.txt").read_text().splitlines()
    assert [Path(video).stem for video in videos] == keys_of(samples, split)
    for video, prompt in zip(videos, prompts, strict=True):
        assert read_video(folder / video).shape == samples[Path(video).stem][3].shape
        assert prompt == samples[Path(video).stem][1]
