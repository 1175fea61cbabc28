"""Seconds per frame of tracking three objects: ours compared with sam2's own predictors on the same network.

    python -m benchmarks.segmenting                                    the mini network; some minutes on a CPU
    python -m benchmarks.segmenting --network hiera_t --frames 6       public size (1024 px), random weights
    python -m benchmarks.segmenting --network hiera_t --side 256 --options '{"frames_per_pass": 8}'
    python -m benchmarks.segmenting --attention    only one layer's attention to a full memory, at public size

- ours: `Sam2Segmenter.propagate`.
- one_by_one: `SAM2VideoPredictor` of sam2 1.1, which shares image features but tracks object by object.
- grounded_sam2: the loop of Grounded-SAM-2's tracking demo: image predictor on the first frame, one call per box, then
  sam2's earlier predictor (`sam2_video_predictor_legacy`), which tracks all objects in one batch.

All three read the same JPEG files of 480x720 and return boolean masks in video size. They advance frame by frame in
turn, so that a busy machine slows all of them alike; ratios are per frame, of CPU seconds on a CPU. The first frames
have less memory to attend to and are cheaper; `full` is the median of those with all memories.

Operators per frame that do work (views are free) are counted, too: on a GPU each is at least one kernel launch, and
small kernels wait for their launch. Counted are these and the FLOP of hiera_t, ours at 8 frames per pass as on a GPU.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.segment_memory import HEIGHT, N_OBJECTS, WIDTH, draw_frames, read_jpegs
from benchmarks.timing import cpus, interleave, ratio, spread

COUNT_PX = 128
PEERS = ("one_by_one", "grounded_sam2")
HIERA = {"hiera_t": "sam2.1_hiera_t", "hiera_s": "sam2.1_hiera_s", "hiera_b+": "sam2.1_hiera_b+"}


def measure(
    network: str = "mini", side: int = 0, frames: int = 20, device: str = "cpu", options: dict[str, Any] | None = None,
    threads: int = 1, count: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Seconds per frame of the three, ratios of the peers to ours, and how far masks agree.

    Args:
        network: "mini" (shipped weights), or a public architecture with random weights.
        side: network input, px; 0 = the network's own.
        options: of `Sam2Segmenter`.
        count: also count operators and FLOP.
    """
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as name:
        folder = Path(name) / "clip"
        draw_frames(Path(name), {frames: folder})
        boxes = np.array(json.loads((Path(name) / "boxes.json").read_text())[0], np.float32)
        pair = networks(network, side, device, options or {})
        _warm_up(*pair, folder, boxes)
        seconds, ious, pixels = _in_step(engines(*pair, folder, boxes), frames, device)
        work = count_work(Path(name) / "frames", boxes) if count else {}
    n_full = max(1, frames - 8)
    over = {peer: ratio(seconds[peer][-n_full:], seconds["ours"][-n_full:]) for peer in PEERS}
    whole = {name: sum(one) for name, one in seconds.items()}
    return {
        "network": network,
        "side_px": side,
        "frames": frames,
        "objects": N_OBJECTS,
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "threads": threads,
        "options": options or {},
        "seconds": "wall" if device.startswith("cuda") else "CPU",
        "s_per_frame": {name: round(one / frames, 4) for name, one in whole.items()},
        "s_per_full_frame": {name: spread(one[-n_full:]).round_to(4) for name, one in seconds.items()},
        "spread": {f"{peer}_over_ours": one.round_to() for peer, one in over.items()},
        **{f"{peer}_over_ours": round(over[peer].median, 3) for peer in PEERS},
        **{f"{peer}_over_ours_whole": round(whole[peer] / whole["ours"], 3) for peer in PEERS},
        "mean_iou": {peer: round(float(np.mean(ious[peer])), 6) for peer in PEERS},
        "equal_pixel_frac": {peer: round(float(np.mean(pixels[peer])), 8) for peer in PEERS},
        "per_frame": work,
        **{f"{peer}_operators_over_ours": _times(work["operators"], peer) for peer in PEERS if work},
        "goals": {
            f"{peer}{what}_over_ours": ">= 2" for what in (("", "_operators") if count else ("",)) for peer in PEERS
        },
    }


def measure_attention(side: int = 0, rounds: int = 3) -> dict[str, Any]:
    """CPU seconds of cross attention to seven memories and 16 pointers, one object: ours and the layer's own."""
    import torch

    from mvideo_core.perception.segmentation.sam2_attention import average_before_projection

    torch.set_num_threads(1)
    network, generator = _network("hiera_t", side), torch.Generator().manual_seed(0)
    attention = network.memory_attention.layers[0].cross_attn_image
    n_queries = (network.image_size // 16) ** 2
    q = torch.randn(1, n_queries, 256, generator=generator)
    k, v = (torch.randn(1, 7 * n_queries + 64, 64, generator=generator) for _ in range(2))
    with torch.inference_mode():
        usual = attention.forward
        average_before_projection(network)
        works = {"layer": lambda: usual(q, k, v, 64), "ours": lambda: attention.forward(q, k, v, 64)}
        difference = float((works["layer"]() - works["ours"]()).abs().max())
        seconds = {name: cpus(took) for name, took in interleave(works, rounds, warm_up=False).items()}
    return {
        "cpu_s": {name: spread(one).round_to() for name, one in seconds.items()},
        "layer_over_ours": ratio(seconds["layer"], seconds["ours"]).round_to(),
        "largest_difference": difference,
    }


def _times(operators: dict[str, float], peer: str) -> float:
    return round(operators[peer] / operators["ours"], 2)


def count_work(folder: Path, boxes: np.ndarray) -> dict[str, dict[str, float]]:
    """Operators per frame that do work, and GFLOP, of each engine, over 8 frames with all memories and pointers."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode

    class Count(TorchDispatchMode):
        done = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            makes_view = any(one.alias_info and not one.alias_info.is_write for one in func._schema.returns)
            self.done += not makes_view
            return func(*args, **(kwargs or {}))

    work: dict[str, dict[str, float]] = {"operators": {}, "gflop": {}}
    pair = networks("hiera_t", COUNT_PX, "cpu", {"frames_per_pass": 8})
    for name, run in engines(*pair, folder, boxes).items():
        for _ in range(16):
            next(run)
        with FlopCounterMode(display=False) as flops, Count() as count:
            for _ in range(8):
                next(run)
        work["operators"][name] = round(count.done / 8, 1)
        work["gflop"][name] = round(flops.get_total_flops() / 8e9, 3)
    return work


def networks(name: str, side: int, device: str, options: dict[str, Any]) -> tuple[Any, Any]:
    """Our segmenter, and a network with the same weights for sam2's own predictors."""
    from mvideo_core.perception.segmentation.sam2_video import Sam2Options, Sam2Segmenter

    segmenter = Sam2Segmenter(_network(name, side), Sam2Options.parse(options), device)
    return segmenter, _network(name, side).to(device)


def engines(segmenter: Any, network: Any, folder: Path, boxes: np.ndarray) -> dict[str, Iterator[np.ndarray]]:
    """The three, each yielding the masks (N, H, W) of the next frame."""
    found = segmenter.propagate(read_jpegs(folder), HEIGHT, WIDTH, boxes)
    precision = segmenter.options.precision if segmenter.device.startswith("cuda") else "fp32"
    return {
        "ours": (one.masks_NHW for one in found),
        "one_by_one": _stock(network, folder, boxes, precision),
        "grounded_sam2": _grounded_sam2(network, folder, boxes, precision),
    }


def _stock(predictor: Any, folder: Path, boxes: np.ndarray, precision: str) -> Iterator[np.ndarray]:
    import torch

    device = predictor.device.type
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        state = predictor.init_state(str(folder))
        for obj, box in enumerate(boxes):
            predictor.add_new_points_or_box(state, frame_idx=0, obj_id=obj, box=box)
        steps = predictor.propagate_in_video(state)
    while True:  # the modes are entered anew for each frame: the engines take turns
        with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            step = next(steps, None)
            if step is None:
                return
            masks = [(step[2][i] > 0.0).cpu().numpy() for i in range(len(boxes))]
        yield np.concatenate(masks)


def _grounded_sam2(network: Any, folder: Path, boxes: np.ndarray, precision: str) -> Iterator[np.ndarray]:
    import torch
    from sam2.sam2_image_predictor import SAM2ImagePredictor
    from sam2.sam2_video_predictor_legacy import SAM2VideoPredictor

    batched = copy.copy(network)  # shares all modules
    batched.__class__ = SAM2VideoPredictor
    batched.clear_non_cond_mem_for_multi_obj = False
    with torch.inference_mode(), torch.autocast(network.device.type, torch.bfloat16, enabled=precision == "bf16"):
        predictor = SAM2ImagePredictor(network)
        side = network.image_size  # the class assumes 1024
        predictor._bb_feat_sizes = [(side // n, side // n) for n in (4, 8, 16)]
        predictor.set_image(next(read_jpegs(folder)))
        predictor.predict(box=boxes, multimask_output=False)
    yield from _stock(batched, folder, boxes, precision)


def _in_step(
    runs: dict[str, Iterator[np.ndarray]], frames: int, device: str
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, list[float]]]:  # fmt: skip
    """Seconds of every frame by engine; IoU with ours and share of equal pixels by peer."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    ious: dict[str, list[float]] = {peer: [] for peer in PEERS}
    pixels: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for number in range(frames):
        masks = {}
        for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
            start_s = _now_s(device)
            masks[name] = next(runs[name])
            seconds[name].append(_now_s(device) - start_s)
        for peer in PEERS:
            both, either = masks[peer] & masks["ours"], masks[peer] | masks["ours"]
            ious[peer].append(float(both.sum() / either.sum()) if either.any() else 1.0)
            pixels[peer].append(float((masks[peer] == masks["ours"]).mean()))
    return seconds, ious, pixels


def _warm_up(segmenter: Any, network: Any, folder: Path, boxes: np.ndarray) -> None:
    """Two frames of each engine, on which torchscript and cuDNN prepare themselves; with `compile` a whole clip."""
    for name, run in engines(segmenter, network, folder, boxes).items():
        for _ in islice(run, None if segmenter.options.compile and name == "ours" else 2):
            pass


def _network(name: str, side: int) -> Any:
    from mvideo_core.perception.segmentation.sam2_build import build_predictor, load_predictor
    from mvideo_core.weights import find

    if name == "mini":
        return load_predictor(find("mini", kind="segmenter"), image_size=side)[0]
    return build_predictor(HIERA[name], {"image_size": side} if side else {}, seed=12)


def _now_s(device: str) -> float:
    if not device.startswith("cuda"):
        return time.process_time()
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


def main(argv: Sequence[str] | None = None) -> None:
    """Print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=("mini", *HIERA), default="mini")
    parser.add_argument("--side", type=int, default=0, help="network input, px; 0 = the network's own")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--options", type=json.loads, default={}, help="options of the segmenter, as JSON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-count", action="store_false", dest="count", help="do not count operators and FLOP")
    parser.add_argument("--attention", action="store_true", help="only attention to the memory")
    given = vars(parser.parse_args(argv))
    only_attention = given.pop("attention")
    print(json.dumps(measure_attention(given["side"]) if only_attention else measure(**given), indent=1))


if __name__ == "__main__":
    main()
