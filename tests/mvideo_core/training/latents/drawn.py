"""A workspace with a real dataset of drawn clips, written by the shard stage: 64x32 px, 8 frames per second."""

from pathlib import Path

import numpy as np

from mvideo_core.base.records import CaptionRow, ClipRow, DetectionRow, MaskRow, ObjectStats, Row, SourceRow, VideoRow
from mvideo_core.curation.stages.shard import shard_dataset
from mvideo_core.engine.plan import PlanOptions, make_plan
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.shards.options import ShardOptions
from mvideo_core.store.workspace import Workspace
from tests.mvideo_core.engine.finished import commit, keep

HEIGHT, WIDTH = 32, 64
CLASSES = {"ingest": VideoRow, "cut": ClipRow, "detect": DetectionRow, "segment": MaskRow, "caption": CaptionRow}


def dataset(workspace: Workspace, folder: Path, lengths: dict[str, int], per_shard: int = 3) -> None:
    """Clips of the given numbers of frames (key -> frames), one video each, cut, masked, captioned and sharded."""
    make_plan(workspace, [SourceRow(key=f"v-{key}", uri=f"file:///{key}") for key in lengths], PlanOptions())
    rows: dict[str, list[Row]] = {stage: [] for stage in CLASSES}
    for n, (key, n_frames) in enumerate(lengths.items()):
        for stage, row in clip_rows(workspace, folder, key, n_frames, n).items():
            rows[stage].append(row)
    for stage, found in rows.items():
        commit(workspace, stage, 0, found)
    shard_dataset(workspace, ShardOptions(samples_per_shard=per_shard))


def clip_rows(workspace: Workspace, folder: Path, key: str, n_frames: int, n: int) -> dict[str, Row]:
    """A kept square that moves to the right by one pixel a frame, and a dropped one that stands in the corner."""
    frames = np.full((n_frames, HEIGHT, WIDTH, 3), 30 + 20 * n, np.uint8)
    masks = np.zeros((n_frames, 2, HEIGHT, WIDTH), bool)
    for t in range(n_frames):
        masks[t, 0, 8:20, 4 + t : 20 + t] = True
        masks[t, 1, :4, :4] = True
        frames[t][masks[t, 0]] = (200, 40 * (n % 5), 30)
    write_mp4(frames, folder / f"{key}.mp4", fps=8)
    clip = keep(workspace, (folder / f"{key}.mp4").read_bytes(), f"blobs/cut/{key}.mp4")
    code = keep(workspace, encode(masks).to_bytes(), f"blobs/segment/{key}.masks")
    numbers = {"detection_score": 0.9, "mask_score": 0.9, "visible_frac": 1.0, "mean_area_frac": 0.1, "drift": 0.1}
    objects = [
        ObjectStats(object_id=0, label="dog", **numbers),
        ObjectStats(object_id=1, label="tv", kept=False, **numbers),
    ]
    shape = {"n_frames": n_frames, "width": WIDTH, "height": HEIGHT}
    video = f"v-{key}"
    return {
        "ingest": VideoRow(key=video, parent=video, sha256=f"sha-{key}"),
        "cut": ClipRow(
            key=key, parent=video, clip=clip, fps=8, end_s=n_frames / 8, source_sha256=f"sha-{key}", **shape
        ),
        "detect": DetectionRow(key=key, parent=key, labels=["dog"], scores=[0.9], boxes_xyxy=[[4, 8, 20, 20]]),
        "segment": MaskRow(key=key, parent=key, masks=code, objects=objects, **shape),
        "caption": CaptionRow(key=key, parent=key, text=f"A dog moves, take {n}.", captioner="motion"),
    }
