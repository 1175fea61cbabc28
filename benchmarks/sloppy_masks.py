"""S_m over the noise of the masks given, after training under exact masks and under sloppy ones too.

    OMP_NUM_THREADS=1 python -m benchmarks.sloppy_masks                 writes benchmarks/results/sloppy_masks.md, .json
    python -m benchmarks.sloppy_masks --videos 2 --steps 40 --shots 10 --out build/bench/sloppy_masks/small

Synthetic training videos go through the pipeline and `encode` with two sloppy masks per window. Two training runs of
the mini model start from the shipped adapter with the same seed; in the second one, half of the samples have a sloppy
mask. Both adapters then make one clip of each held-out shot under its true masks and under worse ones; S_m compares
what the mini SAM2 sees with the true masks. Killed and started again, it continues; every video and score is made once.

Noise 1 is STRONGEST. Each shot has one kind, the same at every noise; hulls have no strength and are left out.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.options import digest
from mvideo_core.cogvideox.adapter_files import adapter_for
from mvideo_core.cogvideox.base import BaseOptions
from mvideo_core.curation.ingest.sources import SourceOptions
from mvideo_core.curation.pipeline import load_profile as load_pipeline_profile
from mvideo_core.curation.pipeline import run_pipeline
from mvideo_core.curation.stages.encode import encode_dataset
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.evaluation.intervals import Estimate, estimate_mean
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.suite import IntervalOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.generation.loading import load_pipeline
from mvideo_core.generation.long_video import generate_long
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.generation.output import OutputFolder
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.masks.measure import ious
from mvideo_core.media.decode import read_clip
from mvideo_core.miniworld.world import describe, make_world, render_shot, sample_shot
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.checkpoint import CHECKPOINTS, list_complete
from mvideo_core.training.latents.options import LatentOptions
from mvideo_core.training.latents.sloppy import Kind, SloppyDraw, SloppyOptions, apply_sloppy
from mvideo_core.training.launch import launch
from mvideo_core.training.options import load_profile
from mvideo_core.training.warm_start import adapter_identity

OUT = Path("benchmarks/results/sloppy_masks")
PLACE = Path("build/bench/sloppy_masks")
"""Videos, dataset, latents, training runs and generated clips stay here."""
BASE = BaseOptions(weights="mini", dtype="fp32")
ARMS = {"exact": 0.0, "sloppy": 0.5}
"""Share of samples with a sloppy mask."""
NOISE = (0.0, 1 / 3, 2 / 3, 1.0)
STRONGEST: dict[Kind, float] = {"dilate": 0.12, "box": 0.3, "jitter": 0.12, "dropped": 0.9, "keyframes": 16}
MIN_AREA_FRAC = 0.05
SAMPLING: dict[str, Any] = {"steps": 15, "guidance": 3.0, "mask_guidance": 3.0}
"""As in deployments/paper/demo.yaml."""


class Shot(NamedTuple):
    """A held-out shot: caption and true masks, all objects as one."""

    seed: int
    text: str
    masks: MaskSequence


class Score(NamedTuple):
    """One clip: S_m against the true masks, and the IoU of the masks given with them; percent."""

    s_m: float
    given: float


def train_adapters(place: Path, videos: int, steps: int) -> dict[str, str]:
    """The adapter of each arm; unfinished ones are trained to the end."""
    make_world(place / "videos", videos, seed=0, split="train")
    workspace = Workspace(str(place / "workspace"))
    run_pipeline(workspace, SourceOptions(folder=str(place / "videos")), load_pipeline_profile("mini"))
    encode_dataset(workspace, LatentOptions(base=BASE, sloppy=SloppyOptions(variants=2)))
    adapters = {}
    for name, share in ARMS.items():
        run = place / f"{steps}-{name}"
        values = {
            "out": str(run), "steps": steps, "micro_batch": 8, "init_adapter": adapter_for("mini"),
            "data": {"latents": current_latents(workspace), "holdout": 0}, "draws": {"sloppy_mask": share},
            "consistency": {"alpha": 0.0}, "optimizer": {"rate": {"peak": 3e-4}}, "validation": {"every": 0},
            "samples": {"every": 0}, "checkpoints": {"every": 50, "keep": 1},
        }  # fmt: skip
        print(launch(load_profile("mini", values)), flush=True)
        adapters[name] = str(list_complete(run / CHECKPOINTS)[-1])
    return adapters


def held_out_shots(count: int, grid: Any) -> Iterator[Shot]:
    """The first held-out shots whose objects cover MIN_AREA_FRAC of every frame."""
    seed = found = 0
    while found < count:
        spec = sample_shot(seed, "heldout")
        frames = render_shot(spec, grid.clip_frames, grid.width_px, grid.height_px, fps=grid.fps)
        inside_THW = np.stack([frame.visible.any(axis=0) for frame in frames])
        if inside_THW.mean(axis=(1, 2)).min() >= MIN_AREA_FRAC:
            found += 1
            yield Shot(seed, describe(spec), encode(inside_THW[:, None]))
        seed += 1


def spoil(shot: Shot, number: int, noise: float) -> MaskSequence:
    """The shot's masks at a noise of 0 to 1; its kind follows from its number."""
    if noise == 0:
        return shot.masks
    kind = list(STRONGEST)[number % len(STRONGEST)]
    strength = noise * STRONGEST[kind]
    drawn = SloppyDraw(kind, max(2, round(strength)) if kind == "keyframes" else strength)
    return apply_sloppy(shot.masks, drawn, np.random.default_rng(shot.seed))


def score_clips(place: Path, adapter: str, shots: Sequence[Shot], metric: MaskMiou) -> dict[float, list[Score]]:
    """S_m of one clip of every shot at every noise; all adapters get the same noise latents."""
    sampling = GenerateOptions(**SAMPLING)
    pipeline = load_pipeline(BASE, adapter, sampling).pipeline
    pipeline.set_progress_bar_config(disable=True)
    weights = adapter_identity(adapter)
    scores: dict[float, list[Score]] = {noise: [] for noise in NOISE}
    for number, shot in enumerate(shots):
        for noise in NOISE:
            given = spoil(shot, number, noise)
            request = digest([weights, shot.text, given.to_bytes().hex(), sampling, shot.seed])
            folder = place / f"{shot.seed:04}-{noise:.2f}"
            output = OutputFolder(folder, request, overwrite=True)
            file = folder / f"score-{request[:16]}.json"
            if not file.is_file():
                options = sampling.model_copy(update={"seed": shot.seed})
                frames_THWC = read_clip(generate_long(pipeline, shot.text, given, options, output))
                fps = pipeline.format.fps
                video = EvalVideo.of_arrays(frames_THWC, fps, EvalItem(id=str(shot.seed)), shot.masks, fps)
                score = Score(100 * metric.score(video).value, 100 * float(ious(given, shot.masks).mean()))
                write_whole(file, json.dumps(score._asdict()))
            scores[noise].append(Score(**json.loads(file.read_text())))
        print(f"{place.name}: {number + 1} of {len(shots)} shots", flush=True)
    return scores


def with_interval(one: Estimate, sign: str = "") -> str:
    """ "41.2 [39.0, 43.5]"; no interval below six shots."""
    ends = "" if one.low is None else f" [{one.low:{sign}.1f}, {one.high:{sign}.1f}]"
    return f"{one.mean:{sign}.1f}{ends}"


def table(scores: dict[str, dict[float, list[Score]]]) -> str:
    """S_m of both arms at every noise, and their paired difference; 95% intervals over shots."""
    lines = [
        "| noise | IoU of the masks given | S_m, exact masks | S_m, sloppy masks too | difference |",
        "|---|---|---|---|---|",
    ]
    for noise in NOISE:
        arms = [np.array(scores[name][noise]) for name in ARMS]
        numbers = range(len(arms[0]))
        exact, sloppy, gain = (
            estimate_mean(values.tolist(), numbers, IntervalOptions())
            for values in (arms[0][:, 0], arms[1][:, 0], arms[1][:, 0] - arms[0][:, 0])
        )
        cells = [f"{noise:.2f}", f"{arms[0][:, 1].mean():.1f}", with_interval(exact), with_interval(sloppy)]
        lines.append(f"| {' | '.join([*cells, with_interval(gain, '+')])} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20, help="synthetic training videos")
    parser.add_argument("--steps", type=int, default=1500, help="of each training run, 8 windows each")
    parser.add_argument("--shots", type=int, default=30, help="held-out shots, one clip at each noise")
    parser.add_argument("--out", type=Path, default=OUT, help="without ending; .md and .json are written")
    args = parser.parse_args()
    place = PLACE / f"{args.videos}-videos"
    adapters = train_adapters(place, args.videos, args.steps)
    grid = load_pipeline(BASE).pipeline.format
    shots = list(held_out_shots(args.shots, grid))
    kind: Any = SEGMENTERS.get("sam2")
    metric = MaskMiou(kind.load(kind.Options(), "cpu"), MaskMiouOptions())
    scores = {
        name: score_clips(place / f"{args.steps}-clips-{name}", adapter, shots, metric)
        for name, adapter in adapters.items()
    }
    what = f"{args.videos} training videos, {args.steps} steps of 8 windows, {args.shots} held-out shots."
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.with_suffix(".md").write_text(
        f"{what} One training each; 95% intervals over the shots.\n\n{table(scores)}\n", encoding="utf-8"
    )
    record = {name: {f"{noise:.2f}": found for noise, found in one.items()} for name, one in scores.items()}
    args.out.with_suffix(".json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(table(scores))


if __name__ == "__main__":
    main()
