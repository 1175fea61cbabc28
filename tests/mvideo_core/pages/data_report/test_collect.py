"""Rows whose story is known, and a funnel that must add up."""

import pytest

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.base.records import (
    Blob,
    CaptionRow,
    ClipRow,
    DetectionRow,
    MaskRow,
    ObjectStats,
    PlannedSample,
    SampleRow,
    ShardPlanRow,
    ShardRow,
    VideoRow,
)
from mvideo_core.pages.data_report import FunnelStep, GalleryChoice, ReportCounter, ReportOptions, check_funnel
from mvideo_core.pages.data_report.collect import Bins


def stats(label, kept=True, area=0.1):
    return ObjectStats(
        object_id=0, label=label, detection_score=0.5, mask_score=0.9, visible_frac=1.0, mean_area_frac=area, drift=0.2,
        kept=kept,
    )  # fmt: skip


def planned(key):
    blob = Blob(path="b", sha256="0" * 64, size_bytes=1)
    return PlannedSample(
        key=key, video_id="v", clip=blob, masks=blob, caption="", labels=[], n_frames=9, meta_json="{}"
    )


def rows():
    """Six videos; one is bad; five give seven shots, one of them none; and so on to three samples."""
    videos = [VideoRow(key=f"v{n}", parent=f"v{n}") for n in range(5)]
    videos.append(VideoRow.failure_row("v5", "v5", "MediaError", "cut short", 1))
    clips = [ClipRow(key=f"v{n}_{m}", parent=f"v{n}", fps=8.0, n_frames=80) for n in range(3) for m in range(2)]
    clips.append(ClipRow.filter_row("v3_0", "v3", "shot_too_short", 4.0, 8.0))
    boxes = [DetectionRow(key=one.key, parent=one.key, scores=[0.5, 0.7]) for one in clips[:5]]
    boxes.append(DetectionRow.filter_row("v2_1", "v2_1", "no_object", 0, 1))
    masks = [
        MaskRow(key=one.key, parent=one.key, objects=[stats("dog"), stats("cat", kept=False)]) for one in boxes[:4]
    ]
    masks.append(MaskRow.filter_row(boxes[4].key, boxes[4].key, "no_mask_kept", 0, 1))
    captions = [CaptionRow(key=one.key, parent=one.key, text="A dog.", n_words=2) for one in masks[:4]]
    samples = [
        ShardPlanRow(key="train-000000", split="train", samples=[planned(one.key) for one in captions[:3]]),
        ShardPlanRow.filter_row(captions[3].key, "v1", "duplicate", 2, 1),
    ]
    shards = [ShardRow(key="train-000000", samples=[SampleRow(key=one.key) for one in captions[:3]])]
    return {
        "ingest": videos, "cut": clips, "detect": boxes, "segment": masks, "caption": captions, "samples": samples,
        "shard": shards,
    }  # fmt: skip


def counted(tables, **options):
    counter = ReportCounter(ReportOptions(**options))
    for stage, table in tables.items():
        counter.add_part(stage, table)
    return counter


def test_the_funnel_by_hand():
    steps = {step.stage: step for step in counted(rows()).funnel()}
    assert {stage: (one.entered, one.rows, one.kept) for stage, one in steps.items()} == {
        "ingest": (6, 6, 5), "cut": (5, 7, 6), "detect": (6, 6, 5), "segment": (5, 5, 4), "caption": (4, 4, 4),
        "samples": (4, 4, 3), "shard": (3, 3, 3),
    }  # fmt: skip
    assert steps["ingest"].failed == {"MediaError": 1}
    assert (steps["cut"].filtered, steps["cut"].empty) == ({"shot_too_short": 1}, 1)
    assert steps["samples"].filtered == {"duplicate": 1}


def test_parts_in_any_order_give_the_same():
    whole, parts = counted(rows()), ReportCounter(ReportOptions())
    for stage, table in rows().items():
        for part in (table[len(table) // 2 :], table[: len(table) // 2]):
            if stage != "cut":
                parts.add_part(stage, part)
        if stage == "cut":  # a video's rows are in one part
            parts.add_part(stage, table[4:])
            parts.add_part(stage, table[:4])
    assert parts.funnel() == whole.funnel()
    assert parts.histograms() == whole.histograms()
    assert parts.examples() == whole.examples()
    assert parts.gallery_keys() == whole.gallery_keys()


def test_a_lost_row_is_found():
    tables = rows()
    tables["segment"] = tables["segment"][1:]
    with pytest.raises(StoreError, match="5 entered segment, 0 pending, but it has 4 rows"):
        counted(tables).funnel()
    with pytest.raises(StoreError, match="7 entered ingest"):
        counted(rows()).funnel(entered=7)


def test_pending_items_are_told_apart_from_lost_ones():
    tables = {stage: table for stage, table in rows().items() if stage in ("ingest", "cut", "detect")}
    tables["detect"] = tables["detect"][:2]
    steps = counted(tables).funnel(pending_parents={"detect": 4})
    assert (steps[-1].entered, steps[-1].pending, steps[-1].rows) == (6, 4, 2)


def test_sums_are_checked_within_and_between_steps():
    good = FunnelStep(stage="ingest", unit="video", entered=3, rows=3, kept=2, filtered={"x": 1})
    check_funnel([good])
    with pytest.raises(StoreError, match=r"wrote 3 rows, but 2 kept \+ 0 dropped = 2"):
        check_funnel([good.model_copy(update={"filtered": {}})])
    with pytest.raises(StoreError, match="ingest kept 2, but 3 entered detect"):
        check_funnel([good, good.model_copy(update={"stage": "detect"})])


def test_histograms_by_hand():
    shown = {one.name: one for one in counted(rows()).histograms()}
    assert shown["Clip length"].counts[5] == 6  # 80 frames at 8 fps are 10 s, bins of 2 s
    assert (shown["Objects kept per clip"].total, shown["Objects kept per clip"].mean) == (4, 1.0)
    assert shown["Detection score"].mean == pytest.approx(0.6)
    per_video = shown["Clips kept per video"]
    assert (per_video.total, per_video.counts[0], per_video.counts[2]) == (4, 1, 3)


def test_bins_lose_nothing():
    bins = Bins("x", "", 0, 10, 5)
    for value in (-1, 0, 1.9, 2, 10, 11):
        bins.add(value)
    shown = bins.histogram()
    assert (shown.counts, shown.below, shown.above, shown.total) == ([2, 1, 0, 0, 1], 1, 1, 6)
    assert (shown.least, shown.most, shown.mean) == (-1, 11, pytest.approx(23.9 / 6))
    with pytest.raises(ValueError, match="NaN"):
        bins.add(float("nan"))


def test_examples_name_items_limits_and_messages():
    found = {(one.stage, one.why): one for one in counted(rows()).examples()}
    assert (found["cut", "shot_too_short"].value, found["cut", "shot_too_short"].threshold) == (4.0, 8.0)
    assert found["ingest", "MediaError"].message == "cut short"
    many = {"ingest": [VideoRow.failure_row(f"v{n}", f"v{n}", "MediaError", "", 1) for n in reversed(range(9))]}
    assert [one.key for one in counted(many, examples=2).examples()] == ["v0", "v1"]


def test_gallery_has_every_class_and_does_not_depend_on_order():
    keys = [(f"k{n}", {"person"} | ({"tiger"} if n == 77 else set())) for n in range(100)]
    one, other = GalleryChoice(5, seed=0), GalleryChoice(5, seed=0)
    for key, labels in keys:
        one.add(key, labels)
    for key, labels in reversed(keys):
        other.add(key, labels)
    assert one.choice() == other.choice()
    assert len(one.choice()) == 5
    assert "k77" in one.choice()
    assert GalleryChoice(5, seed=0).choice() == []


def test_unknown_stages_are_refused():
    with pytest.raises(ConfigError, match="unknown stage 'train'"):
        ReportCounter(ReportOptions()).add_part("train", [])


def test_samples_left_out_are_counted_by_entry_of_the_list():
    counter = ReportCounter(ReportOptions())
    left_out = {"a_0": "a", "a_1": "a", "b_0": "b.mp4"}
    rows = [ShardPlanRow.filter_row(key, key[0], "held_out", 1, 0, entry=entry) for key, entry in left_out.items()]
    counter.add_part("samples", rows)
    assert [(one.reason, one.entry, one.samples) for one in counter.list_entries()] == [
        ("held_out", "a", 2),
        ("held_out", "b.mp4", 1),
    ]
