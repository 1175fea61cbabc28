"""S_m of videos whose masks are known exactly: the video itself, wrong masks, no content, late content.

    OMP_NUM_THREADS=1 python -m benchmarks.mask_controls [SHOTS] [FRAMES]

Held-out shots of the mini world at 360x240, 8 fps, with the shipped mini SAM2; prints one row per case.
"""

import sys
from collections.abc import Callable

import numpy as np

from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.miniworld.world import render_shot, sample_shot
from mvideo_core.perception.segmentation import SEGMENTERS

FPS, WIDTH, HEIGHT = 8, 360, 240
Shot = tuple[np.ndarray, MaskSequence]


def draw(seed: int, n_frames: int) -> Shot:
    """Frames (T, H, W, 3) and visible masks of a held-out shot."""
    frames = list(render_shot(sample_shot(seed, "heldout"), n_frames, WIDTH, HEIGHT, fps=FPS))
    return np.stack([one.rgb for one in frames]), encode(np.stack([one.visible for one in frames]))


def row(name: str, metric: MaskMiou, shots: list[Shot], change: Callable[[np.ndarray], np.ndarray]) -> str:
    """Means over the shots, in percent."""
    scores = []
    for place, (frames, masks) in enumerate(shots):
        shuffled = metric.options.pairing == "shuffled"
        wanted = shots[(place + 1) % len(shots)][1] if shuffled else masks
        video = EvalVideo.of_arrays(change(frames), FPS, EvalItem(id=str(place)), wanted, FPS)
        if shuffled:
            video.masks_from = EvalItem(id="the next one")
        scores.append(metric.score(video))
    details = [float(np.mean([one.details[key] for one in scores])) for key in ("box_fill", "j", "f", "j_and_f")]
    numbers = " | ".join(f"{100 * value:.1f}" for value in (float(np.mean([one.value for one in scores])), *details))
    return f"| {name} | {numbers} |"


def main(n_shots: int = 12, n_frames: int = 13) -> None:
    shots = [draw(seed, n_frames) for seed in range(n_shots)]
    kind = SEGMENTERS.get("sam2")
    segmenter = kind.load(kind.Options(), "cpu")

    def keep(frames: np.ndarray) -> np.ndarray:
        return frames

    cases: list[tuple[str, dict[str, str], Callable[[np.ndarray], np.ndarray]]] = [
        ("the video itself", {}, keep),
        ("the same, mean over objects", {"objects": "per_object"}, keep),
        ("the same, one box around all", {"objects": "union_box"}, keep),
        ("the same, tracked from frame 0", {"prompt": "first_frame_track", "davis_frames": "inner"}, keep),
        ("masks of another shot (shuffled)", {"pairing": "shuffled"}, keep),
        ("four frames late", {}, lambda frames: np.roll(frames, 4, axis=0)),
        ("uniform gray", {}, lambda frames: np.full_like(frames, 120)),
    ]
    print("| video | S_m | box fill | J | F | J&F |\n|---|---|---|---|---|---|")
    for name, options, change in cases:
        print(row(name, MaskMiou(segmenter, MaskMiouOptions.parse(options)), shots, change), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
