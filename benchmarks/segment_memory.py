"""Peak memory of tracking 97, 385 and 1,537 frames: our tracker compared with sam2's own SAM2VideoPredictor.

Same network (the shipped mini SAM2, every part of SAM2 at 192 px), same boxes, same JPEG frames of 480x720, which is
the only input the stock predictor takes besides mp4 files; ours reads them one by one. They are 97 frames of the mini
world, played back and forth. Masks are packed and dropped. Each run is its own process; its peak is the kernel's VmHWM.

Four more runs of ours, on the shortest and the longest video, search several frames (`detect.when`: `keyframes`,
`adaptive`), track in both directions, and write the `.masks` file. The detector is right: one object is found on the
first frame, one on the next searched frame, one after half of the video. One run measures the time per frame of a
public architecture (hiera tiny at 256 px, random weights).

    python -m benchmarks.segment_memory --out FILE --only keyframes adaptive    # continues where it was stopped
    python -m benchmarks.segment_memory --out FILE --only keyframes adaptive --network drawn    # one minute of CPU

With `--network drawn`, the mini network is loaded but the rendered masks are played back instead of tracked: what is
measured is everything else, with objects that nothing loses.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.masks import MaskWriter

LENGTHS = (97, 385, 1537)
HEIGHT, WIDTH = 480, 720
N_OBJECTS, N_DRAWN, MIN_PX = 3, 97, 3000
HIERA_PX = 256
SEARCHES = ("keyframes", "adaptive")
STEP_FRAMES, MAX_STEP_FRAMES, MIN_CHANGE = 8, 32, 0.05
"""Settings of the searches: `detect.step_s`, `max_step_s` at 8 frames/s, and `min_change`."""


def measure(lengths: Sequence[int] = LENGTHS, hiera: bool = True) -> dict[str, Any]:
    """MB at every length for both, growth from the shortest to the longest, seconds per frame, agreement of masks."""
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        root = Path(name)
        folders = {length: root / str(length) for length in lengths}
        draw_frames(root, folders)
        jobs = [(engine, "mini", length) for length in sorted(lengths, reverse=True) for engine in ("ours", "stock")]
        jobs += [(mode, "drawn", n) for mode in SEARCHES for n in sorted({lengths[0], lengths[-1]}, reverse=True)]
        jobs += [("ours", "hiera_t", lengths[0])] if hiera else []
        with ThreadPoolExecutor(2) as pool:  # parallel runs do not affect memory and CPU seconds
            results = dict(zip(jobs, pool.map(lambda job: _child(job[0], job[1], job[2], root), jobs), strict=True))
        agreement = _mean_iou(*(root / f"{engine}-mini-{lengths[0]}.bits" for engine in ("ours", "stock")))
    runs = {e: {n: results[e, "mini", n] for n in lengths} for e in ("ours", "stock")}
    ends = (lengths[0], lengths[-1])
    searches = {mode: _search_figures([results[mode, "drawn", n] for n in ends]) for mode in SEARCHES}
    growth = {e: run[lengths[-1]]["peak_mb"] - run[lengths[0]]["peak_mb"] for e, run in runs.items()}
    return {
        "frames": list(lengths),
        "objects": N_OBJECTS,
        "network": "sam2-mini",
        "video": f"{WIDTH}x{HEIGHT}",
        "peak_mb": {e: [run[n]["peak_mb"] for n in lengths] for e, run in runs.items()},
        "loaded_mb": {e: [run[n]["loaded_mb"] for n in lengths] for e, run in runs.items()},
        "mean_mask_frac": {e: [run[n]["mask_frac"] for n in lengths] for e, run in runs.items()},
        "cpu_s_per_frame": {e: [run[n]["cpu_s_per_frame"] for n in lengths] for e, run in runs.items()},
        "kb_per_frame": {e: round(1000 * mb / (lengths[-1] - lengths[0]), 1) for e, mb in growth.items()},
        "mean_iou_ours_stock": agreement,
        "growth": round(runs["ours"][lengths[-1]]["peak_mb"] / runs["ours"][lengths[0]]["peak_mb"], 3),
        "stock_growth": round(runs["stock"][lengths[-1]]["peak_mb"] / runs["stock"][lengths[0]]["peak_mb"], 3),
        **searches,
        **{f"growth_{mode}": figures["growth"] for mode, figures in searches.items()},
        "hiera_t_256px": results.get(("ours", "hiera_t", lengths[0])),
        "goals": dict.fromkeys(("growth", *(f"growth_{mode}" for mode in SEARCHES)), "<= 1.05"),
    }


def measure_searches(
    out: Path, modes: Sequence[str], network: str = "mini", lengths: Sequence[int] = LENGTHS
) -> dict[str, Any]:  # fmt: skip
    """Only the runs with these searches, one after another; `out` holds what is done, and a run in it is skipped."""
    runs: dict[str, dict[str, Any]] = json.loads(out.read_text("utf-8")) if out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        ends = (lengths[0], lengths[-1])
        folders = {length: Path(name) / str(length) for length in ends}
        draw_frames(Path(name), folders)
        for mode in modes:
            done = runs.setdefault(f"{mode}, {network}", {})
            for length in ends:
                if str(length) not in done:
                    done[str(length)] = _child(mode, network, length, Path(name))
                    write_whole(out, json.dumps(runs, indent=1) + "\n")
    return {mode: _search_figures([runs[f"{mode}, {network}"][str(n)] for n in ends]) for mode in modes}


def _search_figures(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of the shortest and the longest run."""
    figures = {key: [run[key] for run in runs] for key in ("peak_mb", "cpu_s_per_frame", "searched", "objects")}
    return figures | {"growth": round(runs[-1]["peak_mb"] / runs[0]["peak_mb"], 3)}


def draw_frames(root: Path, folders: dict[int, Path]) -> None:
    """JPEGs numbered as sam2 needs, all of them links to a few; next to them the boxes of the first frame."""
    from PIL import Image

    from mvideo_core.miniworld.world import render_shot

    store, boxes, masks = root / "frames", [], MaskWriter(N_OBJECTS, HEIGHT, WIDTH)
    store.mkdir()
    frames = render_shot(_clear_shot(), N_DRAWN, WIDTH, HEIGHT, fps=8)
    for n, frame in enumerate(frames):
        boxes.append([_box(mask_HW) for mask_HW in frame.visible if mask_HW.any()])
        masks.append(frame.visible)
        Image.fromarray(frame.rgb).save(store / f"{n:05d}.jpg", quality=95)
    (root / "boxes.json").write_text(json.dumps(boxes))
    (root / "drawn.masks").write_bytes(masks.finish().to_bytes())
    for length, folder in folders.items():
        folder.mkdir()
        for n in range(length):
            (folder / f"{n:05d}.jpg").hardlink_to(store / f"{_choose_drawn(n):05d}.jpg")


def _choose_drawn(number: int) -> int:
    """Number of the rendered frame that a frame shows."""
    back = number % (2 * N_DRAWN - 2)
    return min(back, 2 * N_DRAWN - 2 - back)


def _clear_shot() -> Any:
    """The first world shot whose three objects are all clearly visible at its start."""
    from mvideo_core.miniworld.world import render_shot, sample_shot

    shots = (sample_shot(seed, "val") for seed in range(1000))
    return next(
        shot
        for shot in shots
        if len(shot.actors) == N_OBJECTS
        and next(iter(render_shot(shot, 1, WIDTH, HEIGHT, fps=8))).visible.sum(axis=(1, 2)).min() > MIN_PX
    )


def _box(mask_HW: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def _child(engine: str, network: str, length: int, root: Path) -> dict[str, Any]:
    """One run in its own process."""
    out = root / f"{engine}-{network}-{length}.bits"
    argv = ["-m", "benchmarks.segment_memory", "--child", engine, network, str(root / str(length)), str(out)]
    ended = subprocess.run([sys.executable, *argv], capture_output=True)
    if ended.returncode:
        raise RuntimeError(f"{engine} {network} {length}: {ended.stderr.decode(errors='replace')[-2000:]}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _run_child(engine: str, network: str, folder: Path, out: Path) -> dict[str, Any]:
    """In the child: load, track, report."""
    import torch

    torch.set_num_threads(1)
    from mvideo_core.perception.segmentation.sam2_build import build_predictor, load_predictor
    from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter
    from mvideo_core.weights import find

    if network in ("mini", "drawn"):
        predictor, _, _ = load_predictor(find("mini", kind="segmenter"))
    else:
        predictor = build_predictor("sam2.1_hiera_t", {"image_size": HIERA_PX}, seed=12)
    loaded_mb, start, cpu = _status_mb("VmRSS"), time.perf_counter(), time.process_time()
    frames, pixels, about = 0, 0, dict[str, int]()
    drawn = json.loads((folder.parent / "boxes.json").read_text())
    segmenter = Playback(folder.parent) if network == "drawn" else Sam2Segmenter(predictor, Sam2Options())
    engines: dict[str, Callable[[], Iterator[np.ndarray]]] = {
        "ours": lambda: _ours(predictor, folder, np.array(drawn[0], np.float32)),
        "stock": lambda: _stock(predictor, folder, np.array(drawn[0], np.float32)),
        **{mode: partial(_search, segmenter, folder, drawn, mode, about) for mode in SEARCHES},
    }
    with out.open("wb") as file:
        for masks_NHW in engines[engine]():
            file.write(np.packbits(masks_NHW).tobytes())
            frames, pixels = frames + 1, pixels + int(masks_NHW.sum())
    return {
        "engine": engine,
        **about,
        "frames": frames,
        "mask_frac": round(pixels / (frames * N_OBJECTS * HEIGHT * WIDTH), 3),
        "loaded_mb": loaded_mb,
        "peak_mb": _status_mb("VmHWM"),
        "s_per_frame": round((time.perf_counter() - start) / frames, 4),
        "cpu_s_per_frame": round((time.process_time() - cpu) / frames, 4),
    }


def _ours(predictor: Any, folder: Path, boxes: np.ndarray) -> Iterator[np.ndarray]:
    from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter

    segmenter = Sam2Segmenter(predictor, Sam2Options())
    for result in segmenter.propagate(read_jpegs(folder), HEIGHT, WIDTH, boxes):
        yield result.masks_NHW


def _search(
    segmenter: Any, folder: Path, drawn: list[list[list[float]]], mode: Any, about: dict[str, int]
) -> Iterator[np.ndarray]:  # fmt: skip
    """As the stages `detect` and `segment` do it, with a detector that is right."""
    from mvideo_core.perception.detection.base import Detections
    from mvideo_core.perception.detection.search import FrameChoice
    from mvideo_core.perception.segmentation.discovery import discover
    from mvideo_core.perception.segmentation.two_way import Spool

    sightings, n_frames = {}, len(list(folder.iterdir()))
    choice = FrameChoice(mode, STEP_FRAMES, MAX_STEP_FRAMES, MIN_CHANGE)
    for number, frame in enumerate(read_jpegs(folder)):
        if choice.wants(number, frame):
            boxes = drawn[_choose_drawn(number)][: 1 if number == 0 else 2 if number < n_frames // 2 else N_OBJECTS]
            scores = np.full(len(boxes), 0.9, np.float32)
            sightings[number] = Detections(np.array(boxes, np.float32), scores, ["object"] * len(boxes))
    with Spool(HEIGHT, WIDTH, folder.parent) as spool:
        found = discover(segmenter, read_jpegs(folder), spool, HEIGHT, WIDTH, sightings, mode)
    about.update(searched=len(sightings), objects=len(found.objects), mask_bytes=len(found.sequence.to_bytes()))
    for number in range(found.sequence.n_frames):
        yield found.sequence.frame(number)


class Playback:
    """A segmenter that knows the masks of the rendered frames."""

    def __init__(self, root: Path):
        from mvideo_core.masks import from_bytes

        self.sequence = from_bytes((root / "drawn.masks").read_bytes())
        self.numbers = {zlib.crc32(frame.tobytes()): n for n, frame in enumerate(read_jpegs(root / "frames"))}

    def propagate(self, frames: Iterable[np.ndarray], height: int, width: int, boxes: np.ndarray) -> Iterator[Any]:
        """The rendered masks of the objects whose boxes on the first frame are the nearest."""
        from mvideo_core.perception.segmentation.base import FrameMasks

        objects: list[int] = []
        for frame in frames:
            masks_NHW = self.sequence.frame(self.numbers[zlib.crc32(frame.tobytes())])
            if not objects:
                there = {n: np.array(_box(mask)) for n, mask in enumerate(masks_NHW) if mask.any()}
                objects = [min(there, key=lambda n: float(np.abs(there[n] - box).sum())) for box in boxes]
            yield FrameMasks(masks_NHW[objects], np.ones(len(objects), np.float32))


def read_jpegs(folder: Path) -> Iterator[np.ndarray]:
    from PIL import Image

    for path in sorted(folder.iterdir()):
        yield np.array(Image.open(path).convert("RGB"))


def _stock(predictor: Any, folder: Path, boxes: np.ndarray) -> Iterator[np.ndarray]:
    import torch

    with torch.inference_mode():
        state = predictor.init_state(str(folder))
        for obj, box in enumerate(boxes):
            predictor.add_new_points_or_box(state, frame_idx=0, obj_id=obj, box=box)
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
    """A size from /proc/self/status: VmRSS now, VmHWM peak. (ru_maxrss would inherit the parent's peak.)"""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024 / 1e6, 1)


def main() -> None:
    """Print one measurement; it starts its own runs with `--child`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=4, metavar=("ENGINE", "NETWORK", "FOLDER", "OUT"))
    parser.add_argument("--only", nargs="+", choices=SEARCHES, default=[], help="only these searches; needs --out")
    parser.add_argument("--network", choices=("mini", "drawn"), default="mini", help="of these searches")
    parser.add_argument("--lengths", nargs="+", type=int, default=LENGTHS, help="frames of these searches: two numbers")
    parser.add_argument("--out", type=Path, help="file of the runs that are done")
    args = parser.parse_args()
    if args.only and not args.out:
        parser.error("--only needs --out")
    if args.child:
        engine, network, folder, out = args.child
        print(json.dumps(_run_child(engine, network, Path(folder), Path(out))))
    elif args.only:
        print(json.dumps(measure_searches(args.out, args.only, args.network, args.lengths), indent=1))
    else:
        print(json.dumps(measure(), indent=1))


if __name__ == "__main__":
    main()
