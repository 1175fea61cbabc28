"""kB of masks in each export format, and CPU seconds to export one clip: 97 frames x 3 objects of 480x720.

Formats without masks of each object (trainers) are left out. `.masks` is the dataset's own file.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawing import draw_masks, world_masks
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.shards.exports import EXPORTS, Clip

MASK_FILES = {
    "sa-v": "*_manual.json", "davis": "Annotations/**/*.png", "npz": "masks/**/*.npz", "mask-mp4": "masks/*.mp4",
}  # fmt: skip
FPS = 8.0


def measure(n_frames: int = 97, height: int = 480, width: int = 720) -> dict[str, Any]:
    """Per kind of masks and format: kB of the masks, as a fraction of npz label maps, CPU seconds, hidden pixels."""
    kinds = {kind: draw_masks(kind, n_frames, 3, height, width) for kind in ("smooth", "rough")}
    kinds["world"] = world_masks(n_frames, 3, height, width)
    return {"masks": f"{n_frames} frames x 3 objects x {height}x{width}"} | {
        kind: _one_kind(masks) for kind, masks in kinds.items()
    }


def _one_kind(masks_TNHW: np.ndarray) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clip = _clip(masks_TNHW, Path(folder))
        table = {name: _one_format(name, clip, Path(folder) / name) for name in ("youtube-vis", *MASK_FILES)}
    table[".masks"] = {"kb": len(clip.masks.to_bytes()) / 1000}
    for one in table.values():
        one["of_npz"] = round(one["kb"] / table["npz"]["kb"], 2)
    return table


def _clip(masks_TNHW: np.ndarray, folder: Path) -> Clip:
    n_frames, n_objects, height, width = masks_TNHW.shape
    gray = np.full((height, width, 3), 128, np.uint8)
    write_mp4((gray for _ in range(n_frames)), folder / "clip.mp4", FPS)
    ids = tuple(range(n_objects))
    mp4 = (folder / "clip.mp4").read_bytes()
    return Clip("clip", "train", "a clip", FPS, mp4, encode(masks_TNHW), ids, tuple(f"thing {n}" for n in ids), {})


def _one_format(name: str, clip: Clip, out: Path) -> dict[str, Any]:
    start_s = time.process_time()
    entry = EXPORTS.get(name)().write_sample(out, clip)
    cpu_s = time.process_time() - start_s
    root = out if name == "davis" else out / clip.split
    n_bytes = (
        sum(path.stat().st_size for path in root.glob(MASK_FILES[name]))
        if name in MASK_FILES
        else len(json.dumps(entry["tracks"]))
    )
    return {"kb": n_bytes / 1000, "cpu_s": round(cpu_s, 2), "hidden_px": entry.get("hidden_px", 0)}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
