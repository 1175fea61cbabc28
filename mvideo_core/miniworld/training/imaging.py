"""Train the network of `mini_imaging` on world frames with known degradations; takes seconds on a CPU.

    python -m mvideo_core.miniworld.training.imaging --out build/mini/imaging

Writes `<out>/model` (model.safetensors, README.md with metrics on the split `val`). The target of a frame is its
level of degradation, 0 to 1; levels of different degradations are aligned by hand (`DEGRADATIONS`).

Legend: H, W, C; N frames, F features.
"""

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import write_tensors
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.evaluation.networks.frame_quality import QualityWeights, features
from mvideo_core.miniworld.training.world_clips import clip_shot, large_frames, shrink
from mvideo_core.miniworld.world.spec import Split

log = logging.getLogger(__name__)

HIDDEN = 24
MIXED = 2
"""Extra copies of each frame with two successive degradations."""

CARD = """# Mini imaging

A no-reference quality network for `mini_imaging`: {features} statistics of a 64-px frame, then dense layers of {hidden}
and 1. Trained on frames of the mini world that were degraded by known amounts; it knows nothing about real images.

| | |
|---|---|
| Data | `mvideo_core.miniworld.world`, split "train", {frames} frames, each clean and degraded {copies} times |
| Command | `python -m mvideo_core.miniworld.training.imaging --out build/mini/imaging` |

Split "val", {val_frames} frames, not used in training. rho: Spearman's rank correlation of predicted quality and
minus the true level, over all frames at random levels; ordered: of two copies of one frame whose levels are 0.25 apart,
how often the less degraded one scores higher; below clean: how often a frame at level 0.25 scores below itself clean.

| degradation | rho | ordered | below clean |
|---|---|---|---|
{rows}

Mean score by level (0, 0.25, 0.5, 0.75, 1):

| degradation | 0 | 0.25 | 0.5 | 0.75 | 1 |
|---|---|---|---|---|---|
{levels}
"""


def blur(rgb: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur, sigma up to 2.5 px."""
    import cv2

    return cv2.GaussianBlur(rgb, (0, 0), 0.3 + 2.2 * level)


def noise(rgb: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Noise per pixel and channel, standard deviation up to 40 levels."""
    return _bytes(rgb + rng.normal(0, 40 * level, rgb.shape))


def blocks(rgb: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG of quality 80 down to 3."""
    import cv2

    quality = round(80 * (3 / 80) ** level)
    coded = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    shown = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert shown is not None
    return shown[..., ::-1]


def smear(rgb: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Simulate a small VAE: downscale up to five times (color more than luma), upscale, add a faint grid."""
    import cv2

    height, width = rgb.shape[:2]
    planes = []
    for plane, strength in zip(cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)), (4.0, 6.0, 6.0), strict=True):
        factor = 1 + strength * level
        size = (max(2, round(width / factor)), max(2, round(height / factor)))
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        planes.append(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    soft = cv2.cvtColor(cv2.merge(planes), cv2.COLOR_YCrCb2RGB).astype(np.float64)
    rows, columns = np.indices((height, width)) % 8
    return _bytes(soft + 4 * level * (np.minimum(rows, columns) == 0)[..., None] * rng.uniform(-1, 1))


DEGRADATIONS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {
    "blur": blur, "noise": noise, "blocks": blocks, "smear": smear,
}  # fmt: skip


def clean_frames(n_frames: int, split: Split, first_seed: int = 0) -> np.ndarray:
    """One frame each of `n_frames` shots, uint8 (N, 64, 96, 3), processed like the mini base's clips."""
    found = []
    for seed in range(first_seed, first_seed + n_frames):
        spec = clip_shot(seed, split)
        time_s = (seed * 0.6180339887) % 1.0 * spec.duration_s
        found.append(shrink(large_frames(spec, [time_s])[0].rgb))
    return np.stack(found)


def degrade(rgb: np.ndarray, name: str, level: float, rng: np.random.Generator) -> np.ndarray:
    """Degrade a frame to a level; level 0 is the frame itself."""
    return np.ascontiguousarray(DEGRADATIONS[name](rgb, level, rng)) if level > 0 else rgb


def examples(frames_NHWC: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features (M, F) and levels (M,) of every frame: clean, with each degradation, and with mixtures of two."""
    found, levels = [], []
    for rgb in frames_NHWC:
        found.append(features(rgb))
        levels.append(0.0)
        for name in DEGRADATIONS:
            level = float(rng.uniform(0.02, 1))
            found.append(features(degrade(rgb, name, level, rng)))
            levels.append(level)
        for _ in range(MIXED):
            names, two = rng.permutation(list(DEGRADATIONS))[:2], rng.uniform(0.02, 0.9, 2)
            mixed = degrade(degrade(rgb, names[0], two[0], rng), names[1], two[1], rng)
            found.append(features(mixed))
            levels.append(float(1 - (1 - two[0]) * (1 - two[1])))
    return np.stack(found), np.array(levels)


def fit(features_MF: np.ndarray, levels_M: np.ndarray, steps: int = 1500, seed: int = 0) -> QualityWeights:
    """Two dense layers by AdamW on the absolute error, in batches of 1024."""
    import torch

    torch.manual_seed(seed)
    mean, spread = features_MF.mean(0), features_MF.std(0) + 1e-6
    inputs = torch.from_numpy(((features_MF - mean) / spread).clip(-5, 5)).float()
    wanted = torch.from_numpy(levels_M).float()
    layers = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 1), torch.nn.Sigmoid()
    )
    optimizer = torch.optim.AdamW(layers.parameters(), lr=5e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        part = torch.randint(len(inputs), (1024,))
        loss = (layers(inputs[part])[:, 0] - wanted[part]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    arrays: list[Any] = [value.detach().numpy().astype(np.float64) for value in layers.parameters()]
    return QualityWeights(mean, spread, arrays[0].T, arrays[1], arrays[2][0], arrays[3])


def measure(weights: QualityWeights, frames_NHWC: np.ndarray, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Per degradation: rho, ordered, below_clean (see the card) and the mean score at five levels."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)

    def score(rgb: np.ndarray, name: str, level: float) -> float:
        return weights.quality(features(degrade(rgb, name, level, rng)))

    found = {}
    for name in DEGRADATIONS:
        levels = rng.uniform(0, 1, len(frames_NHWC))
        scores = [score(rgb, name, level) for rgb, level in zip(frames_NHWC, levels, strict=True)]
        ladder = np.array([[score(rgb, name, step / 4) for step in range(5)] for rgb in frames_NHWC])
        found[name] = {
            "rho": round(float(spearmanr(scores, -levels).statistic), 4),
            "ordered": round(float((ladder[:, :-1] > ladder[:, 1:]).mean()), 4),
            "below_clean": round(float((ladder[:, 1] < ladder[:, 0]).mean()), 4),
            "levels": [round(float(value), 3) for value in ladder.mean(axis=0)],
        }
    return found


def write_model(folder: Path, weights: QualityWeights, figures: dict[str, dict[str, Any]], n: int, n_val: int) -> None:
    """model.safetensors (fp32) and README.md."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights._asdict().items()}
    write_tensors(folder / "model.safetensors", {name: torch.from_numpy(value) for name, value in tensors.items()})
    rows = [
        f"| {name} | {one['rho']:.3f} | {one['ordered']:.3f} | {one['below_clean']:.3f} |"
        for name, one in figures.items()
    ]
    levels = [f"| {name} | {' | '.join(f'{value:.3f}' for value in one['levels'])} |" for name, one in figures.items()]
    text = CARD.format(
        features=len(weights.mean_F), hidden=HIDDEN, frames=n, copies=len(DEGRADATIONS) + MIXED, val_frames=n_val,
        rows="\n".join(rows), levels="\n".join(levels),
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")


def _bytes(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)


def main() -> None:
    """Render, degrade, fit, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/mini/imaging"))
    parser.add_argument("--frames", type=int, default=1000, help="frames of the split train")
    parser.add_argument("--val-frames", type=int, default=150, help="frames of the split val, for evaluation")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    inputs, levels = examples(clean_frames(args.frames, "train"), np.random.default_rng(0))
    log.info("%d examples of %d features", *inputs.shape)
    weights = fit(inputs, levels)
    figures = measure(weights, clean_frames(args.val_frames, "val"))
    write_model(args.out / "model", weights, figures, args.frames, args.val_frames)
    log.info(json.dumps(figures))


if __name__ == "__main__":
    with errors_in_one_line():
        main()
