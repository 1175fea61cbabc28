"""Seconds of a training step by part, FLOPs, fraction of the machine's peak, and diffusers' plain loop for comparison.

python -m benchmarks.train                                        mini, on this machine; some minutes on a CPU
python -m benchmarks.train --size cogvideox-5b --batch 1          random weights, on a GPU
python -m benchmarks.train --size cogvideox-2b --execution '{"attention": "cudnn", "compile": true}'

Writes build/bench/train.json. Weights are random and latents drawn at random: the time does not depend on their values.

- split: one step, waiting for the machine after each part: data (read, drawn, copied), teacher, forward, backward,
  optimizer (clip and Adam). The whole step is timed separately, without those waits.
- FLOPs: torch's FlopCounterMode on the meta device, matrix products and attention only, 2 per multiplication and
  addition, without recomputation. MFU = FLOPs / seconds / peak.
- peak: from the GPU's data sheet if it is known (dense), else the best of several large matrix products on this
  machine.
- plain: our step without additions (no history, no teacher, mask weight frozen) compared with the loop of diffusers'
  CogVideoX LoRA example (its loss, its positions, AdamW) on the plain transformer with equal adapters, batch and
  latents; interleaved. On a CPU the ratio of CPU seconds decides, since other work affects wall time.
- with_mask: the same with the mask weight trained. It sits before the first block, so the gradient must pass through
  that block too, which adds one part in the number of layers.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import judge, write_report
from benchmarks.diffusers_loop import DiffusersLoop
from benchmarks.timing import cpus, interleave, ratio, spread, walls
from mvideo_core.base.devices import default_device
from mvideo_core.training.estimate.flops import count_flops
from mvideo_core.training.options import TrainOptions
from tests.fixtures.drawn_latents import draw_latents

OUT = Path("build/bench/train.json")
PEAKS_TFLOPS = {("H200", "bf16"): 989.0, ("H100", "bf16"): 989.0, ("A100", "bf16"): 312.0}
"""Data-sheet dense peaks, TFLOP/s."""


def measure(
    size: str = "mini-rope",
    batch: int = 1,
    rounds: int = 5,
    device: str = "auto",
    rank: int = 128,
    execution: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The step with both histories, mask and teacher, at a size from mvideo_core.cogvideox.sizes."""
    import torch

    where = torch.device(default_device() if device == "auto" else device)
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        latents = draw_latents(Path(folder) / "latents", size, clips=max(2, batch))
        options = bench_options(size, batch, str(latents), Path(folder), where.type, rank, execution or {})
        flops = count_flops(options, batch)
        peak, peak_from = peak_tflops(where, options.execution.precision)
        bench = TrainerBench(options, where)
        bench.split()
        parts = [bench.split() for _ in range(rounds)]
        step_s = [bench.time_step() for _ in range(rounds)]
        memory = torch.cuda.max_memory_allocated() / 2**30 if where.type == "cuda" else None
        bench.close()
        del bench
        plain = against_diffusers(options, where, batch, rounds)
    median_s = spread(step_s).median
    return {
        "size": size,
        "batch": batch,
        "device": torch.cuda.get_device_name() if where.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "lora_rank": rank,
        "execution": options.execution.model_dump(),
        "seconds": "wall" if where.type == "cuda" else "CPU, all threads",
        "step_s": spread(step_s).round_to(4),
        "split_s": {name: spread([one[name] for one in parts]).round_to(4) for name in parts[0]},
        "gflop": {name: round(value / 1e9, 3) for name, value in flops.items()},
        "peak_tflops": round(peak, 3),
        "peak_from": peak_from,
        "mfu": round(flops["step"] / 1e12 / median_s / peak, 3),
        "peak_gib": memory and round(memory, 1),
        "plain": plain,
        "plain_over_diffusers": plain["ours_over_diffusers_cpu" if where.type == "cpu" else "ours_over_diffusers"][
            "median"
        ],
        "goals": {"plain_over_diffusers": "<= 1.05"} | ({"mfu": ">= 0.5"} if where.type == "cuda" else {}),
    }


def bench_options(
    size: str, batch: int, latents: str, folder: Path, device: str, rank: int, execution: dict[str, Any]
) -> TrainOptions:
    fp32 = {"precision": "fp32"} if device == "cpu" else {}
    values = {
        "out": str(folder / "run"),
        "global_batch": batch,
        "micro_batch": batch,
        "steps": 1_000_000,
        "base": {"weights": f"random:{size}", "dtype": "fp32" if device == "cpu" else "bf16"},
        "data": {"latents": latents, "holdout": 0},
        "lora": {"rank": rank, "alpha": rank / 2},
        "draws": {"history_none": 0.0, "appearance_only": 0.0},
        "distributed": {"device": device},
        "execution": fp32 | execution,
    }
    return TrainOptions.parse(values)


class TrainerBench:
    """A trainer, driven part by part."""

    def __init__(self, options: TrainOptions, device: Any):
        from mvideo_core.training.distributed import World
        from mvideo_core.training.main import build

        self.trainer, self.close = build(options, World(0, 0, 1, device))
        self.objective: Any = self.trainer.objective
        self.device = device

    def time_step(self) -> float:
        """Seconds of a step as in training."""
        started_s = self._now()
        self.trainer.train_step()
        return self._now() - started_s

    def split(self) -> dict[str, float]:
        """Seconds of the parts of a step, waiting for each."""
        from mvideo_core.training.losses import squared_error

        trainer, objective = self.trainer, self.objective
        marks = [self._now()]
        trainer._flat.zero_()
        batch = next(trainer.feed.step(trainer.step))
        level_B = batch.timestep_B
        batch = batch.to(self.device)
        x_t = objective.schedule.noisy(batch.x0_BFCHW, batch.noise_BFCHW, level_B)
        target = objective.schedule.velocity(batch.x0_BFCHW, batch.noise_BFCHW, level_B)
        marks.append(self._now())
        taught = objective.teach(x_t, batch)
        marks.append(self._now())
        student = objective.predict(x_t, batch, conditioned=True)
        loss = (squared_error(student, target) + squared_error(student, taught)).mean()
        marks.append(self._now())
        loss.backward()
        marks.append(self._now())
        trainer._flat.mul_(min(1.0, 1.0 / float(trainer._flat.norm())))
        trainer.optimizer.step()
        trainer.step += 1
        marks.append(self._now())
        names = ("data", "teacher", "forward", "backward", "optimizer")
        return {name: after - before for name, before, after in zip(names, marks, marks[1:], strict=False)}

    def _now(self) -> float:
        if self.device.type == "cuda":
            import torch

            torch.cuda.synchronize()
        return clock_of(self.device)()


def clock_of(device: Any) -> Callable[[], float]:
    """Wall seconds on a GPU; CPU seconds of this process on a CPU, which may have other work."""
    return time.perf_counter if device.type == "cuda" else time.process_time


def peak_tflops(device: Any, precision: str) -> tuple[float, str]:
    """Peak of the device and the source of the figure."""
    import torch

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        for (card, kind), value in PEAKS_TFLOPS.items():
            if card in name and kind == precision:
                return value, f"data sheet, {card} {kind} dense"
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    clock = clock_of(device)
    n = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(10):
        started_s = clock()
        (a @ b).sum().item()
        best_s = min(best_s, clock() - started_s)
    return 2 * n**3 / best_s / 1e12, f"best of ten {n} x {n} products, {precision}, {torch.get_num_threads()} threads"


def against_diffusers(options: TrainOptions, device: Any, batch: int, rounds: int) -> dict[str, Any]:
    """Our plain step and diffusers', interleaved: wall seconds, CPU seconds, their ratio."""
    changed = options.model_dump(mode="json")
    changed["draws"] |= {"history_none": 1.0, "mask": 1.0}
    changed["consistency"] |= {"alpha": 0.0}
    bench = TrainerBench(TrainOptions.parse(changed), device)
    mask = bench.objective.transformer.mask_proj.weight

    def step_frozen() -> None:
        mask.requires_grad_(False)
        bench.time_step()
        mask.requires_grad_(True)

    works = {"ours": step_frozen, "with_mask": bench.time_step, "diffusers": DiffusersLoop(options, device, batch).step}
    took = interleave(works, rounds)
    bench.close()
    wall, cpu = ({name: of(one) for name, one in took.items()} for of in (walls, cpus))
    return {
        "wall_s": {name: spread(one).round_to(4) for name, one in wall.items()},
        "cpu_s": {name: spread(one).round_to(4) for name, one in cpu.items()},
        "ours_over_diffusers": ratio(wall["ours"], wall["diffusers"]).round_to(3),
        "ours_over_diffusers_cpu": ratio(cpu["ours"], cpu["diffusers"]).round_to(3),
        "with_mask_over_diffusers_cpu": ratio(cpu["with_mask"], cpu["diffusers"]).round_to(3),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="mini-rope", help="a size from mvideo_core.cogvideox.sizes")
    parser.add_argument("--batch", type=int, default=1, help="samples per step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rank", type=int, default=128, help="rank of the adapters")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--execution", default="{}", help="JSON of ExecutionOptions")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    measured = measure(args.size, args.batch, args.rounds, args.device, args.rank, json.loads(args.execution))
    write_report({f"train {args.size}": judge(measured)}, args.out)


if __name__ == "__main__":
    main()
