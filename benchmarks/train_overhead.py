"""What a training step costs besides arithmetic: launches, waits, gradient exchange, reading data.

    python -m benchmarks.train_overhead                  writes build/bench/train_overhead.json; two minutes on a CPU
    python -m benchmarks.train_overhead --only loader    one part: step, exchange, loader or wait

No GPU is needed, and none is measured: `gpu_s` is the time in which an H200 would do a step's FLOPs at half its peak.

- step: a model with all layers of the public one, but almost no width, so that nearly all CPU time is Python and
  PyTorch's dispatcher. `launches`: operations that are not views, the optimizer excluded, which is fused on a GPU.
  `host_share`: CPU seconds over `gpu_s`; below 1, the GPU's queue stays filled.
- exchange: bytes of the gradient that ranks exchange in each step, after the last backward pass, and the share of the
  step that this takes over links of different speed (a ring). `gloo_s`: two processes of this machine.
- loader: samples per second that one rank's reader threads deliver, from disk and from an S3 server (moto, where it is
  installed), over those that the rank's GPU would train on. "s3 by boto3": plain requests for as many bytes.
- wait: seconds that the training of a mini model waits for data, over seconds of its steps.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.data import judge, write_report
from benchmarks.timing import spread
from benchmarks.train import PEAKS_TFLOPS, TrainerBench, bench_options
from mvideo_core.cogvideox.sizes import SIZES, size_of
from mvideo_core.training.estimate.flops import count_flops
from mvideo_core.training.estimate.shape import model_shape, on_meta
from mvideo_core.training.sample_order import DataOptions
from tests import s3_server
from tests.fixtures.drawn_latents import draw_latents

OUT = Path("build/bench/train_overhead.json")
PUBLIC = {"cogvideox-2b": "tiny-sincos", "cogvideox-5b": "tiny-rope"}
"""Public size -> size of the same kind whose width the thin model takes."""
RANK = 128
PEAK_FRAC = 0.5
LINKS_GB_S = {"NVLink, 8 GPUs": (8, 450.0), "400 Gb/s, 16 GPUs": (16, 50.0), "100 Gb/s, 16 GPUs": (16, 12.5)}
"""Ranks in the ring, and GB/s of its slowest link in one direction."""
READ_STEPS = 24


def gpu_seconds(size: str, batch: int = 1) -> float:
    """Seconds of a step with history, mask and teacher at `PEAK_FRAC` of an H200's peak."""
    options = bench_options(size, batch, "", Path("unused"), "cpu", RANK, {})
    return count_flops(options, batch)["step"] / (PEAKS_TFLOPS["H200", "bf16"] * 1e12 * PEAK_FRAC)


def measure_step(rounds: int = 7) -> dict[str, Any]:
    """Operations and CPU seconds of a step of the public sizes, without their width."""
    import torch

    found: dict[str, Any] = {}
    for size, narrow in PUBLIC.items():
        layers = size_of(size).transformer["num_layers"]
        thin = replace(SIZES[narrow], transformer=SIZES[narrow].transformer | {"num_layers": layers})
        SIZES[f"thin-{size}"] = thin
        with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
            latents = draw_latents(Path(folder) / "latents", f"thin-{size}", clips=2)
            options = bench_options(f"thin-{size}", 1, str(latents), Path(folder), "cpu", 16, {"precision": "bf16"})
            bench = TrainerBench(options, torch.device("cpu"))
            bench.trainer.optimizer.step = _no_step  # type: ignore[assignment]
            bench.time_step()
            host_s = spread([bench.time_step() for _ in range(rounds)])
            calls = count_operations(bench.trainer.train_step)
            bench.close()
        gpu_s = gpu_seconds(size)
        found[size] = {
            "operations": sum(calls.values()),
            "launches": sum(n for operation, n in calls.items() if not operation.is_view),
            "casts": calls[torch.ops.aten._to_copy.default],
            "numbers_read": calls[torch.ops.aten._local_scalar_dense.default],  # besides the one `tolist` of the loop
            "host_s": host_s.round_to(3),
            "gpu_s": round(gpu_s, 3),
            "host_share": round(host_s.median / gpu_s, 2),
        }
    shares = {f"host_share_{size}": one["host_share"] for size, one in found.items()}
    return {"sizes": found, **shares, "goals": dict.fromkeys(shares, "< 1")}


def _no_step(closure: Any = None) -> None:
    """Adam is fused on a GPU; on a CPU it is thousands of operations."""


def count_operations(work: Callable[[], Any]) -> Counter[Any]:
    """Calls of PyTorch's operators in one run of `work`, backward included."""
    from torch.utils._python_dispatch import TorchDispatchMode

    calls: Counter[Any] = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            calls[func] += 1
            return func(*args, **(kwargs or {}))

    with Counting():
        work()
    return calls


def measure_exchange() -> dict[str, Any]:
    """The gradient's bytes and the share of a step that its exchange takes, by size and link."""
    from mvideo_core.cogvideox.adapter import list_trainable

    found: dict[str, Any] = {}
    for size in PUBLIC:
        options = bench_options(size, 1, "", Path("unused"), "cpu", RANK, {})
        config = model_shape(options).config
        model: Any = on_meta(options, config, config["num_layers"])
        n_bytes, gpu_s = 4 * sum(one.numel() for one in list_trainable(model).values()), gpu_seconds(size)
        shares = {}
        for link, (ranks, gb_s) in LINKS_GB_S.items():
            seconds = 2 * (ranks - 1) / ranks * n_bytes / (gb_s * 1e9)
            shares[link] = round(seconds / (seconds + gpu_s), 4)
        found[size] = {"gb": round(n_bytes / 1e9, 3), "share": shares, "gloo_s": round(_gloo_seconds(n_bytes), 2)}
    worst = max(one["share"]["400 Gb/s, 16 GPUs"] for one in found.values())
    return {"sizes": found, "share_400gb": worst, "goals": {"share_400gb": "< 0.02"}}


def _gloo_seconds(n_bytes: int) -> float:
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        context = multiprocessing.get_context("spawn")
        arguments = [(rank, f"file://{folder}/meet", n_bytes // 4) for rank in range(2)]
        with context.Pool(2) as pool:
            return max(pool.starmap(_all_reduce, arguments))


def _all_reduce(rank: int, meet: str, n_numbers: int) -> float:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=2)
    gradient = torch.ones(n_numbers)
    took = []
    for _ in range(4):
        dist.barrier()
        started_s = time.perf_counter()
        dist.all_reduce(gradient)
        took.append(time.perf_counter() - started_s)
    dist.destroy_process_group()
    return min(took)


def measure_loader() -> dict[str, Any]:
    """Samples per second of one rank's reader threads over those of its GPU, by size and place."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder, _s3() as upload:
        for size in PUBLIC:
            latents = draw_latents(Path(folder) / size, size, clips=12)
            rates = {"disk": _read_rate(size, str(latents))}
            if upload is not None:
                rates["s3"] = _read_rate(size, url := upload(latents))
                rates["s3 by boto3"] = _plain_rate(url, next(latents.glob("*.tar")), n_samples=12)
            per_gpu = 1 / gpu_seconds(size)
            found[size] = {
                "samples_per_s": {place: round(rate, 1) for place, rate in rates.items()},
                "trained_per_s": round(per_gpu, 2),
                "over_trained": {place: round(rate / per_gpu, 1) for place, rate in rates.items()},
            }
    worst = {f"over_trained_{place}": min(one["over_trained"][place] for one in found.values())
             for place in ("disk", "s3") if place in rates}  # fmt: skip
    return {"sizes": found, **worst, "goals": dict.fromkeys(worst, ">= 2")}


def _read_rate(size: str, latents: str) -> float:
    from mvideo_core.cogvideox.base import random_base
    from mvideo_core.cogvideox.schedule import Schedule
    from mvideo_core.training.main import batch_maker, open_latents
    from mvideo_core.training.sample_order import Feed, Split, order_samples, rank_slots

    options = bench_options(size, 1, latents, Path("unused"), "cpu", RANK, {})
    dataset, world = open_latents(options), _one_rank()
    split = Split(dataset.keys, 0, (), dataset.ids)
    order = order_samples(options.data, split.train, dataset.ids, 1, options.seed)
    make = batch_maker(options, dataset, Schedule.of(random_base(size, parts=()).scheduler), options.seed, world)
    feed: Feed[Any, Any] = Feed(dataset, order, rank_slots(1, 1, 0, 1), make, options.data)
    started_s = 0.0
    for step in range(READ_STEPS + 3):
        if step == 3:  # what the threads have read ahead by now is read again at the end
            started_s = time.perf_counter()
        list(feed.step(step))
    seconds = time.perf_counter() - started_s
    feed.close()
    return READ_STEPS / seconds


def _plain_rate(url: str, tar: Path, n_samples: int) -> float:
    """Samples per second of plain ranged requests, as many bytes and threads: what the server can deliver."""
    size_bytes, client = tar.stat().st_size // n_samples, s3_server.client(os.environ["AWS_ENDPOINT_URL"])
    bucket, folder = url.removeprefix("s3://").split("/")

    def get(number: int) -> None:
        start = (number % n_samples) * size_bytes
        span = f"bytes={start}-{start + size_bytes - 1}"
        client.get_object(Bucket=bucket, Key=f"{folder}/{tar.name}", Range=span)["Body"].read()

    with ThreadPoolExecutor(DataOptions().threads) as pool:
        list(pool.map(get, range(4)))
        started_s = time.perf_counter()
        list(pool.map(get, range(READ_STEPS)))
    return READ_STEPS / (time.perf_counter() - started_s)


@contextmanager
def _s3() -> Iterator[Callable[[Path], str] | None]:
    """Copies a folder to an S3 server and returns its URL; None where no server can be started."""
    if not s3_server.INSTALLED:
        yield None
        return

    def upload(folder: Path) -> str:
        for path in sorted(folder.iterdir()):
            s3_server.client(known["AWS_ENDPOINT_URL"]).upload_file(str(path), "latents", f"{folder.name}/{path.name}")
        return f"s3://latents/{folder.name}"

    with s3_server.s3_server("latents") as known:
        os.environ.update(known)
        yield upload


def measure_wait(steps: int = 40) -> dict[str, Any]:
    """Share of a mini model's training steps that is spent waiting for data."""
    import torch

    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        latents = draw_latents(Path(folder) / "latents", "mini-sincos", clips=8)
        options = bench_options("mini-sincos", 2, str(latents), Path(folder), "cpu", RANK, {})
        bench = TrainerBench(options, torch.device("cpu"))
        bench.time_step()
        metrics = [bench.trainer.train_step() for _ in range(steps)]
        bench.close()
    waited_s, step_s = (sum(one[name] for one in metrics) for name in ("perf/data_wait_s", "perf/step_s"))
    return {"steps": steps, "step_s": round(step_s / steps, 3), "wait_share": round(waited_s / step_s, 4),
            "goals": {"wait_share": "< 0.01"}}  # fmt: skip


def _one_rank() -> Any:
    import torch

    from mvideo_core.training.distributed import World

    return World(0, 0, 1, torch.device("cpu"))


PARTS = {"step": measure_step, "exchange": measure_exchange, "loader": measure_loader, "wait": measure_wait}


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    measured: dict[str, Any] = {}
    for name in args.only:
        measured[f"training step, {name}"] = one = judge(PARTS[name]())
        print(json.dumps({name: one}, indent=1), flush=True)
    write_report(measured, args.out)


if __name__ == "__main__":
    main()
