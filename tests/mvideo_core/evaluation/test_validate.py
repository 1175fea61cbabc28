from pathlib import Path

import numpy as np
import pytest

from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.plan import EvalPlan
from mvideo_core.evaluation.suite import SuiteOptions
from mvideo_core.evaluation.validate import Validation, validate
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
    assert told(found, "warning") == [
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


def test_what_no_item_has_is_told_once(folder: Path) -> None:
    found = of(folder, *(EvalItem(id=name, video="small.mp4", prompt="p") for name in "abc"))
    assert [one.message for one in found.problems if not one.item] == [
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
