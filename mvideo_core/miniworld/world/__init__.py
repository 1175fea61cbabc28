"""The synthetic world: procedural videos with exact ground truth, to measure every stage without downloads.

```
mvideo world make world/ --videos 8 --split heldout     # mp4 files, and their ground truth in truth/
mvideo world gallery world/                             # world/gallery/index.html: every class, every shot
mvideo accuracy --workspace ws --world world/           # after the pipeline has run on world/
```

The same arguments give the same bytes. In Python:

```python
from mvideo_core.miniworld.world import make_world, read_masks, read_truth, render_shot, sample_frame, sample_shot

still = sample_frame(seed=7, width=288, height=192)      # rgb, boxes_xyxy, labels, masks, ignored_xyxy
spec = sample_shot(seed=7, split="train")                # scene, camera, actors: plain frozen dataclasses
for frame in render_shot(spec, 33, 720, 480, fps=8):     # any size and rate: the same world
    frame.rgb, frame.visible, frame.amodal, frame.boxes(), frame.camera   # (N, H, W) masks of N objects
make_world("world/", n_videos=8, split="heldout")        # source videos of several shots
truth = read_truth("world/truth/mini_heldout_00000.json")
masks = read_masks("world/truth/mini_heldout_00000.json", truth.shots[0])   # MaskSequence, source pixels
```
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
