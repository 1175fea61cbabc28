"""Clips follow each other as the paper says, and a stopped video resumes as if it had never been stopped."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.generation.loading import Loaded
from mvideo_core.generation.long_video import ClipPlan, generate_long, length_frames, mask_of, plan_clips
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.masks import MaskSequence
from mvideo_core.media.decode import read_clip

FAST = GenerateOptions(steps=2, guidance=1)
PAPER = VideoFormat()


class Stopped(Exception):
    """Raised by a test's progress call, in place of a kill."""


def test_paper_clips_share_one_frame() -> None:
    plans = plan_clips(129, PAPER, seed=0)  # 16 s at 8 fps
    assert [plan.start for plan in plans] == [0, 32, 64, 96]
    assert PAPER.n_frames(4) == 129
    assert len({plan.seed for plan in plans}) == 4
    assert plan_clips(33, PAPER, seed=0) == plans[:1]


def test_the_union_of_the_chosen_objects_guides_each_clip(square: MaskSequence, loaded: Loaded) -> None:
    grid = loaded.pipeline.format  # 9 frames: the second clip begins at frame 8
    mask = mask_of(square, ClipPlan(1, 8, 0), grid, FAST)
    assert mask is not None
    assert mask.shape == (9, grid.height_px, grid.width_px)
    assert mask[0].sum() == 64 + 64
    assert np.flatnonzero(mask[2, 5]).tolist() == list(range(10, 18))
    only = mask_of(square, ClipPlan(1, 8, 0), grid, FAST.model_copy(update={"objects": (1,)}))
    assert only is not None
    assert only[0].sum() == 64
    with pytest.raises(ConfigError, match=r"objects \[2\] are not in the masks, which have objects 0 to 1"):
        mask_of(square, ClipPlan(0, 0, 0), grid, FAST.model_copy(update={"objects": (0, 2)}))


def test_masks_that_end_early(square: MaskSequence, loaded: Loaded) -> None:
    grid = loaded.pipeline.format
    longer = FAST.model_copy(update={"seconds": 4.0})
    with pytest.raises(ConfigError, match="the masks fill 25 frames at 8 fps and the video needs 33"):
        length_frames(longer, square, grid)
    assert length_frames(longer.model_copy(update={"mask_end": "hold"}), square, grid) == 33
    held = mask_of(square, ClipPlan(3, 24, 0), grid, longer.model_copy(update={"mask_end": "hold"}))
    assert held is not None
    assert np.array_equal(held[0], held[8])
    assert mask_of(square, ClipPlan(4, 32, 0), grid, longer.model_copy(update={"mask_end": "none"})) is None


def test_masks_of_another_size_name_the_tool_that_helps(square: MaskSequence) -> None:
    with pytest.raises(ConfigError, match="mvideo masks resample"):
        length_frames(FAST, square, PAPER)


HANDOVERS = [{}, {"handover": "latents"}, {"match_statistics": True}, {"handover": "latents", "match_statistics": True}]


@pytest.mark.parametrize("change", HANDOVERS[1:])
def test_a_stopped_video_resumes_to_the_same_bytes_with_every_handover(
    square: MaskSequence, loaded: Loaded, tmp_path: Path, change: dict[str, Any]
) -> None:
    options = FAST.model_copy(update=change)
    straight = generate_long(loaded.pipeline, "a ball", square, options, OutputFolder(tmp_path / "a", "r"))

    def stop(done: int, total: int) -> None:
        if done == 2 * FAST.steps + 1:  # in the third clip
            raise Stopped

    with pytest.raises(Stopped):
        generate_long(loaded.pipeline, "a ball", square, options, OutputFolder(tmp_path / "b", "r"), stop)
    again = OutputFolder(tmp_path / "b", "r")
    assert again.n_clips == 2
    resumed = generate_long(loaded.pipeline, "a ball", square, options, again)
    assert resumed.read_bytes() == straight.read_bytes()
    assert len(list((tmp_path / "a" / "conditions").iterdir())) == (0 if "handover" in change else 4)


def test_every_handover_changes_the_video(square: MaskSequence, loaded: Loaded, tmp_path: Path) -> None:
    made = [
        generate_long(
            loaded.pipeline, "a ball", square, FAST.model_copy(update=change), OutputFolder(tmp_path / str(n), "r")
        ).read_bytes()
        for n, change in enumerate(HANDOVERS)
    ]
    assert len(set(made)) == len(HANDOVERS)


def test_a_stopped_video_resumes_to_the_same_bytes_and_says_how_far_it_is(
    square: MaskSequence,
    loaded: Loaded,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = generate_long(loaded.pipeline, "a ball", square, FAST, OutputFolder(tmp_path / "a", "r"))

    shown: list[int] = []

    def stop(done: int, total: int) -> None:
        assert total == 3 * FAST.steps
        shown.append(done)
        if done == 2 * FAST.steps and shown.count(done) == 2:  # the last step of the second clip, then the whole clip
            raise Stopped

    with pytest.raises(Stopped):
        generate_long(loaded.pipeline, "a ball", square, FAST, OutputFolder(tmp_path / "b", "r"), stop)
    again = OutputFolder(tmp_path / "b", "r")
    assert again.n_clips == 2
    assert sorted(set(shown)) == list(range(2 * FAST.steps + 1))
    caplog.set_level("INFO")
    monkeypatch.setattr("mvideo_core.generation.step_log.EVERY_S", 0)
    resumed = generate_long(loaded.pipeline, "a ball", square, FAST, again)
    lines = [line for line in caplog.messages if line.startswith("clip ")]
    assert len(lines) == FAST.steps
    assert re.fullmatch(
        rf"clip 3 of 3: step {FAST.steps} of {FAST.steps}, [\d.]+ s per step, about 0 s left", lines[-1]
    )
    assert resumed.read_bytes() == straight.read_bytes()
    assert len(read_clip(straight)) == 25


def test_each_condition_changes_the_second_clip(square: MaskSequence, loaded: Loaded, tmp_path: Path) -> None:
    def second_clip(name: str, masks: MaskSequence | None, options: GenerateOptions) -> np.ndarray:
        output = OutputFolder(tmp_path / name, name)
        generate_long(loaded.pipeline, "a ball", masks, options.model_copy(update={"seconds": 2.0}), output)
        return read_clip(output.clip(1))

    whole = second_clip("all", square, FAST)
    for name, masks, change in (
        ("free of masks", None, {}),
        ("no appearance", square, {"appearance": False}),
        ("no motion", square, {"motion": False}),
        ("another seed", square, {"seed": 1}),
    ):
        assert not np.array_equal(second_clip(name, masks, FAST.model_copy(update=change)), whole), name
    kept = {path.name for path in (tmp_path / "no motion" / "conditions").iterdir()}
    assert kept == {"appearance-0001.png"}
