"""overall_consistency: VBench's numbers with the same seeded weights, its preprocessing and sampling by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.overall_consistency import CLIP_MEAN, CLIP_STD, middle_frames, preprocess
from mvideo_core.evaluation.networks.viclip import ViClip, ViclipSizes
from mvideo_core.evaluation.video import EvalVideo
from tests.goldens.vbench_inputs import PROMPTS, VICLIP_SEED, VIDEOS, fill, goldens, video_path

Metric = METRICS.get("overall_consistency")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder laid out as the public one: checkpoint with key "model", gzipped merges, config.json."""
    import gzip

    import torch

    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("viclip")
    merges = goldens()["merges"]
    config = ViclipSizes.TINY | {"vocabulary": 512 + len(merges) + 2}
    network = fill(ViClip(ViclipSizes(**config)), VICLIP_SEED)
    torch.save({"model": network.state_dict()}, place / "ViClip-tiny.pth")
    (place / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress("\n".join(["heading", *merges, ""]).encode()))
    (place / "config.json").write_text(json.dumps(config))
    return place


@pytest.mark.parametrize("name", VIDEOS)
def test_equals_vbench(folder: Path, name: str) -> None:
    metric = Metric.load(Metric.Options(weights=str(folder)))
    for prompt, theirs in zip(PROMPTS, goldens()["overall_consistency"][name], strict=True):
        score = metric.score(EvalVideo(EvalItem(id=name, video=str(video_path(name)), prompt=prompt)))
        assert score.value == pytest.approx(theirs, abs=1e-6), prompt


def test_goldens_tell_prompts_and_videos_apart() -> None:
    """A wrong recipe must be able to show: scores differ by far more than the tolerance."""
    scores = [score for row in goldens()["overall_consistency"].values() for score in row]
    assert min(abs(a - b) for i, a in enumerate(scores) for b in scores[:i]) > 1e-5


@pytest.mark.parametrize("mistake", ["antialias", "bilinear", "no rounding", "crop one pixel off", "first frames"])
def test_a_wrong_recipe_shows(folder: Path, monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """Each of the mistakes one could make moves the score by more than the tolerance of the comparison."""
    import torch
    from torch.nn import functional

    module, right = "mvideo_core.evaluation.metrics.overall_consistency", functional.interpolate
    wrong = {"antialias": {"antialias": True}, "bilinear": {"mode": "bilinear"}}.get(mistake)
    if wrong:
        monkeypatch.setattr(functional, "interpolate", lambda images, **given: right(images, **given | wrong))
    elif mistake == "no rounding":
        monkeypatch.setattr(torch.Tensor, "round", lambda tensor: tensor)
    elif mistake == "first frames":
        monkeypatch.setattr(f"{module}.middle_frames", lambda n_frames, wanted: list(range(wanted)))
    else:
        monkeypatch.setattr(f"{module}.round", lambda value: int(value and round(value) + 1), raising=False)
    metric = Metric.load(Metric.Options(weights=str(folder)))
    score = metric.score(EvalVideo(EvalItem(id="wide", video=str(video_path("wide")), prompt=PROMPTS[0])))
    assert abs(score.value - goldens()["overall_consistency"]["wide"][0]) > 3e-6


def test_long_of_a_video_within_one_clip_equals_short(folder: Path) -> None:
    """17 frames at 8 fps are less than 10 s; with 1 s clips the score is the mean of frames 0-7, 8-15 and 9-16."""
    item = EvalItem(id="wide", video=str(video_path("wide")), prompt=PROMPTS[0])
    short = Metric.load(Metric.Options(weights=str(folder)))
    long = Metric.load(Metric.Options(weights=str(folder), protocol="long"))
    assert long.score(EvalVideo(item)).value == short.score(EvalVideo(item)).value
    frames = EvalVideo(item).frames_THWC
    parts = [short.score(EvalVideo.of_arrays(frames[start : start + 8], 8.0, item)).value for start in (0, 8, 9)]
    cut = Metric.load(Metric.Options(weights=str(folder), protocol="long", clip_s=1)).score(EvalVideo(item))
    assert cut.value == pytest.approx(np.mean(parts), abs=1e-9)


@pytest.mark.parametrize(
    ("n_frames", "wanted"),
    [
        (49, [2, 8, 14, 20, 26, 32, 38, 45]),
        (97, [5, 17, 29, 41, 53, 65, 77, 90]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (6, [0, 1, 2, 3, 4, 5, 5, 5]),
        (1, [0] * 8),
    ],
)
def test_middle_frames(n_frames: int, wanted: list[int]) -> None:
    """49 frames: edges 0 6 12 18 24 30 36 42 49, so parts 0-5 ... 36-41 and 42-48; the middle, rounded down."""
    assert middle_frames(n_frames, 8) == wanted


def test_preprocessing_of_a_flat_frame_and_its_crop() -> None:
    """480 x 720 -> 224 x 336, columns 56 to 279 stay: a frame black left of column 360 is split in the middle."""
    frame = np.zeros((1, 480, 720, 3), np.uint8)
    frame[:, :, 360:] = 255
    image = preprocess(frame, 224)[0].numpy()
    black = [-mean / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    white = [(1 - mean) / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
    assert image.shape == (3, 224, 224)
    np.testing.assert_allclose(image[:, 100, 100], black, rtol=1e-5)
    np.testing.assert_allclose(image[:, 100, 124], white, rtol=1e-5)
    assert (image[0, 0] < 0).sum() == 112


def test_public_checkpoint_fits() -> None:
    """Names and shapes of the full network are those of VBench's ViCLIP, whose checkpoint is the public file."""
    import hashlib

    one_layer = ViClip(ViclipSizes(vision_layers=1, text_layers=1)).state_dict()
    shapes = {}
    for name, value in one_layer.items():
        n_layers = 24 if name.startswith("vision") else 12
        for layer in range(n_layers if ".resblocks.0." in name else 1):
            shapes[name.replace(".resblocks.0.", f".resblocks.{layer}.")] = list(value.shape)
    assert len(shapes) == 447
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == pytest.approx(427.6e6, rel=1e-3)
    lines = sorted(f"{name} {shape}" for name, shape in shapes.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == goldens()["viclip_l14_names_sha256"]


def test_only_the_first_32_tokens_count(folder: Path) -> None:
    """30 words of one token each, and what comes behind them; a change within them shows."""
    metric = Metric.load(Metric.Options(weights=str(folder)))

    def score(prompt: str) -> float:
        item = EvalItem(id="tall", video=str(video_path("tall")), prompt=prompt)
        return metric.score(EvalVideo(item)).value

    assert score("a " * 30 + "red disc") == score("a " * 30 + "gray field, twice")
    assert score("a " * 29 + "b red disc") != score("a " * 30 + "red disc")


def test_no_prompt_is_a_bad_item(folder: Path) -> None:
    metric = Metric.load(Metric.Options(weights=str(folder)))
    with pytest.raises(MediaError, match="prompt"):
        metric.score(EvalVideo(EvalItem(id="wide", video=str(video_path("wide")))))


def test_absent_weights_say_where_they_come_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        Metric.load(Metric.Options())
    for part in ("ViClip-InternVid-10M-FLT.pth", "huggingface.co/OpenGVLab", "mvideo weights fetch viclip-l-14"):
        assert part in str(caught.value)


def test_weights_of_another_size_are_refused(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | {"vision_layers": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"12 missing .*resblocks\.2"):
        Metric.load(Metric.Options(weights=str(tmp_path)))
