"""End to end on a small world: a perfect pipeline scores 1, and each kind of mistake costs what it should."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import Blob, CaptionRow, ClipRow, DetectionRow, MaskRow, ObjectStats
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.accuracy import AccuracyOptions, Rows, as_table, measure, write_report
from mvideo_core.miniworld.accuracy.mapping import clip_truth
from mvideo_core.miniworld.world import read_truth, render_shot, sample_shot, sample_source, write_source
from mvideo_core.miniworld.world.source import Join

W, H, FPS = 144, 96, 8.0
OPTIONS = AccuracyOptions(min_shot_s=1.0, funnel_margin_s=0.1, trim_s=0.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One video of three shots at 16 frames/s: 2 s, 2 s, 0.5 s, joined by a hard cut and a hard cut."""
    folder = tmp_path_factory.mktemp("world")
    shots = (sample_shot(21, "val"), sample_shot(34, "val"), sample_shot(9, "val"))
    spec = replace(sample_source(0, "val", n_shots=3), name="tiny", width=192, height=108, fps=Fraction(16),
                   shots=shots, lengths=(32, 32, 8), joins=(Join("hard", 0), Join("hard", 0)))  # fmt: skip
    write_source(spec, folder)
    return folder


def perfect(folder: Path, tmp_path: Path) -> Rows:
    """The rows that a faultless pipeline would write."""
    path = folder / "truth" / "tiny.json"
    truth = read_truth(path)
    clips = [ClipRow(key=f"tiny_{i}", parent="tiny", shot_index=i, start_s=2.0 * i, end_s=2.0 * i + 1.875, fps=FPS,
                     n_frames=15, width=W, height=H) for i in (0, 1)]  # fmt: skip
    short = ClipRow.filter_row("tiny_2-out", "tiny", "shot_too_short", 0.5, 1.0, shot_index=2, start_s=4.0, end_s=4.5)
    detections, masks, captions, packed = [], [], [], {}
    for clip in clips:
        true = clip_truth(path, truth, clip)
        asked, _ = true.objects_at(0)
        labels = [true.objects[obj].label for obj in asked]
        detections.append(DetectionRow(key=clip.key, parent=clip.key, labels=labels, scores=[0.9] * len(asked),
                                       boxes_xyxy=[true.box(0, obj).tolist() for obj in asked]))  # fmt: skip
        pixels = np.stack([[true.visible(k, obj) for obj in asked] for k in range(clip.n_frames)])
        packed[clip.key] = encode(pixels)
        stats = [ObjectStats(object_id=i, label=label, detection_score=0.9, mask_score=0.9, visible_frac=1.0,
                             mean_area_frac=0.1, drift=0.0) for i, label in enumerate(labels)]  # fmt: skip
        blob = Blob(path="x", sha256="", size_bytes=0)
        masks.append(MaskRow(key=clip.key, parent=clip.key, masks=blob, objects=stats, n_frames=15, width=W, height=H))
        captions.append(CaptionRow(key=clip.key, parent=clip.key, text=true.shot.caption))
        frames = render_shot(sample_shot(21, "val"), 15, W, H, FPS)
        write_mp4((frame.rgb for frame in frames), tmp_path / f"{clip.key}.mp4", FPS)
    return Rows([*clips, short], detections, masks, captions, lambda row: packed[row.key],
                lambda clip: tmp_path / f"{clip.key}.mp4")  # fmt: skip


def test_a_perfect_pipeline_is_perfect(world, tmp_path):
    rows = perfect(world, tmp_path)
    report = measure(world / "truth", rows, OPTIONS)
    assert report.cuts.all.f1 == 1.0
    assert report.cuts.by_kind["hard"].hits == 2
    assert report.detection.all.f1 == 1.0
    assert report.detection.class_accuracy == 1.0
    assert report.detection.mean_iou == 1.0
    assert report.masks.all.j_and_f == 1.0
    assert report.masks.matched.n_objects == sum(len(row.labels) for row in rows.detections) >= 3
    assert report.masks.n_frames == 30
    tracking = report.masks.tracking
    assert (tracking.hota, tracking.det_a, tracking.ass_a, tracking.idf1, tracking.switches) == (1, 1, 1, 1, 0)
    assert tracking.found == tracking.mostly_followed == tracking.visible.n_objects >= 3
    assert tracking.visible.j_and_f == 1.0
    assert report.captions.classes.recall == 1.0
    assert report.captions.actions.misses == 0
    assert (report.funnel.long_kept, report.funnel.short_dropped, report.funnel.correct_frac) == (2, 1, 1.0)
    assert (report.funnel.mixed_clips, report.funnel.unaccounted) == (0, 0)
    assert "J&F 1.000" in as_table(report)


def test_a_missed_box_a_false_box_and_a_wrong_name(world, tmp_path):
    rows = perfect(world, tmp_path)
    total = sum(len(row.labels) for row in rows.detections)
    first = rows.detections[0]
    spoiled = first.model_copy(update={
        "labels": ["zebra", *first.labels[1:-1], "dog"] if len(first.labels) > 1 else ["zebra", "dog"],
        "boxes_xyxy": [first.boxes_xyxy[0], *first.boxes_xyxy[1:-1], [0.0, 0.0, 9.0, 9.0]],
        "scores": [0.9] * max(2, len(first.labels))})  # fmt: skip
    report = measure(world / "truth", replace(rows, detections=[spoiled, *rows.detections[1:]]), OPTIONS).detection
    missed = 1 if len(first.labels) > 1 else 0
    assert (report.all.hits, report.all.misses, report.all.false_alarms) == (total - missed, missed, 1)
    assert report.class_accuracy == pytest.approx((total - missed - 1) / (total - missed))
    assert list(report.confusions) == [f"{first.labels[0]} > zebra"]


def test_a_lost_object_counts_as_zero_only_in_all(world, tmp_path):
    rows = perfect(world, tmp_path)
    victim = rows.masks[0].key
    whole = rows.open_masks(rows.masks[0])
    pixels = whole.pixels()
    pixels[:, 0] = False
    emptied = encode(pixels)
    report = measure(
        world / "truth",
        replace(rows, open_masks=lambda row: emptied if row.key == victim else rows.open_masks(row)),
        OPTIONS,
    ).masks
    n = report.all.n_objects
    assert report.matched.n_objects == n - 1
    assert report.matched.j_and_f == 1.0
    assert report.all.j_and_f == pytest.approx((n - 1) / n)


def test_masks_that_stop_half_way(world, tmp_path):
    rows = perfect(world, tmp_path)

    def frozen(row):
        pixels = rows.open_masks(row).pixels()
        pixels[8:] = False
        return encode(pixels)

    report = measure(world / "truth", replace(rows, open_masks=frozen), OPTIONS).masks
    # 8 of 15 frames right, the rest empty where something shows (objects that leave early may gain)
    assert 8 / 15 - 1e-9 <= report.matched.j < 0.75
    assert report.first_frame_j == 1.0


def test_missing_rows_are_losses_not_errors(world, tmp_path):
    rows = replace(perfect(world, tmp_path), clips=[], detections=[], masks=[], captions=[])
    report = measure(world / "truth", rows, OPTIONS)
    assert (report.cuts, report.detection, report.masks, report.captions) == (None, None, None, None)
    assert (report.funnel.long_lost, report.funnel.unaccounted, report.funnel.failed_videos) == (2, 3, 1)


def test_a_clip_over_a_cut_is_mixed(world, tmp_path):
    rows = perfect(world, tmp_path)
    long = rows.clips[0].model_copy(update={"end_s": 3.875, "n_frames": 31})
    report = measure(world / "truth", replace(rows, clips=[long, rows.clips[2]], detections=[], masks=[]), OPTIONS)
    assert report.funnel.mixed_clips == 1
    assert report.cuts.by_kind["hard"].misses == 1
    assert {case.kind for case in report.worst} == {"mixed clip", "lost shot"}


def test_the_page_draws_the_worst(world, tmp_path):
    rows = perfect(world, tmp_path)
    spoiled = rows.detections[0].model_copy(update={"labels": ["zebra"] * len(rows.detections[0].labels)})
    rows = replace(rows, detections=[spoiled, *rows.detections[1:]])
    report = measure(world / "truth", rows, OPTIONS)
    page = write_report(report, world / "truth", rows, tmp_path / "page")
    text = page.read_text()
    assert "wrong name" in text
    assert text.count("<img") == len(report.worst)
    from mvideo_core.miniworld.accuracy import AccuracyReport

    assert AccuracyReport.model_validate_json((tmp_path / "page" / "accuracy.json").read_text()) == report


def test_rows_of_other_videos_are_refused(world, tmp_path):
    rows = perfect(world, tmp_path)
    foreign = [row.model_copy(update={"parent": "holiday"}) for row in rows.clips]
    with pytest.raises(ConfigError, match="different videos"):
        measure(world / "truth", replace(rows, clips=foreign), OPTIONS)
    with pytest.raises(ConfigError, match="no truth file"):
        measure(tmp_path / "empty", rows, OPTIONS)
