import tracemalloc

import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.shards import Candidate, ShardOptions, plan_shards
from mvideo_core.shards.candidate_table import CACHE_KIB, CandidateTable
from mvideo_core.shards.plan import shards_of_table


def candidates(n_videos=20, clips=3, **changes):
    return [
        Candidate(f"v{v}_{c}", f"v{v}", f"sha{v}", f"https://x/{v}", c * 10.0, c * 10 + 9.0, ("dog",), 1000)
        for v in range(n_videos)
        for c in range(clips)
    ]


def keys(plan, split):
    return [key for shard in plan.shards if shard.split == split for key in shard.keys]


def test_every_candidate_is_in_one_shard_or_excluded_once():
    plan = plan_shards(candidates(), ShardOptions(samples_per_shard=7, test_frac=0.3))
    everything = [key for shard in plan.shards for key in shard.keys] + [one.key for one in plan.excluded]
    assert sorted(everything) == sorted(one.key for one in candidates())
    assert [shard.name for shard in plan.shards if shard.split == "train"][:2] == ["train-000000", "train-000001"]
    assert all(len(shard.keys) == 7 for shard in plan.shards if shard.name == "train-000000")


def test_order_of_input_does_not_matter_and_the_seed_does():
    options = ShardOptions(samples_per_shard=7, test_frac=0.3)
    plan = plan_shards(candidates(), options)
    assert plan_shards(reversed(candidates()), options) == plan
    other = plan_shards(candidates(), ShardOptions(samples_per_shard=7, test_frac=0.3, split_seed=1))
    assert keys(other, "train") != keys(plan, "train")
    assert keys(plan, "train") != sorted(keys(plan, "train"))


def test_split_is_by_source_video_and_stays_when_videos_are_added():
    options = ShardOptions(test_frac=0.3)
    few, many = plan_shards(candidates(20), options), plan_shards(candidates(400, 1), options)
    test_videos = {key.split("_")[0] for key in keys(few, "test")}
    assert test_videos
    assert not test_videos & {key.split("_")[0] for key in keys(few, "train")}
    assert test_videos <= {key.split("_")[0] for key in keys(many, "test")}
    # 400 draws of 0.3: expected 120, standard deviation 9.2
    assert 90 < len(keys(many, "test")) < 150


def test_equal_source_bytes_under_two_ids_do_not_leak_across_the_split():
    twins = [
        Candidate(f"{name}{n}_0", f"{name}{n}", f"sha{n}", "", start, start + 9, (), 1)
        for n in range(40)
        for name, start in (("a", 0.0), ("b", 10.0))
    ]
    plan = plan_shards(twins, ShardOptions(test_frac=0.5))
    assert {key[1:] for key in keys(plan, "test")}.isdisjoint(key[1:] for key in keys(plan, "train"))


def test_exact_duplicates_are_dropped_and_said():
    twice = [
        Candidate("b_0", "b", "same", "", 0.0, 9.0, (), 1),
        Candidate("a_0", "a", "same", "", 0.0, 9.0, (), 1),
        Candidate("a_1", "a", "same", "", 9.0, 18.0, (), 1),
    ]
    plan = plan_shards(twice, ShardOptions())
    assert [(one.key, one.reason, one.value, one.threshold) for one in plan.excluded] == [
        ("b_0", "duplicate", 2.0, 1.0)
    ]
    assert not plan_shards(twice, ShardOptions(drop_duplicates=False)).excluded


def test_bytes_bound_a_shard_and_a_giant_stands_alone():
    sizes = {"a": 400, "b": 400, "c": 900, "d": 5000}
    some = [Candidate(key, key, "", "", 0.0, 1.0, (), size) for key, size in sizes.items()]
    plan = plan_shards(some, ShardOptions(max_shard_bytes=1000))
    assert all(shard.size_bytes <= 1000 or shard.keys == ("d",) for shard in plan.shards)
    assert {shard.size_bytes for shard in plan.shards} >= {5000, 900}


def test_lists_and_terms_keep_samples_out(tmp_path):
    (tmp_path / "removed.txt").write_text("# asked by mail\n\nv0\nhttps://x/1\nv2_1\nsha3\n")
    (tmp_path / "held.txt").write_text("v4\n")
    named = [*candidates(7, 2), Candidate("v6_9", "v6", "sha6", "", 99.0, 100.0, ("two Sea-Turtles swim",), 1)]
    options = {
        "removal_list": str(tmp_path / "removed.txt"),
        "held_out_list": str(tmp_path / "held.txt"),
        "exclude_terms": ["sea turtle"],
    }
    why = {one.key: one.reason for one in plan_shards(named, ShardOptions(**options)).excluded}
    assert why == {
        "v0_0": "removed_on_request", "v0_1": "removed_on_request", "v1_0": "removed_on_request",
        "v1_1": "removed_on_request", "v2_1": "removed_on_request", "v3_0": "removed_on_request",
        "v3_1": "removed_on_request", "v4_0": "held_out", "v4_1": "held_out",
        "v6_0": "excluded_class", "v6_1": "excluded_class", "v6_9": "excluded_class",
    }  # fmt: skip
    one_clip = plan_shards(named, ShardOptions(**options, exclude_whole_video=False))
    assert [one.key for one in one_clip.excluded if one.reason == "excluded_class"] == ["v6_9"]


SPOILED = """\ufeffv0  # asked by mail
"v1",
clip 2.mp4
'sha3'
https://x/4#t=5
"""


def test_a_list_as_editors_and_spreadsheets_leave_it(tmp_path):
    """A byte order mark, comments, quotes, commas and file names; a # within a URL is part of it."""
    (tmp_path / "removed.txt").write_bytes(SPOILED.replace("\n", "\r\n").encode())
    named = [
        Candidate(f"v{n}_0", f"v{n}", f"sha{n}", f"https://x/{n}#t=5", 0.0, 1.0, (), 1, f"clip {n}.mp4")
        for n in range(6)
    ]
    plan = plan_shards(named, ShardOptions(removal_list=str(tmp_path / "removed.txt")))
    taken = {one.key: one.entry for one in plan.excluded}
    assert taken == {"v0_0": "v0", "v1_0": "v1", "v2_0": "clip 2.mp4", "v3_0": "sha3", "v4_0": "https://x/4#t=5"}


@pytest.mark.parametrize("option", ["removal_list", "held_out_list"])
def test_an_entry_that_matches_nothing_is_named(tmp_path, option):
    (tmp_path / "list.txt").write_text("v0\nV1\nnobody\n")
    options = ShardOptions(**{option: str(tmp_path / "list.txt")})
    with pytest.raises(ConfigError, match=rf"{option}.*'V1' \('v1' exists\), 'nobody'; .*allow_unmatched"):
        plan_shards(candidates(3), options)
    allowed = options.model_copy(update={"allow_unmatched": True})
    assert {one.video_id for one in plan_shards(candidates(3), allowed).excluded} == {"v0"}


def test_bad_input_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"two samples have the key 'v0_0'"):
        plan_shards([*candidates(1, 1), *candidates(1, 1)], ShardOptions())
    with pytest.raises(ConfigError, match=r"absent\.txt: this removal list"):
        plan_shards(candidates(1), ShardOptions(removal_list=str(tmp_path / "absent.txt")))


def test_nothing_gives_nothing():
    plan = plan_shards([], ShardOptions())
    assert (plan.shards, plan.excluded) == ((), ())


def test_what_stays_out_is_dealt_to_parts_in_turn_by_key():
    options = ShardOptions(exclude_terms=["dog"])
    table = CandidateTable(options, [])
    for number in (3, 0, 4, 1, 2):
        table.add(candidate_of(number))
    assert list(shards_of_table(table, options, [])) == []
    assert [[one.video_id[-1] for one in table.exclusions(part, 2)] for part in (0, 1)] == [["0", "2", "4"], ["1", "3"]]
    table.close()


def test_planning_in_a_file_keeps_no_candidate_in_memory(tmp_path):
    """Memory of Python; that of SQLite is a number, CACHE_KIB. Measured whole by `python -m benchmarks.planning`."""
    options, peaks = ShardOptions(exclude_terms=["cat"], samples_per_shard=100), []
    for n in (6_000, 18_000):
        table = CandidateTable(options, [], tmp_path / f"{n}.db")
        (cache,) = table.db.execute("PRAGMA cache_size").fetchone()
        tracemalloc.start()
        try:
            for number in range(n):
                table.add(candidate_of(number))
            assert sum(len(shard.keys) for shard in shards_of_table(table, options, [])) == n
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert cache == -CACHE_KIB
        assert sum(1 for _ in table.exclusions()) == 0
        table.close()
    assert peaks[1] - peaks[0] < 10 * 12_000  # bytes a candidate: the keys alone are 20


def candidate_of(number):
    video = f"video{number:08d}"
    text = f"take {number} " + "of a dog that walks over a lawn " * 40
    return Candidate(f"{video}_0", video, f"sha-{video}", "", 0.0, 1.0, (text,), 1000)
