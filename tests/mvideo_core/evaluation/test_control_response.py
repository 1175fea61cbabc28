"""The metric on painted videos: by colors, by silhouettes, through the harness, and what it refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.evaluation.control.interventions import write_interventions
from mvideo_core.evaluation.control.summary import (
    _Sums,
    control_markdown,
    normalize_miou,
    ratio_of,
    summarize_control,
)
from mvideo_core.evaluation.intervals import estimate_mean
from mvideo_core.evaluation.manifest import (
    EvalItem,
    Intervention,
    absolute_items,
    flatten_items,
    fold_items,
    read_manifest,
    write_manifest,
)
from mvideo_core.evaluation.metrics.control_response import ControlResponse, ControlResponseOptions
from mvideo_core.evaluation.plan import make_plan
from mvideo_core.evaluation.result import read_result
from mvideo_core.evaluation.run import run_suite
from mvideo_core.evaluation.suite import IntervalOptions, SuiteOptions, prepare
from mvideo_core.evaluation.validate import validate
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import MaskSequence
from mvideo_core.masks.io.clip import take_frames
from tests.mvideo_core.evaluation.control.drawn import N_FRAMES, squares
from tests.mvideo_core.evaluation.control.painted import MOVING, ColorSegmenter, paint_videos, write_set

SILHOUETTES = SuiteOptions.parse({"metrics": [{"metric": "control_response", "options": {"judge": "silhouettes"}}]})


def video_of(manifest: Path) -> EvalVideo:
    return EvalVideo(absolute_items(read_manifest(manifest))[0])


def by_color(manifest: Path) -> dict[str, float]:
    found = ControlResponse(ColorSegmenter(), ControlResponseOptions()).score(video_of(manifest))
    return {"control": found.value, **found.details}


def late(masks: MaskSequence) -> MaskSequence:
    return take_frames(masks, np.maximum(np.arange(masks.n_frames) - 4, 0))


def exchanged(masks: MaskSequence) -> MaskSequence:
    return masks.select([1, 0])


@pytest.fixture(scope="module")
def perfect(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("perfect")
    manifest = write_set(folder)
    paint_videos(manifest, lambda masks: masks)
    return manifest


@pytest.fixture(scope="module")
def obedient(tmp_path_factory) -> Path:
    """As `perfect`, with silhouettes; painted once, and copied by the tests that change it."""
    manifest = write_set(tmp_path_factory.mktemp("obedient"))
    paint_videos(manifest, lambda masks: masks, seen=True)
    return manifest


@pytest.fixture
def own_copy(obedient, tmp_path) -> Path:
    """A copy of `obedient` to change."""
    return shutil.copytree(obedient.parent, tmp_path / "set") / obedient.name


def test_what_obeys_in_everything(perfect):
    found = by_color(perfect)
    assert found["gain"] == pytest.approx(1.0, abs=0.02)
    assert found["lag_frames"] == pytest.approx(0.0, abs=0.1)
    assert found["leakage"] == pytest.approx(0.0, abs=0.02)
    assert (found["identity"], found["gain_drop"], found["n_edits"], found["n_lost"]) == (1.0, 1.0, 6.0, 0.0)
    assert found["miou_normalized"] > 0.9


def test_what_ignores_its_masks(tmp_path):
    manifest = write_set(tmp_path)
    paint_videos(manifest, lambda masks: MOVING)
    found = by_color(manifest)
    assert (found["control"], found["gain"], found["identity"]) == (0.0, pytest.approx(0.0, abs=0.01), 0.0)
    assert found["gain_swap"] == pytest.approx(0.0, abs=0.01)  # colors tell that nobody has changed places
    assert found["gain_drop"] == pytest.approx(0.0, abs=0.01)
    assert "lag_frames" not in found


def test_what_is_four_frames_late(tmp_path):
    manifest = write_set(tmp_path)
    paint_videos(manifest, late)
    found = by_color(manifest)
    assert found["lag_frames"] == pytest.approx(4.0, abs=0.25)
    assert found["gain"] == pytest.approx(1.0, abs=0.02)
    assert found["control"] == pytest.approx(0.5, abs=0.03)  # half a second halves it


def test_what_draws_each_object_in_the_place_of_the_other(tmp_path):
    """Seen from silhouettes alone this is perfect; by their own masks objects are at the wrong place in every video."""
    manifest = write_set(tmp_path)
    paint_videos(manifest, exchanged, seen=True)
    video = video_of(manifest)
    metric = ControlResponse(None, ControlResponseOptions(judge="silhouettes"))
    found = metric.score(video)
    assert (found.value, found.details["identity"]) == (0.0, 0.0)
    assert found.details["gain_shift"] == pytest.approx(0.0)


def test_silhouettes_need_no_pixels(obedient):
    found = ControlResponse(None, ControlResponseOptions(judge="silhouettes")).score(video_of(obedient))
    assert found.value == 1.0
    assert found.details["gain_shift"] == 1.0
    assert "outline" not in found.details  # squares are their own boxes


def test_the_source_video_is_the_ceiling(perfect):
    item = absolute_items(read_manifest(perfect))[0]
    video = EvalVideo(item.model_copy(update={"source_video": item.video}))
    found = ControlResponse(ColorSegmenter(), ControlResponseOptions()).score(video).details
    assert 0.9 < found["miou_ceiling"] <= 1.0


def test_system_numbers_with_intervals(tmp_path):
    manifest = write_set(tmp_path, n_items=6)
    paint_videos(manifest, late, seen=True)
    run_suite(make_plan(SILHOUETTES, [str(manifest)]), tmp_path / "out")
    loaded = read_result(tmp_path / "out")
    (system,) = summarize_control(loaded)
    assert (system.title, system.n, system.n_prompts) == ("drawn", 6, 6)
    lag = system.parts["lag_frames"]
    assert (lag.value, lag.low, lag.high) == (4.0, 4.0, 4.0)  # six times the same video
    text = control_markdown(loaded)
    assert (
        "| System | Metric | n | prompts | missing | failed | control | gain | lag, frames | leakage | identity | "
        "outline | mIoU, normalized | own control (n) |" in text
    )
    assert "| drawn | control_response | 6 | 6 | 0 | 0 | 0.5" in text
    assert "4.000 [4.000, 4.000]" in text
    assert normalize_miou(loaded) == ()


def test_ratios_are_of_sums_over_items_with_the_interval_of_whole_prompts():
    sums = [_Sums(float(n), 2.0, f"prompt {n}") for n in range(8)]
    found = ratio_of(sums, IntervalOptions())
    assert found is not None
    assert (found.value, found.n) == (28 / 16, 8)
    same = estimate_mean([n / 2 for n in range(8)], range(8), IntervalOptions())  # equal denominators: a mean
    assert (found.low, found.high) == (same.low, same.high)
    joined = ratio_of([one._replace(cluster="the same") for one in sums], IntervalOptions())
    assert joined is not None
    assert (joined.value, joined.low) == (28 / 16, None)  # one prompt: no interval
    assert ratio_of([_Sums(1.0, 0.0, "a")], IntervalOptions()) is None


def test_a_missing_or_failed_video_of_an_edit_fails_the_item_in_one_line(own_copy, tmp_path):
    item = read_manifest(own_copy).items[0]
    lost = Path(own_copy.parent, item.interventions[0].video)
    lost.unlink()
    run_suite(make_plan(SILHOUETTES, [str(own_copy)]), tmp_path / "out")
    (row,) = read_result(tmp_path / "out").rows
    assert row.status == "failed"
    assert row.message == f"0: edit 'shift': {lost} does not exist"
    told = validate(make_plan(SILHOUETTES, [str(own_copy)])).problems
    assert [one.message for one in told if one.level == "error"] == [f"edit 'shift': {lost} does not exist"]


def test_a_changed_video_of_an_edit_is_scored_again(own_copy, tmp_path):
    run_suite(make_plan(SILHOUETTES, [str(own_copy)]), tmp_path / "out")
    assert read_result(tmp_path / "out").rows[0].value == 1.0
    item = absolute_items(read_manifest(own_copy))[0]
    shift = next(one for one in item.interventions if one.edit == "shift")
    save_masks(Path(shift.seen_masks), MOVING, 8.0, ["", ""])
    run_suite(make_plan(SILHOUETTES, [str(own_copy)]), tmp_path / "out")
    (row,) = read_result(tmp_path / "out").rows
    assert (row.details["gain_shift"], row.details["gain_scale"]) == (0.0, 1.0)
    assert row.value == pytest.approx(5 / 6 * 5 / 6)  # of six edits one without response, and without its object


def test_masks_of_another_length_are_refused_in_one_line(own_copy):
    item = absolute_items(read_manifest(own_copy))[0]
    one = item.interventions[0]
    save_masks(Path(one.masks), take_frames(load_masks(one.masks).sequence, range(9)), 8.0, ["", ""])
    with pytest.raises(MediaError, match=r"seen_masks of 17 frames with 2 objects, masks of 9 with 2"):
        ControlResponse(None, ControlResponseOptions(judge="silhouettes")).score(EvalVideo(item))
    told = validate(make_plan(SILHOUETTES, [str(own_copy)])).problems
    assert any(
        "edit 'shift': masks of [9, 2, 60, 80], and without the edit of [17, 2, 60, 80]" in one.message for one in told
    )
    with pytest.raises(MediaError, match=r"^0\+shift: 9 mask frames .* of 17 at 8 fps; give masks of the same length$"):
        ControlResponse(ColorSegmenter(), ControlResponseOptions()).score(EvalVideo(item))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"interventions": [{"masks": "a.masks"}]}, "interventions.0.edit: Field required"),
        ({"interventions": [{"edit": "shift"}]}, "interventions.0.masks: Field required"),
        ({"interventions": [{"edit": "to the left", "masks": "a"}]}, "interventions.0.edit: String should match"),
        ({"interventions": [{"edit": "a", "masks": "a", "vido": "b"}]}, "interventions.0.vido: Extra inputs"),
        ({"interventions": [{"edit": "a", "masks": "a"}] * 2}, "2 interventions are called 'a'"),
        ({"interventions": {"edit": "a"}}, "interventions: Input should be a valid tuple"),
    ],
)
def test_manifest_errors_take_one_line(tmp_path, line, message):
    path = tmp_path / "manifest.jsonl"
    path.write_text(json.dumps({"id": "one", **line}) + "\n")
    with pytest.raises(ConfigError) as told:
        read_manifest(path)
    assert f"{path}, line 1: " in str(told.value)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


def test_an_item_without_interventions_is_inapplicable(own_copy, tmp_path):
    write_manifest([read_manifest(own_copy).items[0].model_copy(update={"interventions": ()})], own_copy)
    run_suite(make_plan(SILHOUETTES, [str(own_copy)]), tmp_path / "out")
    (row,) = read_result(tmp_path / "out").rows
    assert (row.status, row.message) == ("inapplicable", "the item has no interventions")


def test_the_mini_segmenter_is_named_and_silhouettes_are_not():
    suite = SuiteOptions.parse({"metrics": [{"metric": "control_response"}]})
    assert [one.name for one in prepare(suite)] == ["mini_control_response"]
    assert [one.name for one in prepare(SILHOUETTES)] == ["control_response"]


def test_flat_items_fold_back():
    item = EvalItem(
        id="a", masks="m", interventions=(Intervention(edit="x", masks="n"), Intervention(edit="y", masks="o"))
    )
    other = EvalItem(id="b", masks="p")
    flat = flatten_items([item, other])
    assert [(one.id, one.masks) for one in flat] == [("a", "m"), ("a+x", "n"), ("a+y", "o"), ("b", "p")]
    assert fold_items([item, other], flat) == [item, other]


def test_interventions_of_items_that_cannot_be_edited(tmp_path):
    save_masks(tmp_path / "good.masks", MOVING, 8.0, ["", ""])
    nobody = np.full(N_FRAMES, -1)
    save_masks(tmp_path / "none.masks", squares(nobody, np.where(np.arange(N_FRAMES) > 3, 60, -1)), 8.0, ["", ""])
    items = [
        EvalItem(id="good", masks=str(tmp_path / "good.masks"), seconds=1.0),
        EvalItem(id="late", masks=str(tmp_path / "none.masks")),
        EvalItem(id="bare"),
        EvalItem(id="short", masks=str(tmp_path / "good.masks"), seconds=9.0),
    ]
    written = write_interventions(items, tmp_path / "out")
    assert written.n_items == 1
    assert [text.split(":")[0] for text in written.unusable] == ["late", "bare", "short"]
    assert "17 frames at 8 fps and 9 s need 73" in written.unusable[2]
    (item,) = read_manifest(written.path).items
    assert load_masks(tmp_path / "out" / item.masks).sequence == take_frames(MOVING, range(9))
    with pytest.raises(ConfigError, match="no item of 1 can be edited; bare: it has no masks to edit"):
        write_interventions(items[2:3], tmp_path / "other")
