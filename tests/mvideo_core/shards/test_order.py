"""Who sees what, when: ranks, workers, stop and resume."""

import numpy as np
import pytest

from mvideo_core.base.errors import ConfigError, TrainError
from mvideo_core.shards import MaskVideoDataset, ResumableLoader
from mvideo_core.shards.order import rank_order


def key_of(sample):
    """Module-level, so that worker processes can be given it."""
    return sample.key


class Numbers:
    """A dataset of n numbers."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return index


def ranks(n, world, remainder="keep", consumed=0, epoch=0):
    return [rank_order(n, epoch, 3, rank, world, consumed, True, remainder).tolist() for rank in range(world)]


def test_ranks_share_an_epoch_without_overlap():
    two = ranks(11, 2)
    assert sorted(two[0] + two[1]) == list(range(11))
    assert [len(one) for one in two] == [6, 5]
    assert ranks(11, 2, epoch=1) != two
    assert ranks(11, 2) == two


def test_remainders_are_as_stated():
    assert [len(one) for one in ranks(11, 4, "drop")] == [2, 2, 2, 2]
    repeat = ranks(11, 4, "repeat")
    assert [len(one) for one in repeat] == [3, 3, 3, 3]
    seen = [index for one in repeat for index in one]
    assert set(seen) == set(range(11))
    assert len(seen) == 12
    assert [len(one) for one in ranks(2, 5, "repeat")] == [1, 1, 1, 1, 1]


def test_the_rest_of_an_epoch_goes_on_also_on_other_numbers_of_ranks():
    whole = ranks(20, 2)
    assert ranks(20, 2, consumed=8) == [one[4:] for one in whole]
    seen = whole[0][:4] + whole[1][:4]
    rest = ranks(20, 3, consumed=8)
    assert sorted(seen + [index for one in rest for index in one]) == list(range(20))


def test_unshuffled_is_index_order():
    assert rank_order(5, 7, 0, 0, 1, 0, False, "keep").tolist() == [0, 1, 2, 3, 4]


def test_two_ranks_with_two_workers_cover_everything_once(written):
    dataset = MaskVideoDataset(written[0], "train", members=["txt"], transform=key_of)
    seen = []
    for rank in range(2):
        loader = ResumableLoader(dataset, 3, rank, 2, remainder="keep", num_workers=2)
        seen += [key for batch in loader for key in batch]
    assert sorted(seen) == sorted(dataset.keys)


def test_workers_do_not_change_the_order(written):
    dataset = MaskVideoDataset(written[0], "train", members=["txt"], transform=key_of)
    assert list(ResumableLoader(dataset, 2, num_workers=2)) == list(ResumableLoader(dataset, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_and_resume_equals_straight_through(written, workers):
    dataset = MaskVideoDataset(written[0], "train", members=["txt"], transform=key_of)

    def fresh():
        return ResumableLoader(dataset, 2, rank=1, world_size=2, num_workers=workers)

    def take(loader, n):
        batches, epochs = [], 0
        while True:
            for batch in loader:
                batches.append(batch)
                if len(batches) == n:
                    return batches
            epochs += 1

    per_epoch = len(fresh())
    straight = take(fresh(), 2 * per_epoch + 1)
    for stop in (1, per_epoch - 1, per_epoch, per_epoch + 1):
        first = fresh()
        before = take(first, stop)
        second = fresh()
        second.load_state_dict(first.state_dict())
        assert before + take(second, len(straight) - stop) == straight, stop


def test_drop_leaves_out_short_batches_and_keep_does_not():
    assert [len(batch) for batch in ResumableLoader(Numbers(11), 4)] == [4, 4]
    assert [len(batch) for batch in ResumableLoader(Numbers(11), 4, remainder="keep")] == [4, 4, 3]
    assert len(ResumableLoader(Numbers(11), 4)) == 2


def test_a_state_of_other_data_is_refused():
    state = ResumableLoader(Numbers(11), 4).state_dict()
    with pytest.raises(TrainError, match="cannot be used"):
        ResumableLoader(Numbers(12), 4).load_state_dict(state)
    with pytest.raises(TrainError, match="seed 0 cannot be used"):
        ResumableLoader(Numbers(11), 4, seed=1).load_state_dict(state)


def test_impossible_ranks_are_refused():
    with pytest.raises(ConfigError, match="rank 2 of 2"):
        ResumableLoader(Numbers(4), 1, rank=2, world_size=2)


def test_collate_makes_the_batch():
    assert next(iter(ResumableLoader(Numbers(6), 3, shuffle=False, collate=np.array))).tolist() == [0, 1, 2]
