"""S_m of the same shots at another frame rate, between black bars, and cut short: how the comparison handles each.

    OMP_NUM_THREADS=1 python -m benchmarks.mask_conditions [SHOTS] [FRAMES]

Held-out shots of the mini world at 360x240 with exact masks at 8 fps, and the shipped mini SAM2. "every frame" scores
each frame against the mask nearest in time; "S_m" is the metric.
"""

import sys

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.evaluation.bars import bars_in
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.mask_overlap import overlap
from mvideo_core.evaluation.metrics.mask_miou import PREDICTED, MaskMiou, MaskMiouOptions, frames_to_score
from mvideo_core.evaluation.video import EvalVideo, without_bars
from mvideo_core.masks import MaskSequence, encode, from_bytes
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.perception.segmentation import SEGMENTERS

FPS, FAST, WIDTH, HEIGHT, BAR_PX = 8, 24, 360, 240, 40


def draw(seed: int, n_frames: int, fps: int) -> tuple[np.ndarray, MaskSequence]:
    """Frames (T, H, W, 3) and visible masks of a held-out shot."""
    frames = list(render_shot(sample_shot(seed, "heldout"), n_frames, WIDTH, HEIGHT, fps=fps))
    return np.stack([one.rgb for one in frames]), encode(np.stack([one.visible for one in frames]))


def measure(metric: MaskMiou, video: EvalVideo) -> tuple[float, float]:
    """S_m, and the mean over every frame against its nearest mask; percent, NaN if the item fails."""
    try:
        score = metric.score(video)
    except MediaError as error:
        print(f"   {error}", file=sys.stderr)
        return float("nan"), float("nan")
    every = overlap(frames_to_score(video, metric.options).true, from_bytes(score.artifacts[PREDICTED]), metric.options)
    return 100 * score.value, 100 * every.value


def main(n_shots: int = 6, n_frames: int = 9) -> None:
    kind = SEGMENTERS.get("sam2")
    segmenter = kind.load(kind.Options(), "cpu")
    plain, aligned = (MaskMiou(segmenter, MaskMiouOptions(fit="letterbox", align=align)) for align in (False, True))
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(n_shots):
        frames, masks = draw(seed, n_frames, FPS)
        fast, _ = draw(seed, 3 * (n_frames - 1) + 1, FAST)
        boxed = np.pad(frames, ((0, 0), (BAR_PX, BAR_PX), (0, 0), (0, 0)))
        item = EvalItem(id=str(seed), bars_px=bars_in([boxed]))
        cases = {
            "8 fps": (plain, frames, FPS),
            "24 fps": (plain, fast, FAST),
            f"between bars of {BAR_PX} px": (plain, boxed, FPS),
            "the same, bars cropped": (plain, without_bars(boxed, item), FPS),
            "first frame alone, align": (aligned, frames[:1], FPS),
        }
        for name, (metric, shown, fps) in cases.items():
            video = EvalVideo.of_arrays(shown, fps, EvalItem(id=str(seed)), masks, FPS)
            rows.setdefault(name, []).append(measure(metric, video))
    print("| video | S_m | every frame |\n|---|---|---|")
    for name, found in rows.items():
        score, every = np.mean(found, axis=0)
        print(f"| {name} | {score:.2f} | {every:.2f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
