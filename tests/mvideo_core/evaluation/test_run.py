"""The harness on drawn files: cache, resume, parts, broken and missing videos, an unavailable metric."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, KilledError, StoreError
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.evaluation.aggregate import ScoreRow, group_of
from mvideo_core.evaluation.base import VideoScore
from mvideo_core.evaluation.export import frames_without
from mvideo_core.evaluation.manifest import EvalItem, write_manifest
from mvideo_core.evaluation.plan import EvalPlan, Part, make_plan, parse_part, shuffle_masks
from mvideo_core.evaluation.record_files import write_record
from mvideo_core.evaluation.result import collect, find_waiting_parts, note_path, read_result
from mvideo_core.evaluation.retry import forget_failed
from mvideo_core.evaluation.run import _Ready, _score_item, run_suite, score_part
from mvideo_core.evaluation.suite import SuiteOptions, load_suite, prepare
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4

ABSENT = {"segmenter": "sam2", "segmenter_options": {"weights": "./no-such-folder"}}


def suite(*metrics: dict[str, Any]) -> SuiteOptions:
    return SuiteOptions.parse({"metrics": list(metrics) or [{"metric": "temporal_flickering"}]})


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three gray videos whose frames differ by 2, 4 and 6 levels, a broken file, and a manifest that asks for more."""
    folder = tmp_path_factory.mktemp("videos")
    for number in (1, 2, 3):
        frames = (np.full((32, 48, 3), 40 + 2 * number * t, np.uint8) for t in range(9))
        write_mp4(frames, folder / f"step {number}-0.mp4", 8)
    (folder / "broken-0.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 100)
    names = ["step 1-0", "step 2-0", "step 3-0", "broken-0", "gone-0"]
    items = [EvalItem(id=name, system="gray", video=f"{name}.mp4", prompt=name[:-2]) for name in names]
    write_manifest(items, folder / "manifest.jsonl")
    return folder


def plan_of(folder: Path, *metrics: dict[str, Any]) -> EvalPlan:
    return make_plan(suite(*metrics), [str(folder)])


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("scores/*/*.json")}


def test_scores_counts_and_reasons(videos: Path, tmp_path: Path) -> None:
    metrics = ({"metric": "temporal_flickering"}, {"metric": "mask_miou", "options": ABSENT})
    result = run_suite(plan_of(videos, *metrics), tmp_path)
    (group,) = result.groups
    got = group.metrics["temporal_flickering"]
    assert (got.n, got.n_missing, got.n_failed) == (3, 1, 1)
    assert got.mean == pytest.approx(1 - 4 / 255, abs=1e-3)  # mean of 2, 4 and 6 levels; H.264 is not exact
    assert got.n_frames == 3 * 8  # pairs of neighbors
    assert got.micro == pytest.approx(got.mean)
    assert "no-such-folder" in result.unavailable["mask_miou"]
    assert "mask_miou" not in group.metrics
    rows = {row.id: row for row in read_result(tmp_path).rows}
    assert (rows["broken-0"].status, rows["broken-0"].error) == ("failed", "MediaError")
    assert "broken-0.mp4" in rows["broken-0"].message
    assert rows["gone-0"].status == "missing"
    assert not rows["gone-0"].score


def test_interrupted_run_goes_on_and_scores_nothing_twice(videos: Path, tmp_path: Path) -> None:
    plan = plan_of(videos)

    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_part(plan, Part(), tmp_path / "a", stop)
    assert not (tmp_path / "a" / "result.json").exists()
    before = stamps(tmp_path / "a")
    assert len(before) == 2
    run_suite(plan, tmp_path / "a")
    after = stamps(tmp_path / "a")
    assert {name: after[name] for name in before} == before
    assert len(after) == 4  # three good ones and the broken one; the missing one has no file
    run_suite(plan, tmp_path / "a")
    assert stamps(tmp_path / "a") == after
    run_suite(plan, tmp_path / "b")
    for name in ("result.json", "rows.jsonl", "items.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_parts_give_the_bytes_of_one_run(videos: Path, tmp_path: Path) -> None:
    plan = plan_of(videos)
    run_suite(plan, tmp_path / "whole")
    score_part(plan, Part(1, 2), tmp_path / "parts")
    assert find_waiting_parts(plan, 2, tmp_path / "parts") == [0]
    with pytest.raises(ConfigError, match=r"parts \[0\] of 2"):
        collect(plan, 2, tmp_path / "parts")
    score_part(plan, Part(0, 2), tmp_path / "parts")
    collect(plan, 2, tmp_path / "parts")
    for name in ("result.json", "rows.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_parts_with_different_weights_are_not_mixed(videos: Path, tmp_path: Path) -> None:
    plan = plan_of(videos)
    for index in range(2):
        note = score_part(plan, Part(index, 2), tmp_path)
        other = note.model_copy(update={"rows": (), "weights": {"temporal_flickering": f"{index}" * 64}})
        write_record(note_path(tmp_path, Part(index, 2)), other)
    with pytest.raises(ConfigError, match=r"different weights of temporal_flickering \(000000000000, 111111111111\)"):
        collect(plan, 2, tmp_path)


def test_a_changed_video_or_option_is_scored_anew_and_a_mended_one_too(videos: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(videos, folder)
    run_suite(plan_of(folder), out)
    first = stamps(out)
    shutil.copy(folder / "step 1-0.mp4", folder / "broken-0.mp4")  # mended: same bytes as another one
    result = run_suite(plan_of(folder), out)
    assert stamps(out) == first  # the score of these bytes was there
    assert result.groups[0].metrics["temporal_flickering"].n_failed == 0
    run_suite(plan_of(folder, {"metric": "temporal_flickering", "options": {"protocol": "long"}}), out, overwrite=True)
    assert len(stamps(out)) == len(first) + 3


def test_failed_scores_are_made_again_when_asked(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit fails good videos; once it is lifted and after `forget_failed` they are scored, the rest is kept."""
    plan = plan_of(videos)
    with monkeypatch.context() as patched:
        patched.setattr("mvideo_core.evaluation.video.MAX_DECODED_BYTES", 1000)
        assert run_suite(plan, tmp_path).groups[0].metrics["temporal_flickering"].n_failed == 4
    assert run_suite(plan, tmp_path).groups[0].metrics["temporal_flickering"].n_failed == 4  # kept
    assert forget_failed(tmp_path) == 4
    assert find_waiting_parts(plan, 1, tmp_path) == [0]
    assert run_suite(plan, tmp_path).groups[0].metrics["temporal_flickering"].n_failed == 1
    good = stamps(tmp_path)
    assert forget_failed(tmp_path) == 1  # the broken one
    run_suite(plan, tmp_path)
    assert sum(stamp == good.get(name) for name, stamp in stamps(tmp_path).items()) == 3
    with pytest.raises(ConfigError, match="contains no evaluation"):
        forget_failed(tmp_path / "nothing")


def test_a_damaged_score_is_named(videos: Path, tmp_path: Path) -> None:
    run_suite(plan_of(videos), tmp_path)
    path = next(tmp_path.glob("scores/*/*.json"))
    path.write_text(json.dumps({"value": 1}))
    with pytest.raises(StoreError, match=path.name):
        run_suite(plan_of(videos), tmp_path)


def test_items_without_what_a_metric_needs_are_told_apart_from_failures(videos: Path, tmp_path: Path) -> None:
    options = {"segmenter": "sam2", "segmenter_options": {"weights": "mini"}}
    result = run_suite(plan_of(videos, {"metric": "mask_miou", "options": options}), tmp_path)
    got = result.groups[0].metrics["mini_mask_miou"]
    assert (got.n, got.n_failed, got.n_inapplicable, got.n_missing) == (0, 0, 4, 1)
    assert got.mean is None


def test_shuffling_leaves_no_item_its_own_masks() -> None:
    items = [EvalItem(id=f"{n}-{seed}", masks=f"m{n}", system="s") for n in range(5) for seed in range(3)]
    pairs = shuffle_masks(items)
    assert all(pairs[group_of(item), item.id].masks != item.masks for item in items)
    for seed in range(3):  # a derangement: every mask file is used once per seed
        assert {pairs[group_of(items[0]), f"{n}-{seed}"].masks for n in range(5)} == {f"m{n}" for n in range(5)}
    other = [item.model_copy(update={"system": "t"}) for item in reversed(items)]
    again = shuffle_masks(other)
    assert {name: one.masks for (_, name), one in again.items()} == {
        name: one.masks for (_, name), one in pairs.items()
    }
    assert shuffle_masks(items[:3]) == {}  # one mask file only


@pytest.mark.parametrize("text", ["4/4", "-1/2", "1", "a/b", "0/0"])
def test_parts_that_do_not_exist(text: str) -> None:
    with pytest.raises(ConfigError, match="INDEX/COUNT"):
        parse_part(text)


def test_wrong_suites_say_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match="no metric called 'clarity'"):
        prepare(suite({"metric": "clarity"}))
    with pytest.raises(ConfigError, match="allowed keys"):
        prepare(suite({"metric": "temporal_flickering", "options": {"protokoll": "short"}}))
    with pytest.raises(ConfigError, match="with `as`"):
        suite({"metric": "temporal_flickering"}, {"metric": "temporal_flickering"})


@pytest.mark.parametrize("name", ["control", "mini", "paper"])
def test_shipped_suites_fit_the_metrics(name: str) -> None:
    chosen = load_suite(name)
    assert [one.name for one in prepare(chosen)] == [one.name for one in chosen.metrics]
    assert SuiteOptions.parse(chosen.model_dump(mode="json")) == chosen


def test_a_part_is_scored_again_when_a_file_of_it_has_changed(videos: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(videos, folder)
    plan = plan_of(folder)  # part 0: steps 1 and 3, gone; part 1: step 2, broken
    for index in range(2):
        score_part(plan, Part(index, 2), out)
    assert find_waiting_parts(plan, 2, out) == []
    shutil.copy(folder / "step 1-0.mp4", folder / "step 2-0.mp4")
    assert find_waiting_parts(plan, 2, out) == [1]
    with pytest.raises(ConfigError, match=r"parts \[1\] of 2 .*files have changed"):
        collect(plan, 2, out)
    score_part(plan, Part(1, 2), out)
    shutil.copy(folder / "step 1-0.mp4", folder / "gone-0.mp4")  # what was missing came
    assert find_waiting_parts(plan, 2, out) == [0]
    score_part(plan, Part(0, 2), out)
    (folder / "broken-0.mp4").unlink()  # what was there went
    assert find_waiting_parts(plan, 2, out) == [1]
    score_part(plan, Part(1, 2), out)
    got = collect(plan, 2, out).groups[0].metrics["temporal_flickering"]
    assert (got.n, got.n_missing, got.n_failed) == (4, 1, 0)
    assert got.mean == pytest.approx(1 - (3 * 2 + 6) / 4 / 255, abs=1e-3)  # steps 1, 1, 3 and 1


def test_masks_that_changed_make_a_part_wait(videos: Path, tmp_path: Path) -> None:
    masks = [tmp_path / f"{name}.masks" for name in "ab"]
    for path in masks:
        save_masks(path, encode(np.ones((9, 1, 32, 48), bool)), 8)
    about = {"video": str(videos / "step 1-0.mp4")}
    items = tuple(EvalItem(id=path.stem, masks=str(path), **about) for path in masks)
    shuffled = {"metric": "mask_miou", "options": {"pairing": "shuffled", "segmenter_options": {"weights": "mini"}}}
    plan = EvalPlan(suite(shuffled), items)
    score_part(plan, Part(0, 2), tmp_path)
    score_part(plan, Part(1, 2), tmp_path)
    assert find_waiting_parts(plan, 2, tmp_path) == []
    save_masks(masks[1], encode(np.eye(32, 48, dtype=bool)[None, None].repeat(9, axis=0)), 8)
    assert find_waiting_parts(plan, 2, tmp_path) == [0]  # item a is measured against the masks of b


class Odd:
    """What a metric may do to the harness: no number, or a probing child that is killed twice."""

    weights_sha256 = ""

    def __init__(self, deaths: int, value: float):
        self.deaths, self.value = deaths, value

    def score(self, video: EvalVideo) -> VideoScore:
        self.deaths -= 1
        if self.deaths >= 0:
            raise KilledError("killed by signal 9")
        return VideoScore(value=self.value)


def scored_by(metric: Odd, folder: Path, out: Path) -> list[ScoreRow]:
    about = prepare(suite())[0]
    item = EvalItem(id="a", video=str(folder / "step 1-0.mp4"))
    return _score_item(item, [_Ready(about, metric)], {}, out)  # type: ignore[arg-type]


def test_a_value_that_is_not_finite_is_a_failure_not_a_mean(videos: Path, tmp_path: Path) -> None:
    (row,) = scored_by(Odd(0, float("nan")), videos, tmp_path)
    assert (row.status, row.value) == ("failed", None)
    assert "a: temporal_flickering returned a non-finite score (nan)" in row.message


def test_a_killed_try_is_repeated_and_never_kept_as_the_videos_fault(videos: Path, tmp_path: Path) -> None:
    (row,) = scored_by(Odd(2, 0.5), videos, tmp_path / "a")
    assert (row.status, row.value) == ("ok", 0.5)
    (row,) = scored_by(Odd(3, 0.5), videos, tmp_path / "b")
    assert (row.status, row.error) == ("failed", "KilledError")
    assert not (tmp_path / "b" / row.score).exists()


def test_frames_between_masks_are_no_skipped_frames_and_lost_masks_count(tmp_path: Path) -> None:
    """By hand. fast: 25 frames at 24 per second under 9 masks at 8, one of them empty: 8 compared, 1 skipped, 16
    between. short: 39 frames under 41 masks: 39 frames and two zeros. long: 6 frames under 4 masks.
    """
    full = np.ones((41, 1, 32, 48), np.bool_)
    holed = full[:9].copy()
    holed[4] = False
    for name, n_frames, fps, masks in (("fast", 25, 24, holed), ("short", 39, 8, full), ("long", 6, 8, full[:4])):
        write_mp4([np.full((32, 48, 3), 40, np.uint8)] * n_frames, tmp_path / f"{name}.mp4", fps)
        save_masks(tmp_path / f"{name}.masks", encode(masks), 8)
    items = [
        EvalItem(id=one, system=one, video=f"{one}.mp4", masks=f"{one}.masks") for one in ("fast", "short", "long")
    ]
    write_manifest(items, tmp_path / "manifest.jsonl")
    metric = {"metric": "mask_miou", "options": {"align": True}}
    result = run_suite(plan_of(tmp_path, metric), tmp_path / "out")
    fast, short, _ = (group.metrics["mini_mask_miou"] for group in result.groups)
    assert (fast.n_frames, fast.n_frames_skipped, fast.n_frames_between) == (8, 1, 16)
    assert (short.n_frames, short.n_frames_skipped, short.n_frames_between) == (41, 0, 0)
    assert short.micro == pytest.approx(short.mean)
    assert frames_without(result) == [
        "S_m (mini), fast: 1 of 9 frames skipped (empty masks)",
        "S_m (mini), fast: 8 frames compared; 16 more fall between two masks, because the video has a higher frame "
        "rate than its masks",
        "S_m (mini), short: 2 masks after the end of their video score 0",
        "S_m (mini), long: 2 frames after the end of their masks are not scored",
    ]


def test_the_same_run_with_less_memory_finishes_the_result(tmp_path: Path) -> None:
    """After running out of memory: fewer frames at once are the same measurement, another policy is not."""
    write_mp4([np.full((32, 48, 3), 40, np.uint8)] * 3, tmp_path / "a.mp4", 8)
    save_masks(tmp_path / "a.masks", encode(np.ones((3, 1, 32, 48), np.bool_)), 8)
    item = EvalItem(id="a", system="s", video="a.mp4", masks="a.masks")
    write_manifest([item], tmp_path / "manifest.jsonl")

    def run(**options: Any) -> None:
        run_suite(plan_of(tmp_path, {"metric": "mask_miou", "options": options}), tmp_path / "out")

    run(frames_per_pass=2)
    before = stamps(tmp_path / "out")
    run(frames_per_pass=1)
    assert len(before) == 1
    assert stamps(tmp_path / "out") == before
    with pytest.raises(ConfigError, match="contains the result of metric mini_mask_miou"):
        run(empty_frames="one")


def test_a_result_of_other_videos_or_metrics_is_not_replaced(videos: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for place, value in ((first, 40), (second, 90)):
        place.mkdir()
        write_mp4([np.full((32, 48, 3), value, np.uint8)] * 3, place / "a.mp4", 8)
    suites = {"one": ({"metric": "temporal_flickering"},), "other": ({"metric": "mini_smoothness"},)}
    out = tmp_path / "out"
    run_suite(make_plan(suite(*suites["one"]), [str(first)]), out)
    before = (out / "result.json").read_bytes()
    with pytest.raises(ConfigError, match=r"contains the result of 1 other videos \(first: a, ...\).*another --out"):
        run_suite(make_plan(suite(*suites["one"]), [str(second)]), out)
    with pytest.raises(ConfigError, match="contains the result of metric temporal_flickering"):
        run_suite(make_plan(suite(*suites["other"]), [str(first)]), out)
    assert (out / "result.json").read_bytes() == before
    both = run_suite(make_plan(suite(*suites["one"]), [str(first), str(second)]), out)  # the same and more
    assert [group.system for group in both.groups] == ["first", "second"]
    replaced = run_suite(make_plan(suite(*suites["one"]), [str(second)]), out, overwrite=True)
    assert [group.system for group in replaced.groups] == ["second"]
