"""The global order, the ranks' slices, the held-out clips, reading ahead."""

import hashlib
import tracemalloc

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError
from mvideo_core.training.sample_order import DataOptions, Feed, GlobalOrder, Split, rank_slots
from mvideo_core.training.seeds import derive_seed


class Numbers:
    """Sample i is i."""

    def get(self, index: int) -> int:
        return index


def fed(n: int, global_batch: int, rank: int, size: int, steps: range, micro_batch: int = 1) -> list[list[list[int]]]:
    """Samples of a rank: step, micro-batch, slot."""
    order = GlobalOrder(range(n), global_batch, seed=3)
    slots = rank_slots(global_batch, micro_batch, rank, size)
    feed = Feed(Numbers(), order, slots, lambda step, slots, items: items, DataOptions(threads=3, ahead=2))
    try:
        return [list(feed.step(step)) for step in steps]
    finally:
        feed.close()


def flat(nested: list[list[list[int]]]) -> list[list[int]]:
    return [[item for micro in step for item in micro] for step in nested]


def test_every_world_size_trains_on_the_same_samples_in_the_same_slots() -> None:
    alone = flat(fed(10, 4, 0, 1, range(5)))
    ranks = [flat(fed(10, 4, rank, 2, range(5))) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == alone


def test_an_epoch_has_every_sample_once_and_a_batch_may_straddle_two() -> None:
    """10 samples in batches of 4: steps 0 to 4 are positions 0 to 19, two epochs, step 2 half of each."""
    seen = [item for step in flat(fed(10, 4, 0, 1, range(5))) for item in step]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_resuming_is_asking_for_a_later_step() -> None:
    assert fed(10, 4, 1, 2, range(3, 6)) == fed(10, 4, 1, 2, range(6))[3:]


def test_micro_batches_are_cuts_of_the_same_slice() -> None:
    assert flat(fed(10, 4, 0, 1, range(3), micro_batch=4)) == flat(fed(10, 4, 0, 1, range(3), micro_batch=2))
    assert rank_slots(8, 2, rank=1, world_size=2) == [range(4, 6), range(6, 8)]


def test_a_world_that_does_not_divide_the_global_batch_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"8 is not a multiple of 3 processes x micro_batch 2.*\[1, 2, 4\]"):
        rank_slots(8, 2, rank=0, world_size=3)


def test_held_out_clips_are_whole_and_do_not_move_when_others_come() -> None:
    keys = [f"clip{n // 2}" for n in range(20)]
    split = Split(keys, holdout=3)
    assert len(split.held) == 4
    assert {keys[n] for n in split.held}.isdisjoint(keys[n] for n in split.train)
    assert len(split.held) + len(split.train) == 20
    more = [*keys, "other"]
    assert {keys[n] for n in split.held} <= {more[n] for n in Split(more, holdout=5).held}
    with pytest.raises(ConfigError, match="nothing is left to train on"):
        Split(keys, holdout=20)


def test_an_error_while_reading_reaches_the_step_that_needs_it() -> None:
    def make(step: int, slots: range, items: list[int]) -> list[int]:
        if step == 1:
            raise ConfigError("sample of step 1")
        return items

    feed = Feed(Numbers(), GlobalOrder(range(4), 2, 0), rank_slots(2, 2, 0, 1), make, DataOptions(ahead=2))
    assert len(list(feed.step(0))) == 1
    with pytest.raises(ConfigError, match="sample of step 1"):
        list(feed.step(1))
    feed.close()


def test_a_split_costs_bytes_a_window_not_objects():
    n = 50_000
    keys = np.array([f"clip{number // 4:09d}" for number in range(n)])
    ids = [f"{key}-w{number % 4}" for number, key in enumerate(keys)]
    tracemalloc.start()
    try:
        split = Split(keys, 8, ids[100:102], ids)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(split.held), len(split.train)) == (8, n - 10)
    assert peak_bytes / n < 20


def hashed(ids: list[str], steps: int, indices: list[int] | None = None, seed: int = 3) -> list[list[str]]:
    order = GlobalOrder(range(len(ids)) if indices is None else indices, 4, seed, ids)
    return [[ids[n] for n in order.step(step)] for step in range(steps)]


def test_without_a_sample_the_others_keep_their_hashed_order() -> None:
    """10 windows in batches of 4; epoch 0 are steps 0 and 1 and half of step 2."""
    ids = [f"clip{n}-w00000" for n in range(10)]
    epochs = [[one for step in hashed(ids, 5) for one in step][start : start + 10] for start in (0, 10)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == ids
    assert epochs[0] != epochs[1]
    assert [one for step in hashed(ids, 2, seed=4) for one in step] != epochs[0][:8]
    gone = epochs[0][5]
    left = [one for one in ids if one != gone]
    after = [one for step in hashed(left, 4) for one in step]
    assert after[:9] == [one for one in epochs[0] if one != gone]
    assert after[9:16] == [one for one in epochs[1] if one != gone][:7]
    assert hashed(left, 1) == hashed(ids, 1), "the steps before its first use are the same"
    assert hashed(ids, 4, [n for n, one in enumerate(ids) if one != gone]) == hashed(left, 4), "excluded or absent"


def test_a_hashed_order_is_this_one_on_every_machine() -> None:
    """Worked out with plain integers: the first 8 bytes of BLAKE2b, little-endian, xor the epoch's seed, SplitMix64."""
    ids = [f"clip{n}" for n in range(6)]
    seed = derive_seed(3, "order", 0)

    def place(text: str) -> int:
        z = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") ^ seed
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    assert [one for step in hashed(ids, 1) for one in step] == sorted(ids, key=place)[:4]


@pytest.mark.parametrize("ids", [None, [f"w{n}" for n in range(10)]])
def test_the_steps_of_a_sample_are_those_that_ask_for_it(ids: list[str] | None) -> None:
    order = GlobalOrder([0, 2, 3, 5, 6, 7, 9], 3, 1, ids)
    asked = [order.step(step) for step in range(20)]
    assert order.steps_of([5, 9], 20) == {n: [step for step in range(20) if n in asked[step]] for n in (5, 9)}
    assert order.steps_of([5], 0) == {5: []}
