"""The mini world: deterministic procedural video with exact ground truth. See docs/world.md.

    spec = sample_shot(seed=7, split="train")                       # a ShotSpec: scene, camera, actors
    for frame in render_shot(spec, 33, 288, 192, fps=8):       # any size and frame rate: the same world
        frame.rgb, frame.visible, frame.amodal, frame.boxes()  # (H,W,3) u8, (N,H,W) bool, (N,H,W) bool, (N,4) xyxy
    still = sample_frame(seed=7, width=288, height=192)        # Sample: rgb, boxes_xyxy, labels, masks, ignored_xyxy

Splits "train", "val" and "heldout" are disjoint lists of seeds 0, 1, 2, ...; the seven unseen classes appear only with
`unseen=True`, which must not be used for training. Same arguments, same bytes.

    make_world("world/", n_videos=8, split="heldout")              # multi-shot mp4s with a truth file each
    truth = read_truth("world/truth/mini_heldout_00000.json")      # cuts, shots, objects per frame, captions, camera
    masks = read_masks("world/truth/mini_heldout_00000.json", truth.shots[0])   # MaskSequence, source pixels
    make_gallery("world/")                                         # index.html and a contact sheet of every class
"""

from mvideo_core.miniworld.world.captions import describe
from mvideo_core.miniworld.world.gallery import make_gallery
from mvideo_core.miniworld.world.kinds import coco_classes, kind_of, kinds, unseen_classes
from mvideo_core.miniworld.world.make import make_world, write_source
from mvideo_core.miniworld.world.render import (
    Sample,
    WorldFrame,
    boxes_of,
    camera_at,
    label_objects,
    render_shot,
    render_times,
    sample_frame,
)
from mvideo_core.miniworld.world.sample import sample_shot
from mvideo_core.miniworld.world.source import SourceSpec, render_source, sample_source
from mvideo_core.miniworld.world.spec import ActorSpec, CameraSpec, OccluderSpec, Path, SceneSpec, ShotSpec
from mvideo_core.miniworld.world.truth import SourceTruth, TruthCut, TruthObject, TruthShot, read_masks, read_truth

__all__ = [
    "ActorSpec",
    "CameraSpec",
    "OccluderSpec",
    "Path",
    "Sample",
    "SceneSpec",
    "ShotSpec",
    "SourceSpec",
    "SourceTruth",
    "TruthCut",
    "TruthObject",
    "TruthShot",
    "WorldFrame",
    "boxes_of",
    "camera_at",
    "coco_classes",
    "describe",
    "kind_of",
    "kinds",
    "label_objects",
    "make_gallery",
    "make_world",
    "read_masks",
    "read_truth",
    "render_shot",
    "render_source",
    "render_times",
    "sample_frame",
    "sample_shot",
    "sample_source",
    "unseen_classes",
    "write_source",
]
