"""Encoding a dataset into latents: windows per second, bytes, where the time goes, and reading windows back shuffled.

Clips and masks are drawn at random; the base model has random weights, which cost as much as trained ones.

    python -m benchmarks.encoding                                          mini models, CPU
    python -m benchmarks.encoding --size cogvideox-2b --dtype bf16 --clips 16 --source 480x720   needs a GPU
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mvideo_core.base.options import Options, canonical_json
from mvideo_core.base.records import Blob, PlannedSample, ShardPlanRow, ShardRow
from mvideo_core.curation.stages.encode import encode_dataset, encoders
from mvideo_core.curation.stages.publish_latents import current_latents
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.shards import shard_path, write_shard
from mvideo_core.store.commit import commit_part
from mvideo_core.store.workspace import Workspace
from mvideo_core.training.latents.cache import LatentDataset
from mvideo_core.training.latents.options import LatentOptions

FRAMES = 65
"""The shortest clip of the paper's data: 8 s at 8 fps."""


def measure(size: str, dtype: str, n_clips: int, source: tuple[int, int], batch_size: int) -> dict[str, Any]:
    """Seconds and bytes of encoding `n_clips` clips with 65 frames of `source` (height, width) px."""
    options = LatentOptions.parse({"base": {"weights": f"random:{size}", "dtype": dtype}, "batch_size": batch_size})
    with tempfile.TemporaryDirectory(prefix="mvideo-bench-") as folder:
        workspace = Workspace(f"{folder}/ws")
        _draw_dataset(workspace, Path(folder), n_clips, *source)
        encoders(options)  # loading happens once per process and is not measured
        started, cpu = time.perf_counter(), time.process_time()
        encode_dataset(workspace, options)
        took_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        again = time.perf_counter()
        encode_dataset(workspace, options)
        again_s = time.perf_counter() - again
        latents = LatentDataset(current_latents(workspace))
        read_s = _read_shuffled(latents)
        info = latents.info
        tar_bytes = sum(split.bytes for split in info.splits.values())
        sample = latents.get(0)
        tensors = {name: getattr(sample, name) for name in sample.__dataclass_fields__}
        kb = {name: tensor.nbytes / 1e3 for name, tensor in tensors.items() if hasattr(tensor, "nbytes")}
    return {
        "size": size, "dtype": dtype, "batch_size": batch_size, "source_px": list(source), "clips": n_clips,
        "windows": len(latents), "format": canonical_json(info.identity.format),
        "windows_per_s": round(len(latents) / took_s, 3), "cpu_s_per_window": round(cpu_s / len(latents), 3),
        "second_run_s": round(again_s, 3), "mb_per_window": round(tar_bytes / len(latents) / 1e6, 4), "kb": kb,
        "read_ms_per_window": round(read_s / len(latents) * 1e3, 3),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }  # fmt: skip


def _draw_dataset(workspace: Workspace, folder: Path, n_clips: int, height: int, width: int) -> None:
    """One tar of moving noise with one moving mask, and the row that the shard stage commits for it."""
    rng = np.random.default_rng(0)
    still = rng.integers(0, 255, (height, width, 3), np.uint8)
    masks = np.zeros((FRAMES, 1, height, width), bool)
    for t in range(FRAMES):
        masks[t, 0, height // 4 : height // 2, t : t + width // 3] = True
    (folder / "a.masks").write_bytes(encode(masks).to_bytes())
    write_mp4((np.roll(still, t, axis=1) for t in range(FRAMES)), folder / "a.mp4", fps=8)
    clip, mask = (_blob(folder / f"a.{extension}") for extension in ("mp4", "masks"))
    meta = {"fps": 8.0, "height": height, "width": width, "objects": [{"object_id": 0, "kept": True}]}
    samples = [
        PlannedSample(
            key=f"clip{n:05d}", video_id=f"video{n}", clip=clip, masks=mask, caption="A dog runs to the left.",
            labels=["dog"], n_frames=FRAMES, meta_json=canonical_json(meta),
        )
        for n in range(n_clips)
    ]  # fmt: skip
    plan = ShardPlanRow(key="train-000000", split="train", samples=samples)
    with (folder / "out.tar").open("wb") as out:
        written = write_shard(plan, lambda blob: (folder / blob.path).open("rb"), out)
    path = f"datasets/drawn/{shard_path(plan.key, plan.split)}"
    workspace.folder.adopt(folder / "out.tar", path)
    tar = Blob(path=path, sha256=written.sha256, size_bytes=written.size_bytes)
    row = ShardRow(key=plan.key, parent=plan.key, split="train", tar=tar, samples=written.samples)
    workspace.set_plan({"n_parts": 1})
    commit_part(
        workspace, stage="shard", index=0, key="drawn", settings="drawn", inputs={}, options=Options(), rows=[row],
        row_class=ShardRow, n_items=1, n_reused=0, seconds=0.0,
    )  # fmt: skip
    workspace.set_pointer("dataset", "datasets/drawn", digest="drawn")


def _blob(path: Path) -> Blob:
    import hashlib

    content = path.read_bytes()
    return Blob(path=path.name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def _read_shuffled(latents: LatentDataset) -> float:
    order = np.random.default_rng(0).permutation(len(latents))
    started = time.perf_counter()
    for index in order:
        latents.get(int(index))
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="mini-sincos")
    parser.add_argument("--dtype", default="fp32", choices=("bf16", "fp16", "fp32"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--source", default="256x384", help="height x width of the clips")
    parser.add_argument("--batch-size", type=int, default=1)
    given = parser.parse_args()
    height, _, width = given.source.partition("x")
    print(
        json.dumps(measure(given.size, given.dtype, given.clips, (int(height), int(width)), given.batch_size), indent=1)
    )
