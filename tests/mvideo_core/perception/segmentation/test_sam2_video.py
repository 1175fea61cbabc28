import numpy as np
import pytest
import torch

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import report_progress
from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter, Tracks

HEIGHT, WIDTH = 48, 80
BOXES = np.array([[10, 8, 30, 30], [40, 20, 70, 44], [5.5, 25.2, 25, 47]], np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    return Sam2Segmenter.tiny(seed=3)


def moving_squares(n_frames: int) -> np.ndarray:
    frames = np.full((n_frames, HEIGHT, WIDTH, 3), 90, np.uint8)
    for t in range(n_frames):
        frames[t, 8:30, 10 + t : 30 + t] = (200, 40, 40)
        frames[t, 20:44, 40 - t : 70 - t] = (30, 60, 220)
    return frames


def stock_logits(network, frames: np.ndarray, boxes: np.ndarray, folder) -> np.ndarray:
    """(T, N, H, W) from the package's own predictor over its own JPEG folder."""
    from sam2.utils import misc

    state = network.init_state(str(folder), offload_video_to_cpu=True)
    for n, box in enumerate(boxes):
        network.add_new_points_or_box(state, frame_idx=0, obj_id=n, box=box)
    assert misc is not None
    return np.stack([logits[:, 0].numpy() for _, _, logits in network.propagate_in_video(state)])


@pytest.mark.parametrize("n_frames", [3, 9])  # shorter and longer than the pointer window of 4
def test_all_objects_at_once_equal_the_stock_predictor(segmenter, tmp_path, n_frames):
    import torch.nn.functional as F
    from PIL import Image

    for t, frame in enumerate(moving_squares(n_frames)):
        Image.fromarray(frame).save(tmp_path / f"{t}.jpg", quality=95)
    frames = np.stack([np.array(Image.open(tmp_path / f"{t}.jpg")) for t in range(n_frames)])
    want = stock_logits(segmenter.network, frames, BOXES, tmp_path)
    steps = list(segmenter.steps(iter(frames), HEIGHT, WIDTH, BOXES))
    got = np.stack(
        [F.interpolate(s.logits, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)[:, 0] for s in steps]
    )
    assert want.shape == got.shape == (n_frames, 3, HEIGHT, WIDTH)
    assert np.abs(want).max() > 0.01
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_frame_masks_are_thresholded_logits_with_scores(segmenter):
    frames = moving_squares(3)
    out = list(segmenter.propagate(frames, HEIGHT, WIDTH, BOXES))
    assert [o.masks_NHW.shape for o in out] == [(3, HEIGHT, WIDTH)] * 3
    assert out[0].masks_NHW.dtype == np.bool_
    scores = np.stack([o.scores_N for o in out])
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("per_pass", [1, 2])
def test_groups_give_what_one_batch_gives(segmenter, per_pass):
    frames = moving_squares(7)
    small = Sam2Segmenter(segmenter.network, Sam2Options(max_objects_per_pass=per_pass))
    whole = list(segmenter.steps(frames, HEIGHT, WIDTH, BOXES))
    parts = list(small.steps(frames, HEIGHT, WIDTH, BOXES))
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.logits, b.logits, atol=1e-5, rtol=0)


class FullMemory(Tracks):
    """Runs out of memory with more than one object from frame 2 on."""

    def step(self, features):
        if self.frame >= 2 and len(self.points) > 1:
            raise torch.OutOfMemoryError("made up")
        return super().step(features)

    def split(self):
        parts = super().split()
        for part in parts:
            part.__class__ = FullMemory
        return parts


def test_out_of_memory_halves_the_objects_and_goes_on(segmenter, monkeypatch, caplog):
    frames = moving_squares(6)
    whole = list(segmenter.steps(frames, HEIGHT, WIDTH, BOXES))
    monkeypatch.setattr("mvideo_core.perception.segmentation.sam2_video.Tracks", FullMemory)
    parts = list(segmenter.steps(frames, HEIGHT, WIDTH, BOXES))
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a.logits, b.logits, atol=1e-5, rtol=0)
    assert "out of memory with 3 objects" in caplog.text


def test_one_object_too_many_says_so(segmenter, monkeypatch):
    def full(self, features):
        raise torch.OutOfMemoryError("made up")

    monkeypatch.setattr(Tracks, "step", full)
    with pytest.raises(ModelError, match="one object does not fit"):
        list(segmenter.propagate(moving_squares(2), HEIGHT, WIDTH, BOXES[:1]))


def test_the_stream_is_read_as_results_are_taken(segmenter):
    read = []

    def stream():
        for t, frame in enumerate(moving_squares(12)):
            read.append(t)
            yield frame

    results = segmenter.propagate(stream(), HEIGHT, WIDTH, BOXES[:1])
    next(results)
    assert len(read) == segmenter.network.max_obj_ptrs_in_encoder == 4
    for _ in range(4):
        next(results)
    assert len(read) == 5


def test_memory_holds_only_what_can_be_attended_to(segmenter):
    tracks = Tracks(segmenter.network, torch.tensor([[[5.0, 5.0], [30.0, 30.0]]]), 4)
    with torch.inference_mode():
        [features] = segmenter.encoder.stream(iter(moving_squares(1)))
        for _ in range(12):
            tracks.step(features)
    assert sorted(tracks.first) == [0]
    assert sorted(tracks.recent) == [8, 9, 10, 11]
    assert [t for t, entry in tracks.recent.items() if entry["maskmem_features"] is not None] == [9, 10, 11]


def test_no_boxes_and_no_frames(segmenter):
    frames = moving_squares(6)
    out = list(segmenter.propagate(frames, HEIGHT, WIDTH, np.zeros((0, 4))))
    assert [o.masks_NHW.shape for o in out] == [(0, HEIGHT, WIDTH)] * 6
    assert list(segmenter.propagate([], HEIGHT, WIDTH, BOXES)) == []


def test_bad_input_is_refused(segmenter):
    with pytest.raises(MediaError, match="frame 1"):
        list(segmenter.propagate([moving_squares(1)[0], np.zeros((4, 4, 3), np.uint8)], HEIGHT, WIDTH, BOXES))
    with pytest.raises(MediaError, match="prompt boxes"):
        next(segmenter.propagate(moving_squares(1), HEIGHT, WIDTH, np.array([[0, 0, np.nan, 5]])))
    with pytest.raises(MediaError, match="prompt boxes"):
        next(segmenter.propagate(moving_squares(1), HEIGHT, WIDTH, np.zeros((2, 5))))


def test_registered():
    assert SEGMENTERS.get("sam2") is Sam2Segmenter


def test_a_long_clip_says_how_far_it_is(segmenter, caplog):
    caplog.set_level("INFO")
    frames = moving_squares(3)
    found = list(report_progress(segmenter.propagate(frames, HEIGHT, WIDTH, BOXES), "clip-7", 3, every_s=0))
    assert len(found) == 3
    said = [line for line in caplog.messages if line.startswith("clip-7")]
    assert [line.split(", about")[0] for line in said] == [f"clip-7: masks of {n} frames of 3" for n in (1, 2, 3)]
    assert "about 0 s left" in said[-1]
