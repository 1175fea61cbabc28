"""A workspace in which every stage before shard is finished for a few drawn clips."""

import io

import numpy as np

from mvideo_core.base.digests import sha256_of
from mvideo_core.base.options import Options
from mvideo_core.base.records import (
    Blob,
    CaptionRow,
    ClipRow,
    DetectionRow,
    MaskRow,
    ObjectStats,
    Row,
    SourceRow,
    VideoRow,
)
from mvideo_core.engine.chain import upstream_of
from mvideo_core.engine.plan import PlanOptions, make_plan, part_of
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.store.commit import commit_part
from mvideo_core.store.workspace import Workspace

HEIGHT, WIDTH, FRAMES = 32, 48, 9


def finish(workspace: Workspace, folder, videos: dict[str, int]) -> list[str]:
    """Commit rows of `videos` (id -> number of clips) for all stages; returns the clip keys."""
    made = make_plan(
        workspace, [SourceRow(key=name, uri=f"file:///{name}") for name in videos], PlanOptions(part_size=2)
    )
    rows: dict[str, list[list[Row]]] = {
        stage: [[] for _ in range(made.n_parts)] for stage in ("ingest", "cut", "detect", "segment", "caption")
    }
    keys = []
    for name, n_clips in videos.items():
        part = part_of(name, made.n_parts)
        rows["ingest"][part].append(VideoRow(key=name, parent=name, sha256=f"sha-{name}", title=f"about {name}"))
        for n in range(n_clips):
            key = f"{name}_{n:09d}"
            keys.append(key)
            for stage, row in clip_rows(workspace, folder, name, key, n).items():
                rows[stage][part].append(row)
    for stage, parts in rows.items():
        for index, part_rows in enumerate(parts):
            commit(workspace, stage, index, part_rows)
    return sorted(keys)


def clip_rows(workspace: Workspace, folder, name: str, key: str, n: int) -> dict[str, Row]:
    frames = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    masks = np.zeros((FRAMES, 1, HEIGHT, WIDTH), bool)
    for t in range(FRAMES):
        masks[t, 0, 8:20, 4 + t + n : 20 + t + n] = True
        frames[t][masks[t, 0]] = (200, 40 * (n % 5), 30)
    write_mp4(frames, folder / f"{key}.mp4", fps=8)
    clip = keep(workspace, (folder / f"{key}.mp4").read_bytes(), f"blobs/cut/{key}.mp4")
    code = keep(workspace, encode(masks).to_bytes(), f"blobs/segment/{key}.masks")
    stats = ObjectStats(
        object_id=0, label="dog", detection_score=0.9, mask_score=0.9, visible_frac=1, mean_area_frac=0.1, drift=0.1
    )
    head = {"key": key, "parent": name}
    shape = {"n_frames": FRAMES, "width": WIDTH, "height": HEIGHT}
    return {
        "cut": ClipRow(**head, clip=clip, fps=8, start_s=n, end_s=n + 1, source_sha256=f"sha-{name}", **shape),
        "detect": DetectionRow(key=key, parent=key, labels=["dog"], scores=[0.9], boxes_xyxy=[[4, 8, 20, 20]]),
        "segment": MaskRow(key=key, parent=key, masks=code, objects=[stats], **shape),
        "caption": CaptionRow(key=key, parent=key, text=f"A dog, take {n}.", captioner="motion"),
    }


def keep(workspace: Workspace, content: bytes, path: str) -> Blob:
    workspace.folder.write(path, content)
    return Blob(path=path, sha256=sha256_of(io.BytesIO(content)), size_bytes=len(content))


def commit(workspace: Workspace, stage: str, index: int, rows: list[Row]) -> None:
    classes = {"ingest": VideoRow, "cut": ClipRow, "detect": DetectionRow, "segment": MaskRow, "caption": CaptionRow}
    markers = {name: workspace.current(name, index) for name in upstream_of(stage)}
    inputs = {name: marker.digest for name, marker in markers.items() if marker}
    commit_part(
        workspace, stage=stage, index=index, key=f"{stage}{index}", settings="s", inputs=inputs, options=Options(),
        rows=rows, row_class=classes[stage], n_items=len(rows), n_reused=0, seconds=0.0,
    )  # fmt: skip
