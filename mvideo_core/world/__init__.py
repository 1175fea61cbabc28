"""The mini world: deterministic procedural video with exact ground truth. See docs/world.md.

    spec = sample_shot(seed=7, split="train")                       # a ShotSpec: scene, camera, actors
    for frame in render_shot(spec, 33, 288, 192, fps=8):       # any size and rate: the same world
        frame.rgb, frame.visible, frame.amodal, frame.boxes()  # (H,W,3) u8, (N,H,W) bool, (N,H,W) bool, (N,4) xyxy
    still = sample_frame(seed=7, width=288, height=192)        # Sample: rgb, boxes_xyxy, labels, masks, ignored_xyxy

Splits "train", "val" and "heldout" are disjoint lists of seeds 0, 1, 2, ...; the seven unseen classes appear only with
`unseen=True`, which no training may use. Same arguments, same bytes.
"""

from mvideo_core.world.kinds import kind_of, kinds, seen_classes, unseen_classes
from mvideo_core.world.render import (
    Sample,
    WorldFrame,
    boxes_of,
    camera_at,
    labelled,
    render_shot,
    render_times,
    sample_frame,
)
from mvideo_core.world.sample import sample_shot
from mvideo_core.world.spec import ActorSpec, CameraSpec, OccluderSpec, Path, SceneSpec, ShotSpec

__all__ = [
    "ActorSpec",
    "CameraSpec",
    "OccluderSpec",
    "Path",
    "Sample",
    "SceneSpec",
    "ShotSpec",
    "WorldFrame",
    "boxes_of",
    "camera_at",
    "kind_of",
    "kinds",
    "labelled",
    "render_shot",
    "render_times",
    "sample_frame",
    "sample_shot",
    "seen_classes",
    "unseen_classes",
]
