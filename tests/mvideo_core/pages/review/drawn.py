"""A workspace with three reviewed-to-be clips, written without any model: squares that move, and their masks."""

import hashlib
from pathlib import Path

import numpy as np

from mvideo_core.base.options import Options
from mvideo_core.base.records import Blob, ClipRow, DetectionRow, MaskRow, ObjectStats, Row
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.store.commit import commit_part
from mvideo_core.store.workspace import Workspace

WIDTH, HEIGHT, N_FRAMES, FPS = 96, 64, 8, 8
SCORES = {"calm": (0.95, 0.9), "hostile": (0.6,), "jumpy": (0.9, 0.1)}
"""Segmenter scores of the objects of each clip; "hostile" was dropped by the gate."""
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def write_workspace(folder: Path) -> Workspace:
    """The workspace."""
    workspace = Workspace(str(folder))
    workspace.ensure()
    workspace.set_plan({"n_parts": 1, "n_sources": 1, "part_size": 1, "keys": []})
    rows: dict[str, list[Row]] = {"cut": [], "detect": [], "segment": []}
    for number, (key, scores) in enumerate(SCORES.items()):
        frames, masks = _draw(number, len(scores))
        local = folder / f"{key}.mp4"
        write_mp4(iter(frames), local, FPS)
        clip = _blob(workspace, f"blobs/cut/00/{key}.mp4", local.read_bytes())
        local.unlink()
        size = {"n_frames": N_FRAMES, "width": WIDTH, "height": HEIGHT}
        rows["cut"].append(ClipRow(key=key, parent="video", fps=FPS, clip=clip, **size))
        labels = [HOSTILE if key == "hostile" else name for name in ("dog", "cat")[: len(scores)]]
        rows["detect"].append(DetectionRow(key=key, labels=labels, boxes_xyxy=[[0, 0, 9, 9]] * len(scores)))
        objects = [
            ObjectStats(
                object_id=n, label=label, detection_score=1, mask_score=score, visible_frac=1, mean_area_frac=0.1,
                drift=0, kept=key != "hostile", drop_reason="drifts" if key == "hostile" else None,
            )
            for n, (label, score) in enumerate(zip(labels, scores, strict=True))
        ]  # fmt: skip
        blob = _blob(workspace, f"blobs/segment/00/{key}.masks", encode(masks).to_bytes())
        made = MaskRow(key=key, masks=blob, objects=objects, model="sam2/drawn", **size)
        gone = {"status": "filtered", "reason": "no_object_passed", "value": 0.0, "threshold": 1.0}
        rows["segment"].append(made.model_copy(update=gone) if key == "hostile" else made)
    for stage, found in rows.items():
        options = DetectOptions() if stage == "detect" else Options()
        commit_part(
            workspace, stage=stage, index=0, key=stage * 4, settings="", inputs={}, options=options, rows=found,
            row_class=type(found[0]), n_items=3, n_reused=0, seconds=0,
        )  # fmt: skip
    return workspace


def _draw(seed: int, n_objects: int) -> tuple[np.ndarray, np.ndarray]:
    masks = np.zeros((N_FRAMES, n_objects, HEIGHT, WIDTH), bool)
    frames = np.full((N_FRAMES, HEIGHT, WIDTH, 3), (60, 110 + 20 * seed, 70), np.uint8)
    for n in range(n_objects):
        for t in range(N_FRAMES):
            masks[t, n, 10 + 25 * n : 30 + 25 * n, 10 + 4 * t : 34 + 4 * t] = True
        frames[masks[:, n]] = (215, 40 + 150 * n, 40)
    return frames, masks


def _blob(workspace: Workspace, path: str, content: bytes) -> Blob:
    workspace.folder.write(path, content)
    return Blob(path=path, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))
