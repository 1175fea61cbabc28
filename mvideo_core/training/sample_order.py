"""Which samples a step trains on: one global order, divided among the ranks and read ahead by threads.

The order is a function of seed and position alone: any number of ranks sees the same samples at the same step, and the
resume position is one number. An epoch is one permutation of all training samples; a batch may span two epochs, so no
sample is left out. Whole clips are held out for validation.

With `data.order: hashed`, a run with a sample and one without it are the same up to the sample's first use. So you can
delete the checkpoints after that step and resume with latents that do not have the sample; on a CPU with one process,
the weights are bit for bit those of a training run that never used it. `mvideo forget --search` (docs/forget.md) does
so, and reports whether the other samples differ (because latents were encoded in batches, or another clip is held out).
With `permuted`, the runs differ from the first step on. A run cannot change its order on resume without `--allow
data.order`.

Shape letters: G: samples of the global batch (one optimizer step).
"""

import hashlib
import heapq
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, digest
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.training.seeds import derive_seed

Item = TypeVar("Item")
Made = TypeVar("Made")
Item_co = TypeVar("Item_co", covariant=True)


class DataOptions(Options):
    """Where the cached latents are and how they are read."""

    latents: str = Field(default="", description="folder or URL of the latents that the encode stage wrote")
    split: str = Field(default="train", description="split of the latents to train on")
    format: VideoFormat | None = Field(
        default=None, description="sizes of the latents; default: what the base model was trained for"
    )
    holdout: int = Field(default=8, ge=0, description="windows, in whole clips, kept for validation; 0: no validation")
    exclude: tuple[str, ...] = Field(
        default=(), description="clips (keys) or windows (ids) that are neither trained on nor held out"
    )
    order: Literal["permuted", "hashed"] = Field(
        default="permuted",
        description="order of an epoch: a random permutation, or by a hash of seed, epoch and window: when a sample is "
        "removed, the others keep their order",
    )
    threads: int = Field(default=2, ge=1, le=64, description="reader threads per rank")
    ahead: int = Field(default=2, ge=0, le=64, description="steps read ahead; their samples are kept in memory")


class Samples(Protocol[Item_co]):
    """What we need from a dataset; LatentDataset is one."""

    def get(self, index: int) -> Item_co: ...


class Split:
    """Indices for training and for validation.

    Whole clips are held out, starting with the smallest digests: windows of one clip are never on both sides, and the
    held-out clips change neither with the seed nor with what is excluded. Memory: 9 bytes per window.

    Attributes:
        train: ascending indices, int64.
        held: ascending indices.
    """

    def __init__(
        self,
        keys: "Sequence[str] | np.ndarray",
        holdout: int,
        exclude: Collection[str] = (),
        ids: Sequence[str] = (),
    ):
        """Hold out clips until at least `holdout` windows are held.

        Args:
            keys: clip key of every window.
            exclude: clip keys or window ids to leave out.
            ids: id of every window.

        Raises:
            ConfigError: nothing is left to train on, or `exclude` names something that does not exist.
        """
        excluded = set(exclude)
        smallest = _smallest_clips(keys, holdout)
        windows: dict[str, list[int]] = {key: [] for key in smallest}
        free = np.ones(len(keys), bool)
        for index, key in enumerate(map(str, keys)):
            if key in windows:
                windows[key].append(index)
            if excluded and not excluded.isdisjoint((key, *ids[index : index + 1])):
                free[index] = False
        self._check_names(excluded, keys, ids)
        held: list[int] = []
        for key in smallest:
            if len(held) >= holdout:
                break
            held += windows[key]
        self.held = sorted(index for index in held if free[index])
        free[held] = False
        self.train = np.flatnonzero(free)
        if not len(self.train):
            raise ConfigError(
                f"data.holdout is {holdout} and the cache has {len(keys)} windows of {len(set(keys))} clips: nothing "
                "is left to train on; hold out or exclude fewer, or encode more clips"
            )

    @staticmethod
    def _check_names(excluded: set[str], keys: "Sequence[str] | np.ndarray", ids: Sequence[str]) -> None:
        absent = sorted(excluded.difference(map(str, keys)).difference(ids)) if excluded else []
        if absent:
            raise ConfigError(
                f"data.exclude: {', '.join(absent)}: no such clip or window in these latents; the first clips are "
                f"{', '.join(heapq.nsmallest(4, {str(key) for key in keys}))}"
            )


def _smallest_clips(keys: "Sequence[str] | np.ndarray", n: int) -> list[str]:
    """The n clips with the smallest digests, sorted by digest; the others are not kept in memory."""
    found: dict[str, str] = {}
    before = largest = ""
    for key in map(str, keys):
        if key == before or key in found or n == 0:  # windows of a clip are mostly adjacent
            continue
        before, drawn = key, digest(key)
        if len(found) < n or drawn < largest:
            found[key] = drawn
            if len(found) > n:
                del found[max(found, key=found.__getitem__)]
            largest = max(found.values())
    return sorted(found, key=found.__getitem__)


class GlobalOrder:
    """The samples of every step.

    Args:
        indices: dataset indices to train on.
        global_batch: G, samples per optimizer step.
        seed: of the permutations.
        ids: of all windows of the dataset; each epoch is then ordered by a hash of seed, epoch and id. None = random
            permutations. Memory: 8 bytes per window more.
    """

    def __init__(
        self,
        indices: "Sequence[int] | np.ndarray",
        global_batch: int,
        seed: int,
        ids: Sequence[str] | None = None,
    ):
        self.indices = np.asarray(indices, np.int64)
        self.global_batch = global_batch
        self.seed = seed
        self._marks = None if ids is None else _marks(ids)[self.indices]
        self._epoch, self._permuted = -1, self.indices

    def step(self, step: int) -> list[int]:
        """Dataset indices of the G slots of a step, with steps counted from 0."""
        n = len(self.indices)
        positions = range(step * self.global_batch, (step + 1) * self.global_batch)
        return [int(self._of_epoch(position // n)[position % n]) for position in positions]

    def _of_epoch(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            seed = derive_seed(self.seed, "order", epoch)
            if self._marks is None:
                permuted = np.random.default_rng(seed).permutation(self.indices)
            else:
                permuted = self.indices[np.argsort(_mix(self._marks ^ np.uint64(seed)), kind="stable")]
            self._epoch, self._permuted = epoch, permuted
        return self._permuted

    def steps_of(self, indices: Collection[int], steps: int) -> dict[int, list[int]]:
        """In which of the first `steps` steps, counted from 0, each of some dataset indices is trained on."""
        n, wanted = len(self.indices), np.asarray(sorted(indices), np.int64)
        found: dict[int, list[int]] = {int(index): [] for index in wanted}
        for epoch in range(-(-steps * self.global_batch // n)):
            order = self._of_epoch(epoch)
            for position in np.flatnonzero(np.isin(order, wanted)):
                step = (epoch * n + int(position)) // self.global_batch
                uses = found[int(order[position])]
                if step < steps and uses[-1:] != [step]:  # the last of an epoch may be the first of the next
                    uses.append(step)
        return found


def _marks(ids: Sequence[str]) -> np.ndarray:
    """64 bits of the hash of each id."""
    digests = (hashlib.blake2b(one.encode(), digest_size=8).digest() for one in ids)
    return np.fromiter((int.from_bytes(one, "little") for one in digests), np.uint64, len(ids))


def _mix(marks: np.ndarray) -> np.ndarray:
    """Every bit of the result depends on every bit of the input; different inputs give different results.

    Source: the finalizer of SplitMix64 (Steele, Lea & Flood 2014, OOPSLA).
    """
    mixed = (marks ^ (marks >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def order_samples(
    options: DataOptions, indices: np.ndarray, ids: Sequence[str], global_batch: int, seed: int
) -> GlobalOrder:
    """The order that the options choose.

    Args:
        indices: to train on; `ids`: of all windows.
    """
    return GlobalOrder(indices, global_batch, seed, ids if options.order == "hashed" else None)


def rank_slots(global_batch: int, micro_batch: int, rank: int, world_size: int) -> list[range]:
    """Slots of the global batch that a rank trains on, one range per micro-batch.

    Raises:
        ConfigError: the global batch is not a multiple of world size x micro-batch.
    """
    at_once = micro_batch * world_size
    if global_batch % at_once:
        fitting = [n for n in range(1, global_batch + 1) if global_batch % (micro_batch * n) == 0]
        raise ConfigError(
            f"global_batch {global_batch} is not a multiple of {world_size} processes x micro_batch {micro_batch} = "
            f"{at_once}; with this micro_batch the number of processes may be {fitting or 'none'}. "
            "A run can only be resumed with the global batch it started with"
        )
    share = global_batch // world_size
    return [range(first, first + micro_batch) for first in range(rank * share, (rank + 1) * share, micro_batch)]


class Feed(Generic[Item, Made]):
    """Micro-batches of a rank, step by step, read and made in threads ahead of the training loop.

    Args:
        samples: the dataset.
        order: global order.
        slots: this rank's slots, one range per micro-batch.
        make: (step, slots, items) -> micro-batch; called in a thread; must not depend on earlier calls.
        options: threads and steps ahead.
    """

    def __init__(
        self,
        samples: Samples[Item],
        order: GlobalOrder,
        slots: Sequence[range],
        make: Callable[[int, range, list[Item]], Made],
        options: DataOptions,
    ):
        self.samples, self.order, self.slots, self.make = samples, order, slots, make
        self.ahead = options.ahead
        self._pool = ThreadPoolExecutor(options.threads, thread_name_prefix="feed")
        self._requested: dict[int, list[Future[Made]]] = {}

    def step(self, step: int) -> Iterator[Made]:
        """The micro-batches of a step, in order; also requests the next steps."""
        for wanted in range(step, step + self.ahead + 1):
            if wanted not in self._requested:
                self._requested[wanted] = self._ask(wanted)
        for future in self._requested.pop(step):
            yield future.result()

    def close(self) -> None:
        """Stop reading; requests that have not started are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, step: int) -> list[Future[Made]]:
        indices = self.order.step(step)
        return [self._pool.submit(self._one, step, slots, [indices[slot] for slot in slots]) for slots in self.slots]

    def _one(self, step: int, slots: range, indices: list[int]) -> Made:
        return self.make(step, slots, [self.samples.get(index) for index in indices])
