"""Peak memory of tracking 97, 385 and 1,537 frames: our tracker against sam2's own SAM2VideoPredictor.

Same architecture (all parts of SAM2, small, 256 px), same random weights, same three boxes, same JPEG frames of
480x720, which is the only input the stock predictor takes besides mp4 files; ours reads them one by one. Masks are
packed and let go. Each run is a process of its own; its peak is the kernel's VmHWM.

One more run, of ours, tells the time per frame of a public architecture (hiera tiny at 256 px, random weights).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

LENGTHS = (97, 385, 1537)
HEIGHT, WIDTH = 480, 720
BOXES = [[80.0, 60.0, 240.0, 220.0], [300.0, 200.0, 460.0, 360.0], [520.0, 40.0, 680.0, 200.0]]
IMAGE_SIZE = 256
SEED = 12  # random weights whose masks are neither empty nor full
SMALL: dict[str, Any] = {
    "image_size": IMAGE_SIZE,
    "num_maskmem": 3,
    "max_obj_ptrs_in_encoder": 4,
    "image_encoder": {
        "trunk": {"embed_dim": 8, "stages": [1, 1, 1, 1], "global_att_blocks": [], "window_spec": [4, 4, 4, 4]},
        "neck": {
            "d_model": 32,
            "backbone_channel_list": [64, 32, 16, 8],
            "position_encoding": {"num_pos_feats": 32},
        },
    },
    "memory_attention": {
        "d_model": 32,
        "num_layers": 1,
        "layer": {
            "d_model": 32,
            "dim_feedforward": 32,
            "self_attention": {"embedding_dim": 32, "feat_sizes": [16, 16]},
            "cross_attention": {"embedding_dim": 32, "feat_sizes": [16, 16], "kv_in_dim": 16},
        },
    },
    "memory_encoder": {
        "out_dim": 16,
        "in_dim": 32,
        "position_encoding": {"num_pos_feats": 16},
        "mask_downsampler": {"embed_dim": 32},
        "fuser": {"layer": {"dim": 32}},
    },
}
"""The tiny public architecture with narrow layers that looks back on fewer frames, so that 1,537 take a minute."""


def measure(lengths: Sequence[int] = LENGTHS, hiera: bool = True) -> dict[str, Any]:
    """MB at every length for both, growth from the shortest to the longest, seconds per frame, agreement of masks."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        root = Path(name)
        folders = {length: root / str(length) for length in lengths}
        _draw_frames(root, folders)
        jobs = [(engine, "small", length) for length in sorted(lengths, reverse=True) for engine in ("ours", "stock")]
        jobs += [("ours", "hiera_t", lengths[0])] if hiera else []
        with ThreadPoolExecutor(2) as pool:  # memory and CPU seconds do not mind company
            told = dict(zip(jobs, pool.map(lambda job: _child(*job, root), jobs), strict=True))
        agreement = _mean_iou(*(root / f"{engine}-small-{lengths[0]}.bits" for engine in ("ours", "stock")))
    runs = {e: {n: told[e, "small", n] for n in lengths} for e in ("ours", "stock")}
    growth = {e: run[lengths[-1]]["peak_mb"] - run[lengths[0]]["peak_mb"] for e, run in runs.items()}
    return {
        "frames": list(lengths),
        "objects": len(BOXES),
        "image_size": IMAGE_SIZE,
        "peak_mb": {e: [run[n]["peak_mb"] for n in lengths] for e, run in runs.items()},
        "loaded_mb": {e: [run[n]["loaded_mb"] for n in lengths] for e, run in runs.items()},
        "mean_mask_frac": {e: [run[n]["mask_frac"] for n in lengths] for e, run in runs.items()},
        "cpu_s_per_frame": {e: [run[n]["cpu_s_per_frame"] for n in lengths] for e, run in runs.items()},
        "kb_per_frame": {e: round(1000 * mb / (lengths[-1] - lengths[0]), 1) for e, mb in growth.items()},
        "mean_iou_ours_stock": agreement,
        "growth": round(runs["ours"][lengths[-1]]["peak_mb"] / runs["ours"][lengths[0]]["peak_mb"], 3),
        "stock_growth": round(runs["stock"][lengths[-1]]["peak_mb"] / runs["stock"][lengths[0]]["peak_mb"], 3),
        "hiera_t_256px": told.get(("ours", "hiera_t", lengths[0])),
        "goals": {"growth": "<= 1.05"},
    }


def _draw_frames(root: Path, folders: dict[int, Path]) -> None:
    """JPEGs of discs that drift over a texture, numbered as sam2 wants; shorter clips are links into the longest."""
    import cv2

    store = root / "frames"
    store.mkdir()
    ground = np.random.default_rng(3).integers(60, 200, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    ground = cv2.resize(ground, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for n in range(max(folders)):
        frame = ground.copy()
        for k, (x0, y0, x1, y1) in enumerate(BOXES):
            shift = 40 * np.sin(n / 25 + k)
            centre = (int((x0 + x1) / 2 + shift), int((y0 + y1) / 2 + shift / 2))
            cv2.circle(frame, centre, int((x1 - x0) / 2), (40 + 90 * k, 220 - 80 * k, 30), -1)
        cv2.imwrite(str(store / f"{n:05d}.jpg"), frame)
    for length, folder in folders.items():
        folder.mkdir()
        for n in range(length):
            (folder / f"{n:05d}.jpg").hardlink_to(store / f"{n:05d}.jpg")


def _child(engine: str, network: str, length: int, root: Path) -> dict[str, Any]:
    """One run in a process of its own."""
    out = root / f"{engine}-{network}-{length}.bits"
    argv = ["-m", "benchmarks.segment_memory", "--child", engine, network, str(root / str(length)), str(out)]
    ended = subprocess.run([sys.executable, *argv], capture_output=True)
    if ended.returncode:
        raise RuntimeError(f"{engine} {network} {length}: {ended.stderr.decode(errors='replace')[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _run_child(engine: str, network: str, folder: Path, out: Path) -> dict[str, Any]:
    """In the child: load, track, tell."""
    import torch

    torch.set_num_threads(1)
    from mvideo_core.segmentation.sam2_build import build_predictor

    overrides = SMALL if network == "small" else {"image_size": IMAGE_SIZE}
    predictor = build_predictor("sam2.1_hiera_t", overrides, seed=SEED)
    loaded_mb, start, cpu = _status_mb("VmRSS"), time.perf_counter(), time.process_time()
    frames, pixels = 0, 0
    with out.open("wb") as file:
        for masks_NHW in _ours(predictor, folder) if engine == "ours" else _stock(predictor, folder):
            file.write(np.packbits(masks_NHW).tobytes())
            frames, pixels = frames + 1, pixels + int(masks_NHW.sum())
    return {
        "engine": engine,
        "frames": frames,
        "mask_frac": round(pixels / (frames * len(BOXES) * HEIGHT * WIDTH), 3),
        "loaded_mb": loaded_mb,
        "peak_mb": _status_mb("VmHWM"),
        "s_per_frame": round((time.perf_counter() - start) / frames, 4),
        "cpu_s_per_frame": round((time.process_time() - cpu) / frames, 4),
    }


def _ours(predictor: Any, folder: Path) -> Iterator[np.ndarray]:
    from mvideo_core.segmentation.sam2_video import Sam2Options, Sam2Segmenter

    segmenter = Sam2Segmenter(predictor, Sam2Options())
    for result in segmenter.propagate(_frames(folder), HEIGHT, WIDTH, np.array(BOXES, np.float32)):
        yield result.masks_NHW


def _frames(folder: Path) -> Iterator[np.ndarray]:
    from PIL import Image

    for path in sorted(folder.iterdir()):
        yield np.array(Image.open(path).convert("RGB"))


def _stock(predictor: Any, folder: Path) -> Iterator[np.ndarray]:
    import torch

    with torch.inference_mode():
        state = predictor.init_state(str(folder))
        for obj, box in enumerate(BOXES):
            predictor.add_new_points_or_box(state, frame_idx=0, obj_id=obj, box=np.array(box, np.float32))
        for _, _, logits_N1HW in predictor.propagate_in_video(state):
            yield (logits_N1HW[:, 0] > 0).numpy()


def _mean_iou(ours: Path, stock: Path) -> float:
    """Over the masks of two files of packed bits; two empty masks count as 1."""
    a, b = (
        np.unpackbits(np.fromfile(path, np.uint8)).reshape(-1, HEIGHT * WIDTH).view(np.bool_) for path in (ours, stock)
    )
    both, either = (a & b).sum(axis=1), (a | b).sum(axis=1)
    return round(float(np.where(either, both / np.maximum(either, 1), 1.0).mean()), 5)


def _status_mb(field: str) -> float:
    """A size of /proc/self/status: VmRSS now, VmHWM at most. (ru_maxrss would inherit the parent's peak.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6, 1)


def main() -> None:
    """Print one measurement; `--child` is how it starts its own runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=4, metavar=("ENGINE", "NETWORK", "FOLDER", "OUT"))
    args = parser.parse_args()
    if args.child:
        engine, network, folder, out = args.child
        print(json.dumps(_run_child(engine, network, Path(folder), Path(out))))
    else:
        print(json.dumps(measure(), indent=1))


if __name__ == "__main__":
    main()
