"""What each of two ranks runs for test_processes.py: a good run, then one whose second rank meets a NaN at step 1."""

import sys
from pathlib import Path

import torch

from mvideo_core.base.errors import TrainError
from mvideo_core.base.options import read_yaml
from mvideo_core.training import main
from mvideo_core.training.distributed import environment_ranks, process_group
from mvideo_core.training.options import TrainOptions


def run(config: Path) -> None:
    torch.set_num_threads(1)
    options = TrainOptions.parse(read_yaml(config))
    with process_group(options.distributed) as world:
        trainer, close = main.build(options, world)
        trainer.fit()
        close()
        trainer, close = main.build(options.model_copy(update={"out": f"{options.out}-nan"}), world)
        loss = trainer.objective.loss

        def poisoned(batch):  # type: ignore[no-untyped-def]
            if world.rank == 1 and trainer.step == 1:
                batch.x0_BFCHW[0, 0, 0, 0, 0] = float("nan")
            return loss(batch)

        trainer.objective.loss = poisoned  # type: ignore[method-assign]
        try:
            trainer.fit()
        except TrainError as error:
            (config.parent / f"rank-{environment_ranks()[0]}.txt").write_text(str(error))
        close()


if __name__ == "__main__":
    run(Path(sys.argv[sys.argv.index("--config") + 1]))
