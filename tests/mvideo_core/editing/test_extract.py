"""Extraction with a detector and a segmenter that see colors: what they say is exact, so the results are too."""

import tracemalloc

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.extract import ExtractOptions, Models, extract_masks
from mvideo_core.editing.inputs import open_input
from mvideo_core.editing.reference import open_reference
from mvideo_core.masks.measure import boxes_xyxy
from mvideo_core.media.encode import write_mp4
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.segmentation.base import FrameMasks

CHANNELS = {"red": 0, "green": 1, "blue": 2}
HEIGHT, WIDTH, FPS = 64, 96, 8


def of_color(frame: np.ndarray, channel: int) -> np.ndarray:
    others = np.delete(frame, channel, axis=2).max(axis=2).astype(int)
    return frame[:, :, channel].astype(int) - others > 80


class ColorDetector:
    """Names are colors; the box of all their pixels, score 0.9, and a weak false alarm at 0.2."""

    model_name, weights_sha256 = "colors", "0" * 64

    def __init__(self):
        self.asked = 0

    def detect(self, frames, phrases):
        self.asked += len(frames)
        return [self._one(frame, phrases) for frame in frames]

    def _one(self, frame, phrases):
        boxes, scores, labels = [], [], []
        for phrase in phrases:
            rows, columns = np.nonzero(of_color(frame, CHANNELS[phrase]))
            if len(rows):
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
                scores.append(0.9)
                labels.append(phrase)
            boxes.append([1, 1, 20, 20])
            scores.append(0.2)
            labels.append(phrase)
        return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), labels)


class ColorSegmenter:
    """Follows the color in the middle of the box it is given."""

    model_name, weights_sha256 = "colors", "1" * 64

    def propagate(self, frames, height, width, boxes_xyxy):
        channels = None
        for frame in frames:
            if channels is None:
                centers = [((box[1] + box[3]) / 2, (box[0] + box[2]) / 2) for box in boxes_xyxy]
                channels = [int(frame[int(y), int(x)].argmax()) for y, x in centers]
            masks = np.stack([of_color(frame, channel) for channel in channels])
            yield FrameMasks(masks, np.ones(len(masks), np.float32))


@pytest.fixture
def models():
    return Models(ColorDetector(), ColorSegmenter())


def film(path, n_frames=40, red_from=0, blue_from=0):
    """A red square that goes 1 px right in each frame, a blue one that goes down; each shows up at its frame."""

    def frames():
        for number in range(n_frames):
            frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            if number >= red_from:
                frame[16:32, 8 + number : 24 + number] = (250, 20, 20)
            if number >= blue_from:
                frame[2 + number : 18 + number, 72:88] = (20, 20, 250)
            yield frame

    write_mp4(frames(), path, FPS, crf=4)
    return path


def lefts(sequence, obj):
    return boxes_xyxy(sequence)[:, obj, 0].tolist()


def test_an_object_of_the_first_frame_needs_one_detection(tmp_path, models):
    done = extract_masks(film(tmp_path / "a.mp4"), ["red"], None, models)
    assert (done.clip.sequence.shape, done.clip.fps, done.clip.labels) == ((40, 1, HEIGHT, WIDTH), 8.0, ("red",))
    assert (done.found[0].frame, models.detector.asked) == (0, 1)
    np.testing.assert_allclose(lefts(done.clip.sequence, 0), [8 + number for number in range(40)], atol=1)
    assert done.models["segmenter_sha256"] == "1" * 64


def test_a_late_object_is_followed_backwards_too(tmp_path, models):
    # It shows up at frame 5; frames 0, 4, 8, ... are searched, so it is found at 8 and frames 5 to 7 come from behind.
    done = extract_masks(film(tmp_path / "a.mp4", red_from=5), ["red"], None, models)
    assert done.found[0].frame == 8
    visible = done.clip.sequence.pixels()[:, 0].any(axis=(1, 2))
    assert visible.tolist() == [number >= 5 for number in range(40)]
    np.testing.assert_allclose(lefts(done.clip.sequence, 0)[5:], [8 + number for number in range(5, 40)], atol=1)


def test_objects_found_at_different_times_keep_their_order(tmp_path, models):
    path = film(tmp_path / "a.mp4", red_from=17, blue_from=3)
    done = extract_masks(path, ["red", "blue"], ExtractOptions(search_step_s=0.25), models)
    assert [(one.label, one.frame) for one in done.found] == [("red", 18), ("blue", 4)]
    visible = done.clip.sequence.pixels().any(axis=(2, 3))
    assert visible[:, 0].tolist() == [number >= 17 for number in range(40)]
    assert visible[:, 1].tolist() == [number >= 3 for number in range(40)]
    tops = boxes_xyxy(done.clip.sequence)[:, 1, 1].tolist()
    np.testing.assert_allclose(tops[3:], [2 + number for number in range(3, 40)], atol=1)


def test_part_rate_and_size(tmp_path, models):
    options = ExtractOptions(start_s=1.0, length_s=2.0, fps=4, max_side_px=64)
    done = extract_masks(film(tmp_path / "a.mp4"), ["red"], options, models)
    n_frames, _, height, width = done.clip.sequence.shape
    assert (n_frames, height, width) == (8, 42, 64)
    # At 1 s the left side stands at 16 of 96 px, 2/3 of that in the smaller frame, and goes 2 px * 2/3 a frame.
    expected = [(16 + 2 * number) * 2 / 3 for number in range(8)]
    np.testing.assert_allclose(lefts(done.clip.sequence, 0), expected, atol=2)


@pytest.mark.parametrize("fps", [1, 8, 0])
def test_a_video_of_one_frame_has_one_mask(tmp_path, models, fps):
    write_mp4(
        [np.pad(np.full((16, 16, 3), (250, 20, 20), np.uint8), ((8, 40), (8, 72), (0, 0)))], tmp_path / "a.mp4", 25
    )
    done = extract_masks(tmp_path / "a.mp4", ["red"], ExtractOptions(fps=fps), models)
    assert (done.clip.sequence.n_frames, done.clip.fps) == (1, fps or 25.0)
    assert abs(int(done.clip.sequence.mask(0, 0).sum()) - 256) < 20
    part = ExtractOptions(fps=2, start_s=4.85)  # the last 0.15 s of 5: less than half a frame
    assert extract_masks(film(tmp_path / "b.mp4"), ["red"], part, models).clip.sequence.n_frames == 1


def test_a_name_that_is_not_there(tmp_path, models):
    path = film(tmp_path / "a.mp4", red_from=30)
    with pytest.raises(MediaError, match=r"'red' \(best score 0.20 at 0.00 s\); lower box_threshold"):
        extract_masks(path, ["blue", "red"], ExtractOptions(max_search_s=2), models)
    assert models.detector.asked == 5  # frames 0, 4, 8, 12, 16
    with pytest.raises(ConfigError, match="each once"):
        extract_masks(path, ["red", "red"], None, models)


def test_more_of_one_name(tmp_path, models):
    options = ExtractOptions(box_threshold=0.1, per_name=2)
    done = extract_masks(film(tmp_path / "a.mp4"), ["red"], options, models)
    assert [round(one.score, 1) for one in done.found] == [0.9, 0.2]


def test_files_that_are_no_videos(tmp_path, models):
    (tmp_path / "a.mp4").write_text("no video at all")
    with pytest.raises(MediaError, match="not a video container"):
        extract_masks(tmp_path / "a.mp4", ["red"], None, models)
    with pytest.raises(MediaError, match="cannot be opened"):
        extract_masks(tmp_path / "b.mp4", ["red"], None, models)
    with pytest.raises(ConfigError, match="past its end"):
        extract_masks(film(tmp_path / "c.mp4"), ["red"], ExtractOptions(start_s=9), models)


def test_a_line_of_text_names_video_and_objects(tmp_path, models):
    path = film(tmp_path / "a.mp4")
    found = open_input(f"{path}#red, blue", models=models)
    assert (found.clip.labels, found.video) == (("red", "blue"), path)
    assert found.origin["objects"] == ["red", "blue"]
    assert found.origin["models"]["detector"] == "colors"
    with pytest.raises(ConfigError, match="expected object names"):
        open_input(f"{path}#", models=models)


@pytest.mark.parametrize(("fit", "bars"), [("crop", 0), ("letterbox", 16), ("stretch", 0)])
def test_reference_frames_at_a_given_size(tmp_path, fit, bars):
    write_mp4([np.full((64, 64, 3), 200, np.uint8)] * 4, tmp_path / "a.mp4", 8)
    with open_reference(tmp_path / "a.mp4", size_hw=(64, 96), fit=fit) as reference:
        frames = list(reference.frames)
    assert len(frames) == 4
    dark = (frames[0].max(axis=(0, 2)) < 50).sum()
    assert dark == 2 * bars


def test_reading_a_part_of_a_film_stops_the_decoder(tmp_path):
    with open_reference(film(tmp_path / "a.mp4")) as reference:
        first = next(reference.frames)
    assert first.shape == (HEIGHT, WIDTH, 3)


def peak_bytes(path, n_frames, models):
    frame = np.full((128, 192, 3), 90, np.uint8)
    late = frame.copy()
    late[40:80, 50:90] = (250, 20, 20)
    write_mp4((late if number >= 20 else frame for number in range(n_frames)), path, 8, crf=20)
    tracemalloc.start()
    done = extract_masks(path, ["red"], None, models)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.clip.sequence.n_frames == n_frames
    return peak


def test_memory_does_not_grow_with_the_video(tmp_path, models):
    peak_bytes(tmp_path / "first.mp4", 30, models)  # imports
    short = peak_bytes(tmp_path / "short.mp4", 40, models)
    long = peak_bytes(tmp_path / "long.mp4", 240, models)
    assert long - short < 1e6  # 200 frames more are 14.7 MB of pixels and 0.2 MB of runs
