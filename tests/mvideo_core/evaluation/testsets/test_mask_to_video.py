import json

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.records import Blob, PlannedSample
from mvideo_core.evaluation.testsets import (
    MaskToVideoOptions,
    TestCandidate,
    candidate_of,
    choose_mask_to_video,
    read_test_set,
    write_list,
    write_test_set,
)
from mvideo_core.shards import Candidate, ShardOptions, plan_shards


def candidate(key, label, text=None, frames=97, video=None):
    video = video or f"v{key}"
    objects = ((0, "person"), (1, label))
    return TestCandidate(key, video, f"sha-{video}", objects, (text or f"A {label} walks.", ""), frames)


def options(**changes):
    return MaskToVideoOptions(**{"n_samples": 6, "synonyms": ["turtle"], **changes})


def test_each_rule_leaves_out_what_it_should():
    offered = [
        candidate("a", "tiger"),
        candidate("b", "tiger", frames=33),
        candidate("c", "dog"),
        candidate("d", "tiger", text="A cat walks."),
        candidate("e", "tiger"),
        candidate("f", "tiger"),
        candidate("g", "sea turtle", text="A turtle swims."),
    ]
    chosen = choose_mask_to_video(offered, options(), taken={"ve", "sha-vf"})
    assert [one.key for one in chosen.samples] == ["a", "g"]
    assert chosen.left_out == {"in_training": 2, "no_unseen_object": 1, "not_mentioned": 1, "too_short": 1}
    assert chosen.samples[0].object_ids == [1]
    assert len(offered) == len(chosen.samples) + sum(chosen.left_out.values())


def test_classes_take_turns():
    many = [candidate(f"t{n}", "tiger") for n in range(20)] + [candidate(f"d{n}", "deer") for n in range(2)]
    chosen = choose_mask_to_video(many, options())
    assert {label: n for label, n in chosen.per_class.items() if n} == {"deer": 2, "tiger": 4}
    assert chosen.left_out == {"not_drawn": 16}
    assert choose_mask_to_video(reversed(many), options()) == chosen
    assert choose_mask_to_video(many, options(seed=1)).samples != chosen.samples


def test_one_video_does_not_fill_the_set():
    same = [candidate(f"t{n}", "tiger", video="one") for n in range(5)]
    chosen = choose_mask_to_video(same, options(max_per_video=2))
    assert (len(chosen.samples), chosen.left_out) == (2, {"video_has_enough": 3})
    assert chosen.wanted == 6


def test_training_made_with_the_held_out_list_shares_no_video_and_no_mention(tmp_path):
    offered = [candidate(f"t{n}", "tiger") for n in range(10)]
    offered += [candidate(f"x{n}", "dog", text="A dog beside two sea turtles.") for n in range(3)]
    offered += [candidate(f"y{n}", "dog") for n in range(4)]
    chosen = choose_mask_to_video(offered, options(n_samples=2))
    write_list(chosen.held_out, tmp_path / "held.txt", "Mask-to-Video test\nand all that name its classes")
    plan = plan_shards(
        (Candidate(one.key, one.video_id, one.source_sha256, "", 0, 9, (), 1) for one in offered),
        ShardOptions(held_out_list=str(tmp_path / "held.txt")),
    )
    assert {key for shard in plan.shards for key in shard.keys} == {"y0", "y1", "y2", "y3"}
    assert {one.reason for one in plan.excluded} == {"held_out"}


def test_a_set_survives_its_file(tmp_path):
    chosen = choose_mask_to_video([candidate("a", "tiger")], options())
    write_test_set(chosen, tmp_path / "set.json")
    assert read_test_set(tmp_path / "set.json") == chosen
    (tmp_path / "set.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a test set"):
        read_test_set(tmp_path / "set.json")


def test_candidates_come_from_samples():
    blob = Blob(path="b", sha256="0" * 64, size_bytes=1)
    meta = {
        "objects": [{"object_id": 0, "label": "dog", "kept": False}, {"object_id": 1, "label": "tiger", "kept": True}],
        "source": {"sha256": "abc", "title": "Zoo"},
    }
    sample = PlannedSample(
        key="k", video_id="v", clip=blob, masks=blob, caption="A tiger.", labels=["tiger"], n_frames=97,
        meta_json=json.dumps(meta),
    )  # fmt: skip
    assert candidate_of(sample) == TestCandidate("k", "v", "abc", ((1, "tiger"),), ("A tiger.", "Zoo"), 97)
    with pytest.raises(ConfigError, match=r"k: its \.json member"):
        candidate_of(sample.model_copy(update={"meta_json": "[]"}))
