from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import MediaError
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import MaskMiouOptions, frames_to_score
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import SuiteOptions, prepare
from mvideo_core.evaluation.validate import Validation, validate
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4

METRICS = [
    {"metric": "overall_consistency", "options": {"protocol": "short"}},
    {"metric": "motion_smoothness", "options": {"protocol": "short"}},
    {"metric": "mask_miou", "options": {"segmenter_options": {"weights": "mini"}}},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long video, a short small one, masks of 9 frames, masks without anything in them."""
    place = tmp_path_factory.mktemp("validate")
    for name, frames, height, width in (("long", 41, 128, 192), ("small", 9, 64, 96)):
        write_mp4((np.full((height, width, 3), 90 + t, np.uint8) for t in range(frames)), place / f"{name}.mp4", 8)
    masks = np.zeros((9, 1, 64, 96), np.bool_)
    save_masks(place / "empty.masks", encode(masks), 8, ["horse"])
    masks[:, :, 10:20, 10:20] = True
    save_masks(place / "nine.masks", encode(masks), 8, ["horse"])
    return place


def of(folder: Path, *items: EvalItem) -> Validation:
    known = [
        item.model_copy(
            update={name: str(folder / value) for name in ("video", "masks") if (value := getattr(item, name))}
        )
        for item in items
    ]
    return validate(EvalPlan(SuiteOptions.parse({"metrics": METRICS}), tuple(known)))


def told(found: Validation, level: str) -> list[str]:
    return [one.message for one in found.problems if one.level == level]


def test_a_good_item_has_no_problem_but_its_smallness(folder: Path) -> None:
    found = of(folder, EvalItem(id="a", prompt="p", video="small.mp4", masks="nine.masks"))
    assert told(found, "error") == ["96x64: motion_smoothness needs at least 113 px on each side"]
    assert told(found, "warning") == []
    assert found.groups[0].model_dump(exclude={"group"}) == {
        "n_items": 1, "n_readable": 1, "fps": (8.0,), "frames": (9,), "sizes": ("96x64",),
    }  # fmt: skip


def test_everything_wrong_is_told_at_once(folder: Path) -> None:
    (folder / "text.mp4").write_text("no video")
    found = of(
        folder,
        EvalItem(id="gone", prompt="p", video="gone.mp4", masks="nine.masks"),
        EvalItem(id="text", prompt="p", video="text.mp4", masks="nine.masks"),
        EvalItem(id="bare", video="long.mp4"),
        EvalItem(id="empty", prompt="p", video="small.mp4", masks="empty.masks"),
    )
    errors = {one.item: one.message for one in reversed(found.problems) if one.level == "error"}
    assert errors["gone"].startswith("missing: ")
    assert errors["text"].startswith("broken: ")
    assert errors["bare"] == "no prompt; metrics that need it skip the item"
    assert "no masks; metrics that need them skip the item" in told(found, "error")
    assert "masks of 1 objects, all empty" in told(found, "error")
    assert found.n_errors == 6


def test_long_videos_under_the_short_protocol_and_mask_lengths(folder: Path) -> None:
    found = of(folder, EvalItem(id="a", prompt="p", video="long.mp4", masks="nine.masks"))
    (error,) = told(found, "error")
    assert error.startswith("mini_mask_miou: 9 mask frames (8 fps) cover 9 frames of a video of 41 at 8 fps")
    assert told(found, "warning") == [
        "1 videos of 5.12 to 5.12 s: VBench's authors score videos from 5 s on with protocol: long; "
        "this suite does not for overall_consistency, motion_smoothness"
    ]


def test_a_video_of_one_frame_is_said_before_it_fails(folder: Path) -> None:
    write_mp4([np.full((128, 192, 3), 90, np.uint8)], folder / "still.mp4", 8)
    item = EvalItem(id="a", prompt="p", video="still.mp4")
    suite = SuiteOptions.parse({"metrics": [{"metric": "temporal_flickering"}, {"metric": "motion_smoothness"}]})
    found = validate(EvalPlan(suite, (item.model_copy(update={"video": str(folder / "still.mp4")}),)))
    assert told(found, "error") == [
        "1 frames: temporal_flickering needs at least 2", "1 frames: motion_smoothness needs at least 3",
    ]  # fmt: skip


def test_a_declared_length_is_compared_with_the_files(folder: Path) -> None:
    known = {"prompt": "p", "video": "small.mp4", "masks": "nine.masks"}
    found = of(folder, EvalItem(id="a", seconds=12, **known), EvalItem(id="b", seconds=1, **known))
    assert told(found, "warning")[:-1] == [
        "the manifest declares 12 s, but the file has 1.0 s (1 videos): tables use the files' length"
    ]


def test_systems_asked_for_other_items_and_uneven_videos(folder: Path) -> None:
    known = {"prompt": "p", "masks": "nine.masks"}
    found = of(
        folder,
        EvalItem(id="a", system="one", video="small.mp4", **known),
        EvalItem(id="b", system="one", video="long.mp4", **known),
        EvalItem(id="a", system="two", video="small.mp4", **known),
    )
    groups = {(one.group, one.message) for one in found.problems if not one.item}
    assert ("two", "lacks 1 items of other systems, such as 'b'") in groups
    assert ("one", "sizes differ within the system: 192x128, 96x64") in groups


def test_one_file_for_several_items_is_told(folder: Path) -> None:
    known = {"prompt": "p", "video": "small.mp4", "masks": "nine.masks"}
    (told_of,) = told(of(folder, EvalItem(id="a", **known), EvalItem(id="b", **known)), "warning")
    assert told_of == "1 video files belong to several items, such as 'a' and 'b': n counts each item"


def test_what_no_item_has_is_told_once(folder: Path) -> None:
    found = of(folder, *(EvalItem(id=name, video="small.mp4", prompt="p") for name in "abc"))
    assert [one.message for one in found.problems if not one.item and "video file" not in one.message] == [
        "no item has masks, so there are no scores for mini_mask_miou"
    ]
    assert found.n_errors == 3  # each is too small for motion smoothness


def test_masks_of_another_rate_or_shape_are_told_as_scoring_takes_them(folder: Path) -> None:
    known = {"prompt": "p", "video": "small.mp4"}
    masks = np.ones((25, 1, 32, 48), np.bool_)  # 24 per second: 25 of them are the 9 frames at 8 per second
    save_masks(folder / "fast.masks", encode(masks), 24)
    save_masks(folder / "almost.masks", encode(np.ones((9, 1, 64, 97), np.bool_)), 8)  # 1 % wider
    save_masks(folder / "square.masks", encode(np.ones((9, 1, 64, 64), np.bool_)), 8)
    found = of(folder, *(EvalItem(id=name, masks=f"{name}.masks", **known) for name in ("fast", "almost", "square")))
    errors = [(one.item, one.message) for one in found.problems if "mask" in one.message]
    assert errors == [
        (
            "square",
            "mini_mask_miou: masks of 64x64 px for a video of 96x64: aspect ratios differ; set `fit` (crop, "
            "letterbox or stretch) to how the generator fitted them to its frame",
        )
    ]


def test_masks_that_only_the_source_is_measured_with_need_not_fit_the_video(folder: Path) -> None:
    item = EvalItem(id="a", video=str(folder / "long.mp4"), masks=str(folder / "nine.masks"),
                    source_video=str(folder / "small.mp4"))  # fmt: skip
    metric = {"metric": "mask_miou", "options": {"subject": "source", "segmenter_options": {"weights": "mini"}}}
    assert validate(EvalPlan(SuiteOptions.parse({"metrics": [metric]}), (item,))).problems == ()


def test_every_metric_tells_its_smallest_side_before_it_is_loaded(folder: Path) -> None:
    write_mp4((np.full((14, 48, 3), 90, np.uint8) for _ in range(9)), folder / "flat.mp4", 8)
    names = ("mini_imaging", "mini_smoothness", "temporal_flickering")
    suite = SuiteOptions.parse({"metrics": [{"metric": name} for name in names]})
    found = validate(EvalPlan(suite, (EvalItem(id="a", video=str(folder / "flat.mp4")),)))
    assert told(found, "error") == [
        "48x14: mini_imaging needs at least 32 px on each side",
        "48x14: mini_smoothness needs at least 16 px on each side",
    ]


FORESEEN = [
    {"metric": "temporal_flickering"},
    {"metric": "mini_smoothness"},
    {"metric": "mini_smoothness", "as": "mini_smoothness_long", "options": {"protocol": "long"}},
    {"metric": "drift", "options": {"new_frames": 2}},
    {"metric": "drift", "as": "joins"},
]


def test_what_fails_in_a_run_is_told_before_it_and_nothing_else(tmp_path: Path) -> None:
    """Trends of too few clips, unknown joins, clips of two frames: validation let them pass."""
    items = []
    for n_frames, height, fps in ((1, 32, 8), (2, 32, 8), (4, 32, 8), (9, 32, 8), (9, 8, 8), (9, 32, 1), (9, 32, 0.5)):
        name = f"{n_frames}-{height}-{fps}"
        frames = (np.full((height, height, 3), 90 + 9 * t, np.uint8) for t in range(n_frames))
        write_mp4(frames, tmp_path / f"{name}.mp4", fps)
        items.append(EvalItem(id=name, video=str(tmp_path / f"{name}.mp4")))
    plan = EvalPlan(SuiteOptions.parse({"metrics": FORESEEN}), tuple(items))
    found = [one for one in validate(plan).problems if one.level == "error"]
    run_suite(plan, tmp_path / "out")
    failed = {(row.id, row.metric) for row in read_result(tmp_path / "out").rows if row.status == "failed"}
    names = [one.name for one in prepare(plan.suite)]
    assert {
        (one.item, name) for one in found for name in names if name in one.message.replace(":", "").split()
    } == failed
    assert {name for _, name in failed} == set(names)
    assert ("9-32-8", "drift") not in failed


def test_masks_and_sources_that_fail_in_a_run_are_told_before_it(folder: Path) -> None:
    """Nothing to track from frame 0, a source that is broken, short or of another shape."""
    (folder / "broken.mp4").write_text("no video")
    area = np.zeros((9, 1, 64, 96), np.bool_)
    area[1:, 0, 8:24, 8:24] = True
    save_masks(folder / "late.masks", encode(area), 8, ["box"])
    write_mp4((np.full((64, 64, 3), 90, np.uint8) for _ in range(9)), folder / "square.mp4", 8)
    write_mp4((np.full((64, 96, 3), 90, np.uint8) for _ in range(5)), folder / "short.mp4", 8)
    track, source = {"prompt": "first_frame_track"}, {"subject": "source"}
    for masks, origin, options, why in (
        ("late", "long", track, "track: no object has a mask on frame 0, so there is nothing to track"),
        ("late", "long", track | source, "track: no object has a mask on frame 0, so there is nothing to track"),
        ("nine", "long", track, ""),
        ("late", "long", source, ""),
        ("nine", "broken", source, "broken.mp4"),
        ("nine", "gone", source, "gone.mp4 does not exist"),
        ("nine", "square", source, "aspect ratios differ"),
        ("nine", "short", source, "9 mask frames (8 fps) cover 9 frames of a video of 5 at 8 fps"),
        ("nine", "short", track, ""),
    ):
        item = EvalItem(id="a", video=str(folder / "small.mp4"), masks=str(folder / f"{masks}.masks"),
                        source_video=str(folder / f"{origin}.mp4"))  # fmt: skip
        suite = SuiteOptions.parse({"metrics": [{"metric": "mask_miou", "as": "mini_track", "options": options}]})
        problems = [one.message for one in validate(EvalPlan(suite, (item,))).problems if one.level == "error"]
        try:
            frames_to_score(EvalVideo(item), MaskMiouOptions.parse(options))
            failure = ""
        except MediaError as error:
            failure = str(error)
        assert bool(problems) == bool(failure) == bool(why), (masks, origin, options)
        assert why in failure.replace("a: ", "track: ") or why in failure
        assert all(why in one for one in problems), problems
