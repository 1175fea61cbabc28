"""J, F and identity of a segmenter on held-out world shots, prompted with the true box on the first frame.

`python -m mvideo_core.miniworld.training.segmenter_eval --weights build/mini/segmenter/model --shots 40 --frames 49`

Every expected object on the first frame (by the world's own rule) is tracked over all frames, at 480 x 720 and 8 fps.
Frames where it is not visible also count (J and F are 1 if the mask is empty, else 0), and so does the prompted frame.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.masks.boundary import boundary_f
from mvideo_core.masks.measure import pixel_iou
from mvideo_core.miniworld.world import WorldFrame, label_objects, render_shot, sample_shot
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.perception.segmentation.base import Segmenter

WIDTH, HEIGHT, FPS = 720, 480, 8.0
SMALL, LARGE = 0.015, 0.05


@dataclass(frozen=True)
class Followed:
    """Result for one object over one shot.

    Attributes:
        size: "small" (below 1.5% of the frame), "medium", "large" (above 5%) on the first frame.
        trial: "clear", "occluded" (less than half visible in some frame) or "absent" (not visible in some frame).
        confused: fraction of frames where the mask matches another object of the shot better than its own.
    """

    kind: str
    unseen: bool
    size: str
    trial: str
    j: float
    f: float
    first_j: float
    confused: float


def follow_shot(
    segmenter: Segmenter, seed: int, n_frames: int, jitter: float = 0.0, unseen: bool = False, split: Split = "heldout"
) -> list[Followed]:
    """Track every expected object of one shot.

    Args:
        jitter: standard deviation of the error of box edges, as a fraction of the box side.
        unseen: the shot's lead has one of the seven classes outside COCO.
    """
    spec = sample_shot(seed, split, unseen)
    frames = list(render_shot(spec, n_frames, WIDTH, HEIGHT, FPS))
    sample = label_objects(spec, frames[0])
    asked = _object_ids(frames[0], sample.boxes_xyxy)
    if not asked:
        return []
    rng = np.random.default_rng(seed)
    boxes = sample.boxes_xyxy + rng.normal(0, jitter, sample.boxes_xyxy.shape) * np.tile(
        sample.boxes_xyxy[:, 2:] - sample.boxes_xyxy[:, :2], 2
    )
    results = list(segmenter.propagate((frame.rgb for frame in frames), HEIGHT, WIDTH, boxes.astype(np.float32)))
    return [
        _figures(spec.actors[obj].kind, unseen and obj == 0, frames, obj, [result.masks_NHW[n] for result in results])
        for n, obj in enumerate(asked)
    ]


def summary(followed: Iterable[Followed]) -> dict:
    """Means over all objects and over each group; `jf` is (J + F) / 2."""
    everything = list(followed)
    groups = {"all": everything}
    for one in everything:
        groups.setdefault(f"size {one.size}", []).append(one)
        groups.setdefault(f"trial {one.trial}", []).append(one)
        groups.setdefault("unseen classes" if one.unseen else "seen classes", []).append(one)
    return {name: _means(members) for name, members in sorted(groups.items())}


def _means(members: list[Followed]) -> dict[str, float]:
    def mean(name: str) -> float:
        return round(float(np.mean([getattr(one, name) for one in members])), 4)

    j, f = mean("j"), mean("f")
    return {"n": len(members), "j": j, "f": f, "jf": round((j + f) / 2, 4), "first_j": mean("first_j"),
            "confused": mean("confused")}  # fmt: skip


def _object_ids(frame: WorldFrame, boxes: np.ndarray) -> list[int]:
    """Object ids of the sample's boxes, in box order."""
    every = frame.boxes()
    return [int(np.flatnonzero((every == box).all(1))[0]) for box in boxes]


def _figures(kind: str, unseen: bool, frames: list[WorldFrame], obj: int, masks: list[np.ndarray]) -> Followed:
    js, fs, confused = [], [], []
    seen_frac = []
    for frame, mask in zip(frames, masks, strict=True):
        own = pixel_iou(mask, frame.visible[obj])
        js.append(own)
        fs.append(boundary_f(mask, frame.visible[obj]))
        others = [pixel_iou(mask, other) for n, other in enumerate(frame.visible) if n != obj and other.any()]
        confused.append(float(mask.any() and max(others, default=0.0) > max(own, 0.1)))
        seen_frac.append(frame.visible[obj].sum() / max(frame.amodal[obj].sum(), 1))
    area = frames[0].visible[obj].mean()
    size = "small" if area < SMALL else "large" if area > LARGE else "medium"
    trial = "absent" if min(seen_frac) == 0 else "occluded" if min(seen_frac) < 0.5 else "clear"
    return Followed(kind, unseen, size, trial, float(np.mean(js)), float(np.mean(fs)), js[0], float(np.mean(confused)))


def main() -> None:
    """Command line."""
    import torch

    from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="build/mini/segmenter/model")
    parser.add_argument("--shots", type=int, default=40)
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--jitter", type=float, default=0.0)
    parser.add_argument("--split", choices=("val", "heldout"), default="heldout", help="use val for model selection")
    parser.add_argument("--image-size", type=int, default=0, help="network input side, px; 0 = the model's own")
    parser.add_argument("--unseen", action="store_true", help="shots whose lead has a class outside COCO")
    parser.add_argument("--out", type=Path, help="also write objects and summary to this JSON file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Sam2Segmenter.load(Sam2Options(weights=args.weights, image_size=args.image_size))
    followed = [
        one
        for seed in range(args.shots)
        for one in follow_shot(segmenter, seed, args.frames, args.jitter, args.unseen, args.split)
    ]
    result = {"settings": {key: str(value) for key, value in vars(args).items()}, "summary": summary(followed)}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps({**result, "objects": [asdict(one) for one in followed]}, indent=1) + "\n")


if __name__ == "__main__":
    with errors_in_one_line():
        main()
