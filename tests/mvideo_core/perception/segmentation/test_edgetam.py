import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.engine.loaded_models import weights_digests
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.edgetam import EdgeTamOptions, EdgeTamSegmenter
from mvideo_core.perception.segmentation.sam2_features import normalize_image
from tests.mvideo_core.perception.segmentation.test_sam2_video import BOXES, HEIGHT, WIDTH, moving_squares


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def segmenter() -> EdgeTamSegmenter:
    return EdgeTamSegmenter.tiny(seed=3)


@pytest.mark.parametrize("n_frames", [3, 9])  # shorter and longer than the pointer window of 4
def test_equals_transformers_with_the_whole_clip_in_memory(segmenter, n_frames):
    from transformers import EdgeTamVideoInferenceSession

    frames = moving_squares(n_frames)
    steps = list(segmenter.steps(iter(frames), HEIGHT, WIDTH, BOXES))
    side = segmenter.model.image_size
    pixels = torch.cat([normalize_image(frame, side, "cpu") for frame in frames])
    stock = EdgeTamVideoInferenceSession(video=pixels, video_height=HEIGHT, video_width=WIDTH, dtype=torch.float32)
    for obj, box in enumerate(BOXES):
        corners = torch.tensor(box.reshape(1, 1, 2, 2) * [side / WIDTH, side / HEIGHT], dtype=torch.float32)
        point = {"point_coords": corners, "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32)}
        stock.add_point_inputs(stock.obj_id_to_idx(obj), 0, point)
    stock.obj_with_new_inputs = list(range(len(BOXES)))
    with torch.inference_mode():
        want = [segmenter.model(stock, frame_idx=t).pred_masks.reshape(len(BOXES), 1, 16, 16) for t in range(n_frames)]
    assert len(steps) == n_frames
    for step, logits in zip(steps, want, strict=True):
        torch.testing.assert_close(step.logits, logits, atol=2e-5, rtol=1e-4)
        assert step.scores.shape == (len(BOXES),)
        assert step.scores.min() >= 0
        assert step.scores.max() <= 1
    assert want[-1].abs().max() > 0.01


def test_session_forgets(segmenter, monkeypatch):
    sessions = []
    make = segmenter._session
    monkeypatch.setattr(segmenter, "_session", lambda *args: sessions.append(make(*args)) or sessions[0])
    assert len(list(segmenter.propagate(moving_squares(12), HEIGHT, WIDTH, BOXES[:1]))) == 12
    assert sessions[0].processed_frames == {}
    assert sorted(sessions[0].output_dict_per_obj[0]["non_cond_frame_outputs"]) == [8, 9, 10, 11]


def test_reads_a_transformers_folder_and_gives_the_same(segmenter, tmp_path):
    folder = tmp_path / "edge"
    segmenter.model.save_pretrained(folder)
    again = EdgeTamSegmenter.load(EdgeTamOptions(weights=str(folder)))
    assert again.model_name == "edgetam/edge"
    assert weights_digests(SEGMENTERS, "edgetam", {"weights": str(folder)}, "segmenter") == {
        "model.safetensors": again.weights_sha256
    }
    frames = moving_squares(3)
    for a, b in zip(
        segmenter.propagate(frames, HEIGHT, WIDTH, BOXES), again.propagate(frames, HEIGHT, WIDTH, BOXES), strict=True
    ):
        np.testing.assert_array_equal(a.masks_NHW, b.masks_NHW)
        np.testing.assert_array_equal(a.scores_N, b.scores_N)


def test_other_folders_are_refused_in_one_line(segmenter, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "edge"
    segmenter.model.save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("no_memory_embedding")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"do not match its config\.json: missing_keys no_memory_embedding"):
        EdgeTamSegmenter.load(EdgeTamOptions(weights=str(folder)))
    (folder / "config.json").write_text('{"model_type": "sam2_video"}')
    with pytest.raises(ModelError, match="but this segmenter needs 'edgetam_video'"):
        EdgeTamSegmenter.load(EdgeTamOptions(weights=str(folder)))


def test_missing_weights_name_repository_and_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIDEO_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        EdgeTamSegmenter.load(EdgeTamOptions())
    message = str(caught.value)
    assert "\n" not in message
    assert "It is gated" not in message
    assert "https://huggingface.co/yonigozlan/EdgeTAM-hf" in message
    assert str(tmp_path / "edgetam") in message
    with pytest.raises(ConfigError, match="not a segmenter"):
        EdgeTamSegmenter.load(EdgeTamOptions(weights="nothing"))


def test_no_boxes_and_bad_frames(segmenter):
    shapes = [one.masks_NHW.shape for one in segmenter.propagate(moving_squares(5), HEIGHT, WIDTH, np.zeros((0, 4)))]
    assert shapes == [(0, HEIGHT, WIDTH)] * 5
    with pytest.raises(MediaError, match="frame 0"):
        list(segmenter.propagate([np.zeros((3, 3, 3), np.uint8)], HEIGHT, WIDTH, BOXES))
