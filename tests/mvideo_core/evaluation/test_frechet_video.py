"""Set distances of videos with tiny random networks of the real classes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.compare import compare, find_side
from mvideo_core.evaluation.export import to_csv, to_markdown
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.metrics.frechet_video import (
    BACKGROUND,
    GENERATED,
    SOURCE,
    FrechetVideo,
    FrechetVideoOptions,
    MaskedFrechetVideo,
    MaskedFrechetVideoOptions,
    as_long,
)
from mvideo_core.evaluation.networks.video_features import MEAN, SPREAD, VideoFeatures, load_features
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4


def network(kind: str):
    torch.manual_seed(0)
    if kind == "videomae":
        config = transformers.VideoMAEConfig(
            image_size=32, patch_size=16, num_frames=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16,
        )  # fmt: skip
        return transformers.VideoMAEModel(config)
    config = transformers.VJEPA2Config(
        crop_size=32, patch_size=16, frames_per_clip=4, hidden_size=24, num_hidden_layers=1, num_attention_heads=2,
        mlp_ratio=1.0, pred_hidden_size=24, pred_num_attention_heads=2, pred_num_hidden_layers=1, num_pooler_layers=1,
    )  # fmt: skip
    return transformers.VJEPA2Model(config)


@pytest.fixture(scope="module", params=["videomae", "vjepa2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp(request.param)
    network(request.param).save_pretrained(place)
    return place


def frames(seed: int, n: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (n, 32, 48, 3), np.uint8)


def test_features_are_the_mean_token_of_evenly_spread_frames(folder: Path) -> None:
    """By hand: frames 0, 3, 5 and 8 of 9, as numbers that need no resizing."""
    loaded, sha256 = load_features(folder)
    assert len(sha256) == 64
    whole = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), np.uint8)
    chosen = torch.from_numpy(whole[[0, 3, 5, 8]]).permute(0, 3, 1, 2)[None] / 255
    pixels = (chosen - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(SPREAD).view(3, 1, 1)
    with torch.no_grad():
        if folder.name.startswith("videomae"):
            out = loaded.model(pixel_values=pixels)
        else:
            out = loaded.model(pixel_values_videos=pixels, skip_predictor=True)
    expected = out.last_hidden_state[0].mean(0).numpy()
    assert np.allclose(loaded.of(whole), expected, atol=1e-5)
    assert loaded.of(frames(1, 2)).shape == expected.shape  # fewer frames than wanted, another shape


def test_frames_of_another_number(folder: Path) -> None:
    if folder.name.startswith("videomae"):
        with pytest.raises(ModelError, match="VideoMAE has positions for 4 frames, not 6"):
            load_features(folder, 6)
    else:
        assert load_features(folder, 6)[0].n_frames == 6
        with pytest.raises(ModelError, match="5; must be a multiple of 2"):
            load_features(folder, 5)


def test_absent_or_foreign_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"videomae-base-ssv2"):
        FrechetVideo.load(FrechetVideoOptions())
    with pytest.raises(ModelError, match=r"config\.json: missing"):
        load_features(tmp_path)
    network("videomae").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "timesformer"}))
    with pytest.raises(ModelError, match="model_type 'timesformer'; supported: videomae, vjepa2"):
        load_features(tmp_path)


def test_only_the_masked_region_counts() -> None:
    """Two videos that differ outside the masks only: far apart as a whole, at distance 0 within."""
    loaded = VideoFeatures(network("videomae"))
    one, other = frames(0), frames(1)
    masks = np.zeros((9, 1, 32, 48), np.bool_)
    masks[:, 0, 4:20, 8:30] = True
    other[:, 4:20, 8:30] = one[:, 4:20, 8:30]
    video = EvalVideo.of_arrays(one, masks=encode(masks), source_THWC=other)
    assert FrechetVideo(FrechetVideoOptions(), loaded, "").score(video).value > 0.01
    masked = MaskedFrechetVideo(MaskedFrechetVideoOptions(), loaded, "")
    assert masked.score(video).value == 0
    shown, _ = masked._frames_of(video)
    assert (shown[:, 0, 0] == BACKGROUND).all()
    assert (shown[3, 4:20, 8:30] == one[3, 4:20, 8:30]).all()


@pytest.mark.parametrize(("source_fps", "every"), [(8, 1), (24, 3)])
def test_of_a_longer_source_as_much_counts_as_the_video_lasts(source_fps: int, every: int) -> None:
    """A video of 13 frames that are the first 1.5 s of its source of 5 s: nothing is different, so 0."""
    shown = frames(0, 40)
    source = np.repeat(shown, every, axis=0)
    masks = encode(np.ones((13, 1, 32, 48), np.bool_))
    video = EvalVideo.of_arrays(
        shown[:13], 8, masks=masks, masks_fps=8, source_THWC=source, source_fps=source_fps
    )  # fmt: skip
    loaded = VideoFeatures(network("videomae"))
    for kind, options in ((FrechetVideo, FrechetVideoOptions()), (MaskedFrechetVideo, MaskedFrechetVideoOptions())):
        assert kind(options, loaded, "").score(video).value == pytest.approx(0, abs=1e-6), kind


def test_where_the_source_ends_for_a_video() -> None:
    """By hand: 17 frames at 8 per second end at 2 s, frame 16, 48 or 50 at 8, 24 or 25 per second."""
    source = np.zeros((60, 1, 1, 3), np.uint8)
    assert [len(as_long(source, fps, 17, 8)) for fps in (8, 24, 25)] == [17, 49, 51]
    assert len(as_long(source, 8, 97, 8)) == 60  # a source that is too short is taken whole
    assert len(as_long(source, 24, 60, 8)) == len(as_long(source, 8, 60, 24)) == 60


def test_without_any_mask_there_is_no_region() -> None:
    empty = encode(np.zeros((9, 1, 32, 48), np.bool_))
    video = EvalVideo.of_arrays(frames(0), masks=empty, source_THWC=frames(1))
    with pytest.raises(MediaError, match="all masks are empty"):
        MaskedFrechetVideo(MaskedFrechetVideoOptions(), VideoFeatures(network("videomae")), "").score(video)


def test_a_system_gets_one_number_with_what_it_rests_on(folder: Path, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    items = []
    masks = np.zeros((9, 1, 32, 48), np.bool_)
    masks[:, 0, 4:20, 8:30] = True
    save_masks(videos / "m.masks", encode(masks), 8)
    for n in range(4):
        write_mp4(frames(n), videos / f"source{n}.mp4", 8)
        write_mp4(frames(10 + n) // 2, videos / f"made{n}.mp4", 8)
        for system, file in (("copy", f"source{n}.mp4"), ("other", f"made{n}.mp4")):
            items.append(
                EvalItem(
                    id=f"{n}", system=system, video=file, source_video=f"source{n}.mp4", masks="m.masks", prompt="p"
                )
            )
    write_manifest(items, videos / "manifest.jsonl")
    weights = {"weights": str(folder)}
    suite = SuiteOptions.parse({"metrics": [
        {"metric": "frechet_video", "options": weights},
        {"metric": "masked_frechet_video", "options": weights},
        {"metric": "frechet_video", "as": "jedi", "options": weights | {"distance": "mmd"}},
    ]})  # fmt: skip
    result = run_suite(make_plan(suite, [str(videos)]), tmp_path / "out")
    groups = {group.system: group.metrics for group in result.groups}
    for name in ("frechet_video", "masked_frechet_video", "jedi"):
        same, other = groups["copy"][name], groups["other"][name]
        assert same.mean == pytest.approx(0, abs=1e-6)
        assert other.mean > 1e-4
        assert (other.n, other.low, other.high) == (4, None, None)
        assert other.remark == "4 videos; biased below about 2,000"
        assert result.metrics[name].set_level
    loaded = read_result(tmp_path / "out")
    assert f"{groups['other']['jedi'].mean:.2f} (4 videos; biased below about 2,000)" in to_markdown(result)
    assert "4 videos; biased below" in to_csv(result)
    assert compare(find_side(loaded, "copy"), find_side(loaded, "other")) == []


def test_the_stored_vectors_give_the_number_again(folder: Path) -> None:
    metric = FrechetVideo(FrechetVideoOptions(), *load_features(folder))
    scores = [metric.score(EvalVideo.of_arrays(frames(n), source_THWC=frames(n + 5))) for n in range(3)]
    vectors = [np.frombuffer(one.artifacts[name], "<f4") for one in scores for name in (GENERATED, SOURCE)]
    assert np.array_equal(vectors[0], metric.features.of(frames(0)))
    assert FrechetVideo.of_set(metric.options, scores).value > 0
    few = FrechetVideo.of_set(metric.options, scores[:1])
    assert (few.value, few.remark) == (None, "1 videos; at least 2 required")
