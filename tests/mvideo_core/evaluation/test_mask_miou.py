"""S_m end to end: with a segmenter that looks at pixels, and with the shipped mini SAM2 on the mini world."""

import numpy as np
import pytest
import torch

from mvideo_core.base.errors import ConfigError, MediaError, ModelError
from mvideo_core.evaluation.base import METRICS
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import PREDICTED, MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.scores import Digests, key_facts
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode, from_bytes
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.perception.segmentation.base import FrameMasks
from mvideo_core.perception.segmentation.sam2_video import Sam2Segmenter

SIZE = (60, 90)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


class RedSegmenter:
    """Sees red: in image mode the red pixels in the box, in video mode all of them. Stands for a perfect segmenter."""

    model_name, weights_sha256 = "red", "0" * 64

    def segment(self, frames_THWC, boxes):
        for frame, asked in zip(frames_THWC, boxes, strict=True):
            found = np.zeros((len(asked), *frame.shape[:2]), bool)
            for n, (x0, y0, x1, y1) in enumerate(asked.astype(int)):
                found[n, y0 : y1 + 1, x0 : x1 + 1] = frame[y0 : y1 + 1, x0 : x1 + 1, 0] > 128
            yield found

    def propagate(self, frames, height, width, boxes_xyxy):
        for frame in frames:
            yield FrameMasks(np.repeat(frame[None, ..., 0] > 128, len(boxes_xyxy), 0), np.ones(len(boxes_xyxy)))


def red_metric(**options) -> MaskMiou:
    red = RedSegmenter()
    return MaskMiou(red, MaskMiouOptions(**options), image_mode=red)


def discs(n_frames: int, shift: int = 0, radius: int = 12) -> np.ndarray:
    """Bool (T, 1, H, W): a disc that moves 3 px a frame."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([[(x - 20 - shift - 3 * t) ** 2 + (y - 30) ** 2 <= radius**2] for t in range(n_frames)])


def still(n_frames: int) -> np.ndarray:
    """Bool (T, 1, H, W): a disc that stays."""
    return np.repeat(discs(1), n_frames, axis=0)


def painted(masks_T1HW: np.ndarray) -> np.ndarray:
    frames = np.full((len(masks_T1HW), *SIZE, 3), 40, np.uint8)
    frames[masks_T1HW[:, 0]] = (220, 30, 30)
    return frames


def video(shown: np.ndarray, wanted: np.ndarray, **more) -> EvalVideo:
    return EvalVideo.of_arrays(painted(shown), 8.0, EvalItem(id="one"), encode(wanted), **more)


@pytest.mark.parametrize("prompt", ["per_frame_box", "first_frame_track"])
def test_what_lies_where_it_should_scores_one(prompt):
    found = red_metric(prompt=prompt).score(video(discs(5), discs(5)))
    assert (found.value, found.per_frame) == (1.0, (1.0,) * 5)
    assert found.details["box_fill"] == pytest.approx(441 / 625)  # lattice points of the disc over its 25 x 25 box
    assert from_bytes(found.artifacts[PREDICTED]) == encode(discs(5))


def test_a_shifted_square_scores_what_its_overlap_with_the_box_is():
    wanted, shown = np.zeros((2, 1, *SIZE), bool), np.zeros((2, 1, *SIZE), bool)
    wanted[..., 20:40, 20:40] = True
    shown[..., 20:40, 25:45] = True
    # The box lets 15 of 20 columns be seen, all wanted; a tracker sees the whole square: 15 / 25.
    assert red_metric().score(video(shown, wanted)).value == pytest.approx(15 / 20)
    assert red_metric(prompt="first_frame_track").score(video(shown, wanted)).value == pytest.approx(15 / 25)


def test_frames_without_a_mask():
    wanted = discs(4)
    wanted[1] = False
    skipped = red_metric().score(video(discs(4), wanted))
    assert (skipped.per_frame, skipped.details["n_skipped"]) == ((1.0, None, 1.0, 1.0), 1)
    assert red_metric(empty_frames="one").score(video(discs(4), wanted)).per_frame == (1.0,) * 4
    tracked = red_metric(prompt="first_frame_track", empty_frames="one").score(video(discs(4), wanted))
    assert tracked.per_frame == (1.0, 0.0, 1.0, 1.0)  # the disc is still there
    wanted[0] = False
    with pytest.raises(MediaError, match="one: no object has a mask on frame 0"):
        red_metric(prompt="first_frame_track").score(video(discs(4), wanted))


def test_objects_that_cannot_be_tracked_are_left_out_and_counted():
    wanted = np.concatenate([discs(3), discs(3)], axis=1)
    wanted[0, 1] = False
    found = red_metric(prompt="first_frame_track").score(video(discs(3), wanted))
    assert (found.details["n_objects"], found.details["n_objects_left_out"]) == (1, 1)


def test_shuffled_pairing_wants_another_items_masks_and_bends_them_to_fit():
    other = np.zeros((9, 1, 30, 90), bool)  # longer, and of another shape
    other[..., 5:25, 60:85] = True
    with pytest.raises(MediaError, match="two items are required"):
        red_metric(pairing="shuffled").score(video(discs(5), other))
    mixed = video(discs(5), other)
    mixed.masks_from = EvalItem(id="two")
    found = red_metric(pairing="shuffled").score(mixed)
    assert len(found.per_frame) == 5
    assert found.value < 0.1
    with pytest.raises(MediaError, match="cover 9 frames of a video of 5"):
        red_metric().score(mixed)


def test_masks_after_the_end_of_a_short_video_count_as_misses() -> None:
    """41 masks, 39 frames that show them perfectly: 39 / 41, and two unmatched; with 38 the item fails."""
    short = video(still(39), still(41), masks_fps=8.0)
    with pytest.raises(MediaError, match=r"41 mask frames .* of a video of 39"):
        red_metric().score(short)
    found = red_metric(align=True).score(short)
    assert found.value == pytest.approx(39 / 41)
    assert (found.details["n_unmatched_masks"], len(found.per_frame)) == (2, 39)
    for n_frames in (1, 38):
        with pytest.raises(MediaError, match="allowed: 5%"):
            red_metric(align=True).score(video(still(n_frames), still(41), masks_fps=8.0))


@pytest.mark.parametrize("davis_frames", ["all", "inner"])
def test_lost_masks_lower_every_number_alike(davis_frames: str) -> None:
    """39 perfect frames of 41: J, F and the mean over frames are 39/41 as the value; box_fill by hand 441/625 of it.
    Without the first and the last frame, J and F are 38/39.
    """
    found = red_metric(align=True, davis_frames=davis_frames).score(video(still(39), still(41), masks_fps=8.0))
    share = 39 / 41 if davis_frames == "all" else 38 / 39
    assert [found.details[name] for name in ("j", "f", "j_and_f")] == pytest.approx([share] * 3)
    assert found.details["box_fill"] == pytest.approx(441 / 625 * 39 / 41)
    assert found.value == pytest.approx(sum(found.per_frame) / (len(found.per_frame) + found.n_lost))
    full = red_metric(davis_frames=davis_frames).score(video(still(39), still(39)))
    assert (full.details["j"], full.n_lost) == (1.0, 0)


def test_lost_masks_with_nothing_in_them_count_nowhere() -> None:
    """Of 41 masks the last is empty: 39 frames and one lost mask."""
    wanted = still(41)
    wanted[40] = False
    found = red_metric(align=True).score(video(still(39), wanted, masks_fps=8.0))
    assert [found.value, found.details["j"]] == pytest.approx([39 / 40] * 2)
    assert found.n_lost == 1


def test_a_faster_video_scores_what_the_same_video_does_at_the_masks_rate() -> None:
    """A disc at 1 px a frame and 24 fps under every third of its masks: nearest masks would be up to 1 px off."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    every = np.stack([[(x - 20 - t) ** 2 + (y - 30) ** 2 <= 144] for t in range(25)])
    fast = EvalVideo.of_arrays(painted(every), 24.0, EvalItem(id="one"), encode(every[::3]), masks_fps=8.0)
    found = red_metric().score(fast)
    slow = EvalVideo.of_arrays(painted(every[::3]), 8.0, EvalItem(id="one"), encode(every[::3]), masks_fps=8.0)
    assert found.value == red_metric().score(slow).value == 1.0
    assert (found.details["n_frames"], found.details["n_between"], len(found.per_frame)) == (9, 16, 25)
    assert found.per_frame[3] == 1.0
    assert found.per_frame[4] is None
    assert (found.n_between, found.details["n_skipped"]) == (16, 0)


def test_the_clip_that_the_masks_come_from_may_go_on_after_them() -> None:
    longer = video(still(9), still(9), source_THWC=painted(still(14)), masks_fps=8.0)
    assert red_metric(subject="source").score(longer).value == 1.0


def test_each_system_says_how_it_fitted_the_masks() -> None:
    """Masks of 60x120 px in a frame of 60x90: cropped, or letterboxed to 45 rows with bars of 7.5."""
    wide = np.zeros((2, 1, 60, 120), bool)
    wide[..., 20:40, 50:70] = True
    cropped, boxed = np.zeros((2, 1, *SIZE), bool), np.zeros((2, 1, *SIZE), bool)
    cropped[..., 20:40, 35:55] = True
    boxed[..., 22:37, 37:52] = True  # centers from 7.5 + 20 * 0.75 = 22.5 to below 37.5, and from 37.5 to below 52.5
    for fit, shown in (("crop", cropped), ("letterbox", boxed)):
        item = EvalItem(id="one", fit=fit)
        found = red_metric().score(EvalVideo.of_arrays(painted(shown), 8.0, item, encode(wide)))
        assert found.value == 1.0
    with pytest.raises(MediaError, match="aspect ratios differ"):
        red_metric().score(video(cropped, wide))


def test_source_as_subject_is_the_ceiling():
    both = video(discs(3, shift=9), discs(3), source_THWC=painted(discs(3)))
    assert red_metric(subject="source").score(both).value == 1.0
    assert red_metric().score(both).value < 0.8
    with pytest.raises(MediaError, match="has no source_video"):
        red_metric(subject="source").score(video(discs(3), discs(3)))


def test_aligned_lengths_count_the_frames_that_are_left():
    found = red_metric(align=True).score(video(discs(6), discs(4)))
    assert (found.value, len(found.per_frame), found.details["n_unmatched"]) == (1.0, 4, 2)


def test_one_box_around_all_objects():
    wanted = np.concatenate([discs(2), discs(2, shift=30)], axis=1)
    found = red_metric(objects="union_box").score(video(wanted.any(axis=1, keepdims=True), wanted))
    assert found.value == 1.0
    assert found.details["n_objects"] == 1


@pytest.fixture(scope="module")
def world() -> tuple[np.ndarray, np.ndarray]:
    """Six frames of a held-out shot and the visible masks (T, N, H, W)."""
    drawn = list(render_shot(sample_shot(0, "heldout"), 6, 216, 144, fps=4))
    return np.stack([one.rgb for one in drawn]), np.stack([one.visible for one in drawn])


def test_the_mini_segmenter_finds_what_is_there_and_not_what_is_not(world):
    frames, masks = world
    metric = METRICS.get("mask_miou").load(MaskMiouOptions(), "cpu")
    assert len(metric.weights_sha256) == 64
    own = metric.score(EvalVideo.of_arrays(frames, 4.0, EvalItem(id="a"), encode(masks)))
    flat = metric.score(EvalVideo.of_arrays(np.full_like(frames, 120), 4.0, EvalItem(id="a"), encode(masks)))
    assert own.value > 0.6
    assert own.value > flat.value + 0.1
    assert own.details["n_frames"] == 6


def test_missing_weights_and_unknown_choices_are_told_apart(tmp_path):
    with pytest.raises(ModelError, match="no folder"):
        MaskMiou.load(MaskMiouOptions(segmenter_options={"weights": str(tmp_path / "none")}))
    with pytest.raises(ConfigError, match="segmenter_options"):
        MaskMiou.load(MaskMiouOptions(segmenter_options={"weight": "mini"}))
    with pytest.raises(ConfigError, match="known: edgetam, sam2, sam3, transformers-sam2"):
        MaskMiou.load(MaskMiouOptions(segmenter="sam9"))
    tracking = MaskMiou(Sam2Segmenter.tiny(), MaskMiouOptions(prompt="first_frame_track"))
    found = tracking.score(video(discs(3), discs(3)))
    assert 0 <= found.value <= 1  # random weights: the plumbing only


def test_less_memory_keeps_the_scores_that_are_there():
    """Out of memory at the last video: with fewer frames per pass the others are not scored again."""

    def facts(**options):
        suite = SuiteOptions.parse({"metrics": [{"metric": "mask_miou", "options": options}]})
        return key_facts(EvalItem(id="a"), EvalItem(id="a"), prepare(suite)[0], "weights", Digests())

    assert facts(frames_per_pass=1) == facts(frames_per_pass=8)
    assert facts(prompt="first_frame_track") != facts()
