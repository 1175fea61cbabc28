"""The order in which ranks see samples, and a loader that knows its place in it to the sample."""

from collections.abc import Callable, Iterator, Sized
from typing import Any, Literal, Protocol

import numpy as np

from mvideo_core.base.errors import ConfigError, TrainError
from mvideo_core.base.options import digest

Remainder = Literal["drop", "keep", "repeat"]


class _Indexed(Sized, Protocol):
    def __getitem__(self, index: int) -> Any: ...


def rank_order(
    n_samples: int,
    epoch: int,
    seed: int,
    rank: int,
    world_size: int,
    consumed: int,
    shuffle: bool,
    remainder: Remainder,
) -> np.ndarray:
    """Indices that one rank sees in the rest of an epoch.

    The epoch has one global order (a seeded permutation); what is left after `consumed` samples is dealt out in turn,
    so the same order goes on after a stop, also on another number of ranks.

    Args:
        n_samples: size of the dataset.
        consumed: samples of this epoch that all ranks together have seen.
        remainder: what to do when the rest does not divide by `world_size`: "drop" leaves up to world_size - 1 samples
            out (others each epoch when shuffled), "keep" gives some ranks one more, "repeat" shows as many twice.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n_samples) if shuffle else np.arange(n_samples)
    rest = order[consumed:]
    odd = len(rest) % world_size
    if odd and remainder == "drop":
        rest = rest[:-odd]
    elif odd and remainder == "repeat":
        rest = np.concatenate([rest, np.resize(order, world_size - odd)])
    return rest[rank::world_size]


class ResumableLoader:
    """Batches of one rank over endless epochs, with its place as a small state.

    `for batch in loader` gives what is left of the current epoch and then moves on to the next. `state_dict()` between
    two batches is exact: a loader that loads it gives the very next batch, with any number of workers.

    Args:
        dataset: map-style, e.g. MaskVideoDataset.
        batch_size: samples per batch of this rank.
        rank, world_size: this process among those that share the epoch.
        seed: of the order.
        shuffle: a new global permutation each epoch; else index order.
        remainder: see `rank_order`; "drop" also leaves out a last short batch: all ranks take as many steps.
        num_workers: processes that read and transform; 0 reads in this one.
        collate: list of items -> batch; the list itself by default.
        loader_options: further arguments of torch's DataLoader (pin_memory, prefetch_factor...).
    """

    def __init__(
        self,
        dataset: _Indexed,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        remainder: Remainder = "drop",
        num_workers: int = 0,
        collate: Callable[[list[Any]], Any] = list,
        **loader_options: Any,
    ):
        if not 0 <= rank < world_size or batch_size < 1:
            raise ConfigError(
                f"rank {rank} of {world_size}, batch size {batch_size}: 0 <= rank < world size, batch >= 1"
            )
        self.dataset, self.batch_size = dataset, batch_size
        self.rank, self.world_size = rank, world_size
        self.seed, self.shuffle, self.remainder = seed, shuffle, remainder
        self.num_workers, self.collate, self.loader_options = num_workers, collate, loader_options
        self.epoch, self.consumed = 0, 0

    def __len__(self) -> int:
        """Batches left in the current epoch."""
        return len(self._batches())

    def __iter__(self) -> Iterator[Any]:
        from torch.utils.data import DataLoader

        batches = self._batches()
        loader: Any = DataLoader(
            self.dataset,  # type: ignore[arg-type]  # any sized, indexable object will do
            batch_sampler=batches,
            num_workers=self.num_workers,
            collate_fn=self.collate,
            **({"multiprocessing_context": _clean_processes()} if self.num_workers else {}),
            **self.loader_options,
        )
        for indices, batch in zip(batches, loader, strict=True):
            # Counted before the batch is handed over: a state taken while it is in use says that it was seen.
            self.consumed += len(indices) * self.world_size
            yield batch
        self.epoch, self.consumed = self.epoch + 1, 0

    def state_dict(self) -> dict[str, int | str]:
        """Where this loader is; equal on all ranks after equally many batches."""
        return {"epoch": self.epoch, "consumed": self.consumed, "seed": self.seed, "dataset": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            TrainError: the state belongs to another dataset or another seed.
        """
        if state["dataset"] != self._identity() or state["seed"] != self.seed:
            raise TrainError(
                f"data position of dataset {state['dataset']}, seed {state['seed']} cannot be used with dataset "
                f"{self._identity()}, seed {self.seed}; resume with the data and seed of the first run, or start anew"
            )
        self.epoch, self.consumed = int(state["epoch"]), int(state["consumed"])

    def _batches(self) -> list[list[int]]:
        order = rank_order(
            len(self.dataset),
            self.epoch,
            self.seed,
            self.rank,
            self.world_size,
            self.consumed,
            self.shuffle,
            self.remainder,
        ).tolist()
        if self.remainder == "drop":
            order = order[: len(order) // self.batch_size * self.batch_size]
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]

    def _identity(self) -> str:
        """What must not change between stop and resume."""
        info = getattr(self.dataset, "info", None)
        return digest(
            [len(self.dataset), getattr(info, "digest", ""), getattr(self.dataset, "split", ""), self.shuffle]
        )[:16]


def _clean_processes() -> Any:
    """Workers begin in a process that has torch and nothing else: a fork of this one would inherit the threads, the
    exit handlers and the CUDA context of whatever it has loaded (with Ray and Prefect in it, workers died at exit).
    """
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.utils.data", "mvideo_core.shards.dataset"])
    return context
