"""Upper bounds for the mini base, link by link: S_m of the original clips and of what the VAE preserves of them.

    export MVIDEO_CPU_KERNELS=native OMP_NUM_THREADS=1
    python -m benchmarks.mini_ceilings                          # writes build/bench/ceilings.json
    python -m benchmarks.mini_ceilings --vae build/mini/base/vae --links VAE --out build/bench/mine.json

Held-out shots of the world are rendered at each size. A link is what a clip passes through before it is scored:
nothing, means of squares of pixels, the VAE and back, or a linear code with as many numbers as a VAE's latents. The
linear code (principal components of blocks, fitted to training shots and their masks) needs no training, so it compares
compressions before a VAE for them exists; a trained VAE with the same compression should do better.

Two scores: the mini SAM2, prompted with the true box of every object in every frame, as in S_m; and true silhouettes,
where the mask video passes through the same link and is thresholded at middle gray, so only the link can lose pixels.

Legend: T frames, N objects, H, W.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.cogvideox.video_format import TEMPORAL_STRIDE
from mvideo_core.evaluation.intervals import estimate_mean
from mvideo_core.evaluation.manifest import EvalItem
from mvideo_core.evaluation.mask_overlap import OverlapPolicy, merge_objects, overlap
from mvideo_core.evaluation.metrics.mask_miou import MaskMiou, MaskMiouOptions
from mvideo_core.evaluation.suite import IntervalOptions
from mvideo_core.evaluation.video import EvalVideo
from mvideo_core.masks import MaskSequence, encode
from mvideo_core.miniworld.training.base_data import FPS, WINDOW_FRAMES
from mvideo_core.miniworld.training.base_vae import mask_frames, to_video
from mvideo_core.miniworld.training.base_vae_eval import psnr, there_and_back
from mvideo_core.miniworld.training.world_clips import clip_shot, large_frames, shrink
from mvideo_core.miniworld.world.spec import Split

OUT = Path("build/bench/ceilings.json")
SHIPPED = Path(__file__).resolve().parents[1] / "mvideo_core" / "weights" / "mini" / "base" / "vae"
JUDGED_EVERY = 4
"""Both scores use frames 0, 4, 8, ...: neighboring frames give nearly the same, and SAM2 takes the time."""
LINEAR_CODES = ((8, 16), (4, 8), (4, 16))
"""Spatial stride and numbers per latent cell."""
FITTED_SHOTS = 32
Link = Callable[[np.ndarray], np.ndarray]
"""Frames (T, H, W, 3) uint8 to frames of the same shape."""


class DrawnClip(NamedTuple):
    """Frames (T, H, W, 3) and the visible masks of every object."""

    frames_THWC: np.ndarray
    masks: MaskSequence


def draw(seed: int, size_hw: tuple[int, int], unseen: bool = False, split: Split = "heldout") -> DrawnClip | None:
    """The first frames of a shot, rendered like the mini base's training clips; None without a visible object."""
    spec = clip_shot(seed, split, size_hw[1], unseen)
    frames = large_frames(spec, [t / FPS for t in range(WINDOW_FRAMES)], size_hw)
    masks = [[shrink(np.where(one, 255, 0).astype(np.uint8), size_hw) >= 128 for one in f.visible] for f in frames]
    if not np.any(masks[::JUDGED_EVERY]):
        return None
    return DrawnClip(np.stack([shrink(frame.rgb, size_hw) for frame in frames]), encode(np.array(masks)))


def clips_of(n_shots: int, size_hw: tuple[int, int], unseen: bool) -> Iterator[DrawnClip]:
    """The first `n_shots` clips with a visible object."""
    found = (clip for seed in range(4 * n_shots) if (clip := draw(seed, size_hw, unseen)) is not None)
    yield from (clip for clip, _ in zip(found, range(n_shots), strict=False))


def block_means(side: int) -> Link:
    """Every square of `side` pixels becomes its mean: the least that a code with one color per square preserves."""

    def link(frames_THWC: np.ndarray) -> np.ndarray:
        frames, height, width, channels = frames_THWC.shape
        split = frames_THWC.reshape(frames, height // side, side, width // side, side, channels)
        means = np.round(split.mean(axis=(2, 4), dtype=np.float64)).astype(np.uint8)
        return means.repeat(side, axis=1).repeat(side, axis=2)

    return link


def linear_code(stride: int, channels: int, clips: list[DrawnClip]) -> Link:
    """`channels` principal components of blocks of a latent cell's size: stride x stride px of one frame, then of four.

    Args:
        clips: to fit to; their mask videos count as much as their frames.
    """
    videos = [video for clip in clips for video in (clip.frames_THWC, mask_frames(union(clip.masks)))]
    codes = {}
    for frames, part in ((1, slice(0, 1)), (TEMPORAL_STRIDE, slice(1, None))):
        blocks_NK = np.concatenate([to_blocks(video[part], frames, stride) for video in videos])
        mean_K = blocks_NK.mean(axis=0)
        _, axes_KK = np.linalg.eigh((blocks_NK - mean_K).T @ (blocks_NK - mean_K))
        codes[frames] = mean_K, axes_KK[:, -channels:]

    def link(frames_THWC: np.ndarray) -> np.ndarray:
        shown = []
        for frames, part in ((1, frames_THWC[:1]), (TEMPORAL_STRIDE, frames_THWC[1:])):
            mean_K, axes_KC = codes[frames]
            blocks_NK = to_blocks(part, frames, stride) - mean_K
            shown.append(from_blocks(blocks_NK @ axes_KC @ axes_KC.T + mean_K, part.shape, frames, stride))
        return np.concatenate(shown).round().clip(0, 255).astype(np.uint8)

    return link


def to_blocks(video_THWC: np.ndarray, frames: int, side: int) -> np.ndarray:
    """Blocks of `frames` frames of side x side px, flattened, (N, frames * side * side * 3) float32."""
    t, h, w, c = video_THWC.shape
    split = video_THWC.reshape(t // frames, frames, h // side, side, w // side, side, c)
    return split.transpose(0, 2, 4, 1, 3, 5, 6).reshape(-1, frames * side * side * c).astype(np.float32)


def from_blocks(blocks_NK: np.ndarray, shape: tuple[int, ...], frames: int, side: int) -> np.ndarray:
    """The video of `shape` that was passed to `to_blocks`."""
    t, h, w, c = shape
    split = blocks_NK.reshape(t // frames, h // side, w // side, frames, side, side, c)
    return split.transpose(0, 3, 1, 4, 2, 5, 6).reshape(shape)


def union(masks: MaskSequence) -> np.ndarray:
    """All objects together, bool (T, H, W)."""
    return np.stack([masks.frame(frame).any(axis=0) for frame in range(masks.n_frames)])


def through_vae(folder: Path) -> Link:
    """The VAE of a folder, encoded (the distribution's mode) and decoded."""
    from mvideo_core.miniworld.training.base_text2video import load_vae

    vae = load_vae(folder)
    return lambda frames_THWC: there_and_back(vae, to_video(frames_THWC[None]))[0]


def silhouette_score(clip: DrawnClip, link: Link) -> float:
    """IoU of the mask video after the link with the true one, mean over the scored frames with a mask."""
    seen_THW = link(mask_frames(union(clip.masks))).mean(axis=-1) > 127
    return overlap(every_nth(merge_objects(clip.masks)), encode(seen_THW[::JUDGED_EVERY, None]), OverlapPolicy()).value


def every_nth(masks: MaskSequence) -> MaskSequence:
    """The masks of the scored frames."""
    return encode(np.stack([masks.frame(frame) for frame in range(0, masks.n_frames, JUDGED_EVERY)]))


def row(clips: list[DrawnClip], link: Link, metric: MaskMiou) -> dict[str, Any]:
    """Both scores over all clips, in percent, with 95% intervals over clips; PSNR in dB."""
    silhouettes, seen, box_fill, noise = [], [], [], []
    for place, clip in enumerate(clips):
        shown, item = link(clip.frames_THWC), EvalItem(id=str(place))
        score = metric.score(EvalVideo.of_arrays(shown[::JUDGED_EVERY], FPS, item, every_nth(clip.masks), FPS))
        silhouettes.append(silhouette_score(clip, link))
        seen.append(float(score.value))
        box_fill.append(score.details["box_fill"])
        noise.append(psnr(shown, clip.frames_THWC))
    return {
        "silhouettes": _interval(silhouettes), "sam2": _interval(seen), "box_fill": _percent(float(np.mean(box_fill))),
        "psnr_db": None if np.isinf(noise).all() else round(float(np.mean(noise)), 2),
    }  # fmt: skip


def _interval(values: list[float]) -> list[float]:
    found = estimate_mean(values, range(len(values)), IntervalOptions())
    return [_percent(float("nan") if one is None else one) for one in (found.mean, found.low, found.high)]


def _percent(value: float) -> float:
    return round(100 * float(value), 1)


def measure(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per set of clips and link."""
    from mvideo_core.perception.segmentation import SEGMENTERS

    kind: Any = SEGMENTERS.get("sam2")
    metric = MaskMiou(kind.load(kind.Options(), "cpu"), MaskMiouOptions())
    links: dict[str, Link] = {"none": lambda frames: frames, "VAE": through_vae(args.vae)}
    links |= {f"means of {side}x{side} px": block_means(side) for side in (8, 4, 2)}
    for size in args.sizes:
        height, width = map(int, size.split("x"))
        fitted = [clip for seed in range(FITTED_SHOTS) if (clip := draw(seed, (height, width), split="train"))]
        for stride, channels in LINEAR_CODES:
            links[f"linear code, {stride}x, {channels} channels"] = linear_code(stride, channels, fitted)
        for classes in args.classes:
            clips = list(clips_of(args.shots, (height, width), classes == "unseen"))
            for name, link in links.items():
                if args.links and not any(name.startswith(one) for one in args.links):
                    continue
                found = {"size": size, "classes": classes, "clips": len(clips), "link": name} | row(clips, link, metric)
                yield found


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table in docs/results/mini_base.md."""
    lines = ["| clip, px | classes | link | silhouettes | mini SAM2 | PSNR, dB |", "|---|---|---|---|---|---|"]
    for one in rows:
        judged = [f"{mean} [{low}, {high}]" for mean, low, high in (one["silhouettes"], one["sam2"])]
        level = "-" if one["psnr_db"] is None else one["psnr_db"]
        lines.append(f"| {one['size']} | {one['classes']} | {one['link']} | {judged[0]} | {judged[1]} | {level} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=24, help="clips per size and kind of classes")
    parser.add_argument("--sizes", nargs="+", default=["64x96", "96x144"], help="height x width, px")
    parser.add_argument("--classes", nargs="+", choices=["seen", "unseen"], default=["seen", "unseen"])
    parser.add_argument(
        "--links", nargs="+", help="only those whose name starts with one of these: none, VAE, means, linear"
    )
    parser.add_argument("--vae", type=Path, default=SHIPPED, help="folder of the VAE; the shipped one by default")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    rows = []
    for one in measure(args):
        rows.append(one)
        print(json.dumps(one), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "shots": args.shots,
        "frames": WINDOW_FRAMES,
        "judged_every": JUDGED_EVERY,
        "split": "heldout",
        "vae": args.vae.name,
    }
    args.out.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(markdown(rows))


if __name__ == "__main__":
    main()
