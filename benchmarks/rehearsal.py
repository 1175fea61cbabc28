"""Rehearses the first day on a GPU box: full-size models with random values through every stage, by README commands.

python -m benchmarks.rehearsal --folder /data/videos       your own footage; without it, rendered videos
python -m benchmarks.rehearsal --keep                      leave the checkpoints (6 GB) for inspection

Writes GroundingDINO-T, SAM2.1 tiny and large and CogVideoX-2b (its T5 cut to two layers) in their published layouts,
then runs the commands of README and guide: run (detect, segment, caption with a local chat server that fails now and
then, shard), verify, encode, train, resume, generate, eval, the adapter in plain diffusers. Values are random, so masks
and videos mean nothing; this shows that each command accepts the published layout, and what it costs.

A GPU is used if there is one: then frames have the paper's size, and training steps of 2b and 5b are compared with the
card's peak. Without one, clips are small and short; the models keep their full size. Prints a line per step
and writes build/rehearsal.json; exit code 1 if a step fails.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.data import machine
from mvideo_core.base.cpu_kernels import CHOICE, PINS
from mvideo_core.base.devices import default_device
from mvideo_core.weights.records import FETCHED

OUT = Path("build/rehearsal")
TEXT_LAYERS = 2
MVIDEO = [sys.executable, "-m", "mvideo_core.cli.main"]
LOOSE_GATE = {"min_area_frac": 0, "max_area_frac": 1, "min_visible_frac": 0, "min_score": 0, "max_drift": 1}
"""Random masks are bad masks: nothing is dropped."""
PASSES = (0, 3)
"""Exit codes of a step that succeeded; 3: with a warning, such as captions that need attention."""
FAULTS = "429 Retry-After 1,500,malformed JSON,closed socket,empty"


class Scale(NamedTuple):
    """Sizes that differ between a GPU and a CPU; models are the same."""

    cut: dict[str, Any]
    format: dict[str, Any]
    segmenter: str


GPU = Scale(cut={}, format={}, segmenter="sam2.1-hiera-large")
CPU = Scale(
    cut={"min_shot_s": 2, "min_frames": 17, "max_frames": 17, "clips_per_shot": 1},
    format={"height_px": 96, "width_px": 144, "motion_height_px": 64, "motion_width_px": 96, "clip_frames": 9},
    segmenter="sam2.1-hiera-tiny",
)


class Done(NamedTuple):
    """How one step ended; exit code 3 is a warning."""

    step: str
    command: str
    code: int
    seconds: float
    peak_gib: float
    note: str


class Rehearsal:
    """Runs steps one after another, each in its own process, and records the results."""

    def __init__(self, out: Path, weights: Path):
        self.out, self.done = out, list[Done]()
        own = {name: value for name, value in os.environ.items() if name not in PINS}
        # Models are in bf16, and without AVX-512 a convolution in bf16 takes hundreds of times as long on a CPU.
        self.environment = {**own, CHOICE: "native", "MVIDEO_WEIGHTS": str(weights)}

    def run(self, step: str, argv: list[str], note: Callable[[str], str] = lambda _: "") -> bool:
        """One step; its output goes to OUT/logs/STEP.log. Returns: whether it succeeded."""
        log = self.out / "logs" / f"{step.replace(' ', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        started_s = time.monotonic()
        with log.open("wb") as stream:
            child = subprocess.Popen(argv, stdout=stream, stderr=subprocess.STDOUT, env=self.environment)
            _, status, usage = os.wait4(child.pid, 0)
        code = child.returncode = os.waitstatus_to_exitcode(status)
        text = log.read_text(encoding="utf-8", errors="replace")
        remark = note(text) if code == 0 else last_line(text) or "no output"
        self.add(step, format_command(argv), code, time.monotonic() - started_s, usage.ru_maxrss / 2**20, remark)
        return code in PASSES

    def add(self, step: str, command: str, code: int, seconds: float, peak_gib: float, note: str) -> None:
        """Record and print the result of a step."""
        one = Done(step, command, code, round(seconds, 1), round(peak_gib, 2), note)
        self.done.append(one)
        mark = {0: "ok", 3: "warning"}.get(code, f"exit code {code}")
        print(f"{step:<30} {mark:<12} {one.seconds:>7.1f} s {one.peak_gib:>6.2f} GiB  {note[:150]}", flush=True)


def format_command(argv: list[str]) -> str:
    """The command as a user types it."""
    return " ".join(["mvideo", *argv[len(MVIDEO) :]] if argv[: len(MVIDEO)] == MVIDEO else ["python", *argv[1:]])


def settings(values: dict[str, Any], prefix: str = "") -> list[str]:
    """--set options for nested values."""
    flags: list[str] = []
    for name, value in values.items():
        if isinstance(value, dict):
            flags += settings(value, f"{prefix}{name}.")
        else:
            flags += ["--set", f"{prefix}{name}={json.dumps(value)}"]
    return flags


def data_steps(rehearsal: Rehearsal, folder: Path, scale: Scale, url: str) -> bool:
    """Videos to latents, by the commands of the README."""
    workspace = str(rehearsal.out / "ws")
    overrides = {
        "cut": scale.cut,
        "detect": {"box_threshold": 0, "max_objects": 1},
        "segment": {"segmenter_options": {"weights": scale.segmenter}, "gate": LOOSE_GATE},
        "caption": {"captioner_options": {"base_url": url, "model": "drawn-vlm"}},
        "shard": {"test_frac": 0, "exclude_terms": []},
    }
    run = [*MVIDEO, "run", "--workspace", workspace, "--folder", str(folder), "--profile", "mvideo-2b"]
    encode = [*MVIDEO, "encode", "--workspace", workspace, "--weights", "cogvideox-2b"]
    return (
        rehearsal.run("data", [*run, *settings(overrides)], stage_lines)
        and rehearsal.run("verify", [*MVIDEO, "verify", "--workspace", workspace], last_line)
        and rehearsal.run("encode", encode, last_line)
    )


def training_steps(rehearsal: Rehearsal) -> bool:
    """Two steps of 2b with every flag of the shipped profile, the second step after a stop."""
    train = [*MVIDEO, "train", "run", str(rehearsal.out / "runs" / "2b"), "--profile", "mvideo-2b-1gpu"]
    train += ["--workspace", str(rehearsal.out / "ws")]
    overrides: dict[str, Any] = {"global_batch": 1, "data": {"holdout": 0}, "checkpoints": {"every": 1}}
    flags = settings(overrides)
    return rehearsal.run("train", [*train, *flags, "--set", "steps=1"], last_line) and rehearsal.run(
        "resume", [*train, *flags, "--set", "steps=2"], last_line
    )


def video_steps(rehearsal: Rehearsal) -> bool:
    """A clip from masks of the dataset, scores, and the adapter in plain diffusers."""
    out = rehearsal.out
    adapter = sorted((out / "runs" / "2b" / "checkpoints").glob("step-*"))[-1] / "adapter"
    sample = first_sample(out / "ws")
    generate = [*MVIDEO, "generate", "--out", str(out / "video"), "--base", "cogvideox-2b", "--adapter", str(adapter)]
    generate += ["--sample", sample, "--steps", "2", "--seconds", "1"]
    plain = [
        sys.executable,
        "-m",
        "benchmarks.published",
        rehearsal.environment["MVIDEO_WEIGHTS"],
        "plain",
        str(adapter),
    ]
    score = [*MVIDEO, "eval", "run", str(out / "video"), "--suite", "mini", "--out", str(out / "result")]
    return (
        rehearsal.run("generate", generate, last_line)
        and rehearsal.run("score", score, last_line)
        and rehearsal.run("plain diffusers", plain, last_line)
    )


def first_sample(workspace: Path) -> str:
    """DATASET#KEY of the first sample of the newest dataset."""
    from mvideo_core.shards.dataset import MaskVideoDataset
    from mvideo_core.store.workspace import Workspace

    dataset = workspace / (Workspace(str(workspace)).pointer("dataset") or {})["path"]
    return f"{dataset}#{MaskVideoDataset(str(dataset)).keys[0]}"


def last_line(text: str) -> str:
    """The last line that a command printed."""
    return (text.strip().splitlines() or [""])[-1]


def stage_lines(text: str) -> str:
    """ok, filtered and failed of each stage."""
    lines = [line.split(" in ")[0] for line in text.splitlines() if " ok, " in line]
    return "; ".join(" ".join(line.split()) for line in lines)


def write_weights(rehearsal: Rehearsal, weights: Path, form: dict[str, Any]) -> bool:
    """Write each checkpoint in its own process, then load it with our loaders in another."""
    me = [sys.executable, "-m", "benchmarks.published", str(weights)]
    for name in ("groundingdino-swint-ogc", "sam2.1-hiera-tiny", "sam2.1-hiera-large", "cogvideox-2b"):
        write = [
            *me,
            "write",
            name,
            "--text-layers",
            str(TEXT_LAYERS),
            *(["--format", json.dumps(form)] if form else []),
        ]
        there = (weights / name / FETCHED).is_file() or rehearsal.run(f"write {name}", write, last_line)
        if not (there and rehearsal.run(f"load {name}", [*me, "load", name], last_line)):
            return False
    return True


def gpu_steps(rehearsal: Rehearsal) -> bool:
    """Step time, fraction of the card's peak and memory of 2b and 5b at 480x720x33, with conditions and teacher."""
    ok = True
    for size in ("cogvideox-2b", "cogvideox-5b"):
        report = Path("benchmarks/results") / f"{time.strftime('%Y-%m-%d')}-{size}.json"
        execution = {"attention": "cudnn", "compile": True} | (
            {"gradient_checkpointing": "full"} if size == "cogvideox-5b" else {}
        )
        argv = [sys.executable, "-m", "benchmarks.train", "--size", size, "--out", str(report)]
        ok &= rehearsal.run(f"step of {size}", [*argv, "--execution", json.dumps(execution)], last_line)
    return ok


def rehearse(folder: Path | None, out: Path, keep: bool) -> int:
    """All steps; the exit code."""
    import torch

    cuda = default_device() == "cuda"
    weights, scale = out / "weights", GPU if cuda else CPU
    for old in ("ws", "runs", "video", "result", "logs"):
        shutil.rmtree(out / old, ignore_errors=True)
    rehearsal = Rehearsal(out, weights.resolve())
    print(f"{'one GPU: ' + torch.cuda.get_device_name() if cuda else 'no GPU: small clips, models of full size'}")
    print(f"CogVideoX-2b's text encoder has {TEXT_LAYERS} of its 24 layers; all values are random", flush=True)
    ok = rehearsal.run("doctor", [*MVIDEO, "doctor"], last_line)
    ok = ok and write_weights(rehearsal, weights.resolve(), scale.format)
    ok = ok and (
        folder is not None or rehearsal.run("draw", [*MVIDEO, "world", "make", str(out / "videos"), "--videos", "2"])
    )
    if ok:
        port = free_port()
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.fixtures.chat_server",
                "--port",
                str(port),
                "--faults",
                FAULTS,
                "--every",
                "2",
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            ok = data_steps(rehearsal, folder or out / "videos", scale, f"http://127.0.0.1:{port}/v1")
        finally:
            server.terminate()
            server.wait()
    ok = ok and training_steps(rehearsal) and video_steps(rehearsal)
    ok = ok and (not cuda or gpu_steps(rehearsal))
    return summarize(rehearsal, keep, ok)


def summarize(rehearsal: Rehearsal, keep: bool, ok: bool) -> int:
    """Write build/rehearsal.json and the last line."""
    report = {
        "machine": machine(),
        "ok": ok,
        "text_layers": TEXT_LAYERS,
        "steps": [one._asdict() for one in rehearsal.done],
    }
    Path("build").mkdir(exist_ok=True)
    Path("build/rehearsal.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if not keep:
        shutil.rmtree(rehearsal.out / "weights", ignore_errors=True)
    passed, total = sum(one.code in PASSES for one in rehearsal.done), sum(one.seconds for one in rehearsal.done)
    state = "all pass" if ok else f"{rehearsal.done[-1].step} failed, see {rehearsal.out}/logs"
    print(f"make rehearsal: {passed} steps in {total:.0f} s, {state}; build/rehearsal.json")
    return 0 if ok else 1


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="videos; default: rendered ones")
    parser.add_argument(
        "--out", type=Path, default=OUT, help="existing checkpoints in it are reused, everything else is redone"
    )
    parser.add_argument("--keep", action="store_true", help="leave the checkpoints there")
    args = parser.parse_args()
    return rehearse(args.folder, args.out, args.keep)


if __name__ == "__main__":
    sys.exit(main())
