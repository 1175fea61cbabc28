import random
from contextlib import closing

import cv2
import numpy as np
import pytest

from mvideo_core.base.records import PerceptualHashes
from mvideo_core.shards.candidate_table import CandidateTable
from mvideo_core.shards.candidates import Candidate, Exclusion
from mvideo_core.shards.near_duplicates import MIRRORED, distance, hash_frame
from mvideo_core.shards.options import ShardOptions
from mvideo_core.shards.plan import plan_shards

Frames = tuple[int, ...]


def drawn(seed: int) -> list[Frames]:
    """Hashes of four frames at three zooms; the brightness bit is 0."""
    draw = random.Random(seed)
    return [tuple(draw.getrandbits(63) for _ in range(4)) for _ in range(3)]


def flipped(frames: Frames, n_bits: int, seed: int = 0) -> Frames:
    """The frames with `n_bits` other bits in each."""
    draw = random.Random(seed)
    return tuple(frame ^ sum(1 << bit for bit in draw.sample(range(63), n_bits)) for frame in frames)


def candidate(key: str, video: str, hashes: list[Frames] | None, start_s: float = 0.0) -> Candidate:
    texts = ["".join(f"{frame:016x}" for frame in frames) for frames in hashes or []]
    look = PerceptualHashes(hashes=texts, max_bits=6) if hashes else None
    return Candidate(key, video, f"sha-{video}", "", start_s, start_s + 4, ("dog",), 10, look=look)


def excluded(*candidates: Candidate) -> list[Exclusion]:
    return list(plan_shards(candidates, ShardOptions(), []).excluded)


def test_mirroring_flips_the_bits_of_odd_horizontal_frequencies() -> None:
    noise = np.random.default_rng(0).integers(60, 181, (160, 240)).astype(np.uint8)
    gray = cv2.GaussianBlur(noise, (0, 0), 15)
    assert bin(MIRRORED).count("1") == 32
    assert hash_frame(np.ascontiguousarray(gray[:, ::-1])) == hash_frame(gray) ^ MIRRORED
    assert hash_frame(gray) < 1 << 63  # the first bit, brightness, is not used


def test_the_distance_is_the_mean_number_of_other_bits_per_frame() -> None:
    one, other = drawn(1), drawn(2)
    near = [flipped(one[0], 3), *other[1:]]
    assert distance(one, one) == 0
    assert distance(one, near) == 3
    assert distance(one, [(one[0][0] ^ 0b1111, *one[0][1:]), *other[1:]]) == 1  # 4 bits in one of four frames
    assert distance(one, [tuple(frame ^ MIRRORED for frame in one[0]), *other[1:]]) == 0
    assert distance(one, [other[0], flipped(one[0], 2), other[2]]) == 2  # the whole of one, a part of the other
    assert distance([other[0], one[1], one[2]], [drawn(3)[0], one[1], one[2]]) > 10  # two parts do not count


@pytest.mark.parametrize("bits", [0, 3, 5])
def test_a_copy_is_found_and_the_first_key_stays(bits: int) -> None:
    first, other = drawn(1), drawn(2)
    copy = [flipped(first[0], bits), *drawn(4)[1:]]
    found = excluded(candidate("b", "v2", copy), candidate("a", "v1", first), candidate("c", "v3", other))
    assert found == [Exclusion("b", "v2", "near_duplicate", float(bits), 6.0, "", "looks like a")]


def test_the_order_of_candidates_does_not_matter() -> None:
    base = drawn(1)
    every = [candidate(f"k{n}", f"v{n}", [flipped(base[0], 2, n), *drawn(n)[1:]]) for n in range(12)]
    every += [candidate(f"m{n}", f"w{n}", drawn(100 + n)) for n in range(12)]
    found = excluded(*every)
    assert [one.key for one in found] == sorted(f"k{n}" for n in range(1, 12))
    assert {one.message for one in found} == {"looks like k0"}
    random.Random(3).shuffle(every)
    assert excluded(*every) == found


def test_clips_of_one_source_and_clips_without_hashes_are_kept() -> None:
    same = drawn(1)
    assert excluded(candidate("a", "v1", same), candidate("b", "v1", same, 4.0)) == []
    assert excluded(candidate("a", "v1", None), candidate("b", "v2", None)) == []


def test_what_a_list_excludes_does_not_exclude_its_copy() -> None:
    same, options = drawn(1), ShardOptions(exclude_terms=["tank"])
    with closing(CandidateTable(options, [])) as table:
        table.add(Candidate("a", "v1", "s1", "", 0.0, 4.0, ("tank",), 10, look=candidate("a", "v1", same).look))
        table.add(candidate("b", "v2", same))
        table.decide()
        assert [(one.key, one.reason) for one in table.exclusions()] == [("a", "excluded_class")]


def test_nearly_every_pair_within_six_bits_shares_a_band() -> None:
    found = 0
    for n in range(100):
        base = drawn(n)
        copy = [flipped(base[0], 6, n), *drawn(-n - 1)[1:]]
        found += bool(excluded(candidate("a", "v1", base), candidate("b", "v2", copy)))
    assert found >= 95
