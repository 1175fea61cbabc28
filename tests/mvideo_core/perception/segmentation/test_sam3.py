import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.perception.segmentation.sam3 import (
    Sam3Options,
    Sam3Segmenter,
    match_by_total_iou,
    normalize_frame,
    tiny_config,
    tiny_tokenizer,
)
from tests.mvideo_core.perception.segmentation.test_sam2_video import BOXES, HEIGHT, WIDTH, moving_squares


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def segmenter() -> Sam3Segmenter:
    return Sam3Segmenter.tiny(seed=3)


def build(options: Sam3Options, **config: object) -> Sam3Segmenter:
    from transformers import Sam3VideoModel

    torch.manual_seed(5)
    settings = tiny_config(n_queries=1)
    for name, value in config.items():
        setattr(settings, name, value)
    return Sam3Segmenter(Sam3VideoModel(settings), tiny_tokenizer(), options)


@pytest.mark.parametrize(
    ("n_frames", "config"),
    [
        (3, {"recondition_every_nth_frame": 0}),
        (9, {"recondition_every_nth_frame": 0}),
        # The detector confirms the track on frames 2, 4, 6: no more than the memory holds.
        (8, {"recondition_every_nth_frame": 2, "high_conf_thresh": 0.0, "high_iou_thresh": 0.0}),
    ],
)
def test_equals_transformers_with_the_whole_clip_in_memory(n_frames, config):
    """One query gives one object, so that no object is left out."""
    from transformers import Sam3VideoInferenceSession

    ours = build(Sam3Options(phrases=["dog"], match_iou=0), **config)
    frames = moving_squares(n_frames)
    got = list(ours.propagate(iter(frames), HEIGHT, WIDTH, BOXES[:1]))
    pixels = torch.cat([normalize_frame(frame, 112, "cpu") for frame in frames])
    stock = Sam3VideoInferenceSession(video=pixels, video_height=HEIGHT, video_width=WIDTH, dtype=torch.float32)
    text = ours.tokenizer("dog", padding="max_length", max_length=32, return_tensors="pt")
    number = stock.add_prompt("dog")
    stock.prompt_input_ids[number], stock.prompt_attention_masks[number] = text.input_ids, text.attention_mask
    for t, mine in enumerate(got):
        ours.model.new_det_thresh = 0.0 if t == 0 else 2.0
        out = ours.model(stock, frame=pixels[t][None], frame_idx=t)
        logits = torch.nn.functional.interpolate(out.obj_id_to_mask[0][None], size=(HEIGHT, WIDTH), mode="bilinear")
        np.testing.assert_array_equal(mine.masks_NHW[0], (logits[0, 0] > 0).numpy())
        assert 0 <= mine.scores_N[0] <= out.obj_id_to_tracker_score[0] + 1e-6
    assert len(got) == n_frames
    assert any(0 < one.masks_NHW.mean() < 1 for one in got)


def test_masks_are_in_the_order_of_the_boxes(segmenter):
    session = segmenter._session(4, 4, 1)
    left = torch.tensor([[1.0, -1.0]]).repeat_interleave(2, 1).repeat(4, 1)[None, None]
    got = segmenter._frame_masks(session, {7: (left, 0.5), 3: (-left, 0.25), 5: (-left.abs(), 0.9)}, [3, None, 7, 5])
    assert got.masks_NHW[:, 0].tolist() == [
        [False, False, True, True],
        [False] * 4,
        [True, True, False, False],
        [False] * 4,
    ]
    assert got.scores_N.tolist() == [0.25, 0, 0.5, 0]  # no score for an empty mask


def test_the_same_twice(segmenter):
    frames = moving_squares(6)
    first, second = (list(segmenter.propagate(frames, HEIGHT, WIDTH, BOXES)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert a.masks_NHW.shape == (3, HEIGHT, WIDTH)
        assert a.masks_NHW.dtype == np.bool_
        np.testing.assert_array_equal(a.masks_NHW, b.masks_NHW)
        np.testing.assert_array_equal(a.scores_N, b.scores_N)
    assert any((one.masks_NHW[0] != one.masks_NHW[1]).any() for one in first)


def test_clips_in_step_equal_clips_one_by_one(segmenter):
    first, second = moving_squares(7), moving_squares(7)[::-1]
    alone = [list(segmenter.propagate(frames, HEIGHT, WIDTH, BOXES)) for frames in (first, second)]
    streams = [segmenter.propagate(frames, HEIGHT, WIDTH, BOXES) for frames in (first, second)]
    for t, pair in enumerate(zip(*streams, strict=True)):
        for clip, masks in enumerate(pair):
            np.testing.assert_array_equal(masks.masks_NHW, alone[clip][t].masks_NHW)
            np.testing.assert_array_equal(masks.scores_N, alone[clip][t].scores_N)


def test_a_box_without_an_object_stays_empty():
    ours = build(Sam3Options(phrases=["dog"], match_iou=0))
    got = list(ours.propagate(moving_squares(3), HEIGHT, WIDTH, BOXES))  # three boxes, one object
    empty = [[not one.masks_NHW[n].any() and one.scores_N[n] == 0 for one in got] for n in range(3)]
    assert sum(all(row) for row in empty) == 2
    strict = build(Sam3Options(phrases=["dog"], match_iou=1))
    for one in strict.propagate(moving_squares(3), HEIGHT, WIDTH, BOXES):
        assert one.masks_NHW.shape == (3, HEIGHT, WIDTH)
        assert not one.masks_NHW.any()
        assert not one.scores_N.any()


def test_boxes_take_the_objects_that_overlap_most():
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]], np.float32)
    found = np.array([[20, 0, 30, 9], [0, 0, 10, 8], [0, 0, 10, 9], [50, 50, 60, 54]], np.float32)
    assert match_by_total_iou(boxes, found, 0.5) == [2, 0, None]  # IoU 0.9, 0.9, 0.4
    assert match_by_total_iou(boxes, found, 0.4) == [2, 0, 3]
    assert match_by_total_iou(boxes, np.zeros((0, 4), np.float32), 0.5) == [None] * 3
    both = np.array([[0, 0, 10, 10], [0, 0, 10, 9]], np.float32)
    assert match_by_total_iou(both, np.array([[0, 0, 10, 10]], np.float32), 0.5) == [0, None]


@pytest.mark.slow
def test_session_does_not_grow(segmenter, monkeypatch):
    sessions = []
    make = segmenter._session
    monkeypatch.setattr(segmenter, "_session", lambda *args: sessions.append(make(*args)) or sessions[0])
    sizes = []
    for _ in segmenter.propagate(moving_squares(40), HEIGHT, WIDTH, BOXES[:2]):
        sizes.append(_held(vars(sessions[0])))
    assert sizes[39] == sizes[20] > 0
    assert len(sessions[0].obj_ids) == 2


def _held(value: object) -> int:
    """Tensor elements and entries of containers that something holds."""
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, dict):
        return sum(1 + _held(item) for item in value.values())
    if isinstance(value, list | tuple | set):
        return sum(1 + _held(item) for item in value)
    return 0


def test_reads_a_transformers_folder_and_gives_the_same(segmenter, tmp_path):
    folder = tmp_path / "three"
    segmenter.model.save_pretrained(folder)
    segmenter.tokenizer.save_pretrained(folder)
    again = Sam3Segmenter.load(Sam3Options(weights=str(folder), match_iou=0)).with_phrases(["cat", "cat"])
    assert again.phrases == ("cat",)
    assert again.model_name == "sam3/three"
    assert len(again.weights_sha256) == 64
    frames = moving_squares(3)
    for a, b in zip(
        segmenter.propagate(frames, HEIGHT, WIDTH, BOXES), again.propagate(frames, HEIGHT, WIDTH, BOXES), strict=True
    ):
        np.testing.assert_array_equal(a.masks_NHW, b.masks_NHW)
        np.testing.assert_array_equal(a.scores_N, b.scores_N)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{")
    with pytest.raises(ModelError, match="its tokenizer cannot be read"):
        Sam3Segmenter.load(Sam3Options(weights=str(folder)))


def test_phrases(segmenter):
    plain = Sam3Segmenter(segmenter.model, segmenter.tokenizer, Sam3Options(match_iou=0))
    with pytest.raises(ConfigError, match=r"no labels; set segmenter_options\.phrases, or use sam2"):
        next(plain.propagate(moving_squares(1), HEIGHT, WIDTH, BOXES))
    with pytest.raises(ConfigError, match="has 42 tokens; use at most 32"):
        next(plain.with_phrases(["x" * 40]).propagate(moving_squares(1), HEIGHT, WIDTH, BOXES))
    assert segmenter.with_phrases(["dog"]).phrases == ("cat",)  # the options name some


def test_missing_weights_name_license_gating_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        Sam3Segmenter.load(Sam3Options())
    message = str(caught.value)
    assert "\n" not in message
    assert "SAM License" in message
    assert "HF_TOKEN" in message
    assert "accept its terms at https://huggingface.co/facebook/sam3" in message
    assert str(tmp_path / "sam3") in message


def test_no_boxes_and_bad_frames(segmenter):
    shapes = [one.masks_NHW.shape for one in segmenter.propagate(moving_squares(5), HEIGHT, WIDTH, np.zeros((0, 4)))]
    assert shapes == [(0, HEIGHT, WIDTH)] * 5
    with pytest.raises(MediaError, match="frame 0"):
        list(segmenter.propagate([np.zeros((3, 3, 3), np.uint8)], HEIGHT, WIDTH, BOXES))
