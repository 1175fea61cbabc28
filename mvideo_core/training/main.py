"""One process of a training run, alone or under torchrun.

`mvideo train run` starts it. To start it yourself, run this on every machine, with the run's options in `run.yaml`:

    torchrun --nnodes=4 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=node0:29500 --rdzv-id=mvideo \\
        -m mvideo_core.training.main --config run.yaml

All problems with the options are found before data is read. A failure is written to errors/rank-<n>.json of the
run folder, where the launcher looks for it.
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mvideo_core.base.disk import disk_errors, write_whole
from mvideo_core.base.errors import ConfigError, MVideoError
from mvideo_core.base.gpus import gpu_ids
from mvideo_core.base.home import ensure_home
from mvideo_core.base.local_paths import local_path
from mvideo_core.base.locks import folder_in_use, sole_owner
from mvideo_core.base.options import read_yaml
from mvideo_core.cogvideox.adapter_header import Training
from mvideo_core.processes.launcher import die_with_parent
from mvideo_core.training.callbacks.base import Callback
from mvideo_core.training.callbacks.checkpoints import Checkpoints
from mvideo_core.training.callbacks.ema import Ema
from mvideo_core.training.callbacks.metrics import Metrics
from mvideo_core.training.callbacks.samples import SampleVideos
from mvideo_core.training.callbacks.stopping import STOP, Stopping, signals_ask
from mvideo_core.training.callbacks.trackers import check_extras
from mvideo_core.training.callbacks.validation import SEED, Validation
from mvideo_core.training.callbacks.warm_up import WarmUp
from mvideo_core.training.checkpoint import ADAPTER, ADAPTER_EMA, CHECKPOINTS, State
from mvideo_core.training.distributed import World, environment_ranks, process_group
from mvideo_core.training.estimate.memory import checkpoint_bytes
from mvideo_core.training.execution import input_dtype, prepare
from mvideo_core.training.failures import write_failure
from mvideo_core.training.launch import LAUNCHED, check_processes
from mvideo_core.training.loop import Trainer
from mvideo_core.training.loss_weights import MaskLossOptions
from mvideo_core.training.option_changes import is_allowed
from mvideo_core.training.options import TrainOptions
from mvideo_core.training.phases import FirstSteps, Say, phase_writer
from mvideo_core.training.report import last_line, write_report
from mvideo_core.training.resume import find_start, resume
from mvideo_core.training.sample_order import Feed, Split, order_samples, rank_slots
from mvideo_core.training.warm_start import OTHER_BASE, load_init_adapter

if TYPE_CHECKING:
    from mvideo_core.training.batches import BatchMaker
    from mvideo_core.training.latents.cache import LatentDataset

log = logging.getLogger(__name__)
UNDER_TORCHRUN = "TORCHELASTIC_RUN_ID"


def main(argv: list[str] | None = None) -> int:
    """Exit code 0: trained, or stopped on request; 2: the options are wrong; 1: any other error of ours."""
    parser = argparse.ArgumentParser(prog="python -m mvideo_core.training.main", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML file of TrainOptions")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    config = parser.parse_args(argv).config
    if UNDER_TORCHRUN in os.environ:
        die_with_parent(os.getppid())  # after torchrun is killed, no process trains on alone and holds the lock
    try:
        ensure_home()
        options = TrainOptions.parse(read_yaml(config), str(config))
        with _record_errors(options):
            train(options)
    except MVideoError as error:
        log.error("%s: %s", type(error).__name__, error)
        return 2 if isinstance(error, ConfigError) else 1
    return 0


def train(options: TrainOptions) -> None:
    """This process's part of a run.

    Raises:
        ConfigError: the options do not fit each other, the data or the checkpoint.
        ModelError: weights or extras are missing.
        StoreError: the run folder or the latents cannot be read or written.
        TrainError: the loss is not finite.
    """
    check(options, environment_ranks()[2])
    run = Path(options.out)
    with process_group(options.distributed) as world, _own_run(run, world), folder_in_use(options.data.latents):
        trainer, close = build(options, world, phase_writer(run, world.first))
        try:
            if world.first:
                text = yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False)
                write_whole(run / "options.yaml", text)
            with signals_ask(trainer):
                trainer.fit()
        finally:
            close()
        if world.first:
            log.info(last_line(write_report(run)))


def check(options: TrainOptions, world_size: int) -> None:
    """Check what can be checked of the options without weights or data.

    Raises:
        ConfigError, ModelError: see `train`.
    """
    if not options.out:
        raise ConfigError("out is empty; set the run's folder")
    local_path(options.out, "out")
    if not options.data.latents:
        raise ConfigError("data.latents is empty; set it to the output of `mvideo encode`")
    if LAUNCHED not in os.environ:  # the launcher checked before it started us
        check_processes(options, len(gpu_ids()))
    rank_slots(options.global_batch, options.micro_batch, 0, world_size)
    check_extras(options.metrics)


def build(options: TrainOptions, world: World, say: Say = log.info) -> "tuple[Trainer, Callable[[], None]]":
    """A trainer at the step to continue from, and a function that closes its readers.

    Args:
        say: called with the next phase.

    Options that differ from the checkpoint's are found before the model is loaded; targets that match nothing, before
    the latents are opened.
    """
    import torch

    from mvideo_core.cogvideox.adapter import add_lora, list_trainable
    from mvideo_core.cogvideox.base import load_base
    from mvideo_core.cogvideox.quantize import capability, check_quantization, quantize_blocks
    from mvideo_core.cogvideox.schedule import Schedule
    from mvideo_core.training.losses import MVideoObjective

    torch.manual_seed(options.seed)
    say(f"checking the base {options.base.weights} against the run folder")
    check_quantization(options.execution.quantize, capability(world.device))
    start = find_start(options, world)
    say(f"loading the base {options.base.weights}")
    # Text and clips come as latents: text encoder and VAE stay off the device.
    base = load_base(options.base, parts=("transformer",))
    transformer: Any = base.transformer
    say("adding the adapters")
    quantize_blocks(transformer, options.execution.quantize)
    add_lora(transformer, options.lora)
    if options.init_adapter:
        load_init_adapter(transformer, options.init_adapter, options.lora, is_allowed(OTHER_BASE, options.allow))
    say(f"moving the base to {world.device}")
    transformer.to(world.device).train()
    prepare(transformer, options.execution)
    schedule = Schedule.of(base.scheduler)
    objective = MVideoObjective(transformer, schedule, options.consistency, input_dtype(options.execution))

    say(f"checking the latents {options.data.latents}")
    dataset = open_latents(options)
    start = start.with_data(options, dataset.info.digest)
    split = Split(dataset.keys, options.data.holdout, options.data.exclude, dataset.ids)
    slots = rank_slots(options.global_batch, options.micro_batch, world.rank, world.size)
    order = order_samples(options.data, split.train, dataset.ids, options.global_batch, options.seed)
    train_maker = batch_maker(options, dataset, schedule, options.seed, world, options.mask_loss)
    feed: Feed[Any, Any] = Feed(dataset, order, slots, train_maker, options.data)
    parameters = list_trainable(transformer)
    trainer = Trainer(
        objective, parameters, feed, world, n_micro=len(slots), steps=options.steps, options=options.optimizer,
        skip_nonfinite=options.skip_nonfinite,
    )  # fmt: skip
    validation_maker = batch_maker(options, dataset, schedule, SEED, world)
    state = start.state(options, world, dataset.info.digest)
    makers = (train_maker, validation_maker)
    trainer.callbacks = callbacks(options, dataset, split, objective, makers, parameters, state, say)
    if start.folder is not None:
        say(f"loading {start.folder.name}")
    resume(start, trainer)
    return trainer, feed.close


def open_latents(options: TrainOptions) -> "LatentDataset":
    """The latents to train on, checked against the model.

    Raises:
        ConfigError: latents of another VAE, text encoder or format, or without data that the options require.
    """
    from mvideo_core.training.latents.cache import LatentDataset
    from mvideo_core.training.latents.identity import base_identity

    uses_history = options.draws.history_none < 1
    dataset = LatentDataset(
        options.data.latents,
        options.data.split,
        expect=base_identity(options.base, options.data.format),
        history="with" if uses_history else "any",
    )
    check_members(options, dataset)
    return dataset


def check_members(options: TrainOptions, dataset: "LatentDataset") -> None:
    """Raise when the latents lack sloppy masks or coverage that the options use.

    Raises:
        ConfigError: names what is missing and how to encode it.
    """
    root, draws, weights = dataset.files.root, options.draws, options.mask_loss
    if draws.sloppy_mask and not dataset.info.n_sloppy:
        raise ConfigError(
            f"{root}: draws.sloppy_mask is {draws.sloppy_mask:g}, and these latents have no sloppy masks; encode again "
            "with `mvideo encode --set sloppy.variants=2`, or set draws.sloppy_mask to 0"
        )
    if weights.weighted and not dataset.info.has_coverage:
        raise ConfigError(
            f"{root}: mask_loss is {weights.inside:g} inside and {weights.outside:g} outside, and these latents have "
            "no coverage of the masks; encode again with `mvideo encode --set store_coverage=true`, or make both equal"
        )


def batch_maker(
    options: TrainOptions,
    dataset: "LatentDataset",
    schedule: Any,
    seed: int,
    world: World,
    mask_loss: MaskLossOptions = MaskLossOptions(),
) -> "BatchMaker":
    """Makes micro-batches from these latents."""
    from mvideo_core.training.batches import BatchMaker

    return BatchMaker(
        options.draws, options.consistency, schedule, seed=seed, global_batch=options.global_batch,
        scaling=dataset.info.scaling_factor, empty_text_LC=dataset.empty_text_LC(), pin=world.device.type == "cuda",
        n_sloppy=dataset.info.n_sloppy, mask_loss=mask_loss,
    )  # fmt: skip


def about_training(options: TrainOptions, data_sha256: str, step: int) -> dict[str, str]:
    """What an adapter's headers say about this training run and, from the options' card, about the adapter."""
    training = Training(
        base=options.base.weights, data_sha256=data_sha256, seed=options.seed, step=step,
        global_batch=options.global_batch, peak_rate=options.optimizer.rate.peak,
        precision=options.execution.precision,
    )  # fmt: skip
    return training.keys() | options.card.keys()


def callbacks(
    options: TrainOptions,
    dataset: "LatentDataset",
    split: Split,
    objective: Any,
    makers: "tuple[BatchMaker, BatchMaker]",
    parameters: dict[str, Any],
    state: State,
    say: Say,
) -> list[Callback]:
    """All callbacks, in the order in which their hooks run; `makers` of training and validation batches."""
    from mvideo_core.cogvideox.adapter import save_adapter

    run, form = Path(options.out), dataset.info.identity.format
    ema = Ema(parameters, options.ema) if options.ema.decay else None

    def export(folder: Path, step: int) -> None:
        about = about_training(options, state.data, step)
        save_adapter(folder / ADAPTER, objective.transformer, form, about)
        if ema:
            with ema.swap():
                save_adapter(folder / ADAPTER_EMA, objective.transformer, form, about)

    validation = Validation(objective, dataset, split.held, makers[1], options.validation, ema)
    videos = SampleVideos(run / "samples", options.samples, objective, options.base, dataset, split.held, ema)
    n_bytes = checkpoint_bytes(options, sum(one.numel() for one in parameters.values()))
    warm_up = WarmUp(options, objective, dataset, split.train, makers[0], validation, videos, say)
    return [
        Stopping(run),
        *([ema] if ema else []),
        *([warm_up] if options.execution.compile else []),
        validation,
        videos,
        Metrics(run, options.metrics, options.global_batch, options.model_dump(mode="json")),
        Checkpoints(run / CHECKPOINTS, options.checkpoints, state, options.global_batch, n_bytes, export, say),
        FirstSteps(say, options.metrics.every),
    ]


@contextlib.contextmanager
def _own_run(run: Path, world: World) -> Iterator[None]:
    """The first rank holds the run folder's lock; stop requests of an earlier launch are deleted."""
    with sole_owner(run, "training", "`out`") if world.first else contextlib.nullcontext():
        if world.first and LAUNCHED not in os.environ:
            (run / STOP).unlink(missing_ok=True)
        yield


@contextlib.contextmanager
def _record_errors(options: TrainOptions) -> Iterator[None]:
    """Record every error inside the block for the launcher, ours and any other."""
    try:
        with disk_errors():
            yield
    except Exception as error:
        if options.out:
            write_failure(Path(options.out), environment_ranks()[0], error)
        raise


if __name__ == "__main__":
    sys.exit(main())
