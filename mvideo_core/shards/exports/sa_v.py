"""SA-V, the dataset of SAM 2: a clip, and a JSON file with COCO run lengths per frame and object."""

import json
from pathlib import Path

from mvideo_core.base.disk import write_whole
from mvideo_core.masks.io.coco_rle import coco_rle
from mvideo_core.masks.measure import areas
from mvideo_core.shards.exports import EXPORTS, Clip, Entries, Entry, ExportFormat
from mvideo_core.shards.exports._files import write_clip


@EXPORTS.register("sa-v")
class SaV(ExportFormat):
    """Files: `SPLIT/KEY.mp4` and `SPLIT/KEY_manual.json`; `caption`, `source` and `masklet_label` are additions that
    other readers ignore.

    Every frame has masks, so set the reader's `annot_sample_rate` (or `ann_every`) to 1; its default, 4, is for SA-V's
    own annotations. There is no field `fps`, because SAM 2's loader would take it as the rate of the masks, which must
    divide 24.
    """

    title = "SA-V (SAM 2's SAVDataset and training code, pycocotools)"
    losses = ()

    def write_sample(self, out: Path, clip: Clip) -> Entry:
        """The clip and its JSON."""
        masks = clip.masks
        write_clip(out, clip, ".")
        sizes = areas(masks)
        mean_px = (sizes.sum(axis=0) / max(masks.n_frames, 1)).tolist()
        visible = sizes > 0
        facts = {
            "video_id": clip.key, "video_duration": masks.n_frames / clip.fps, "video_frame_count": masks.n_frames,
            "video_height": masks.height, "video_width": masks.width, "video_resolution": masks.height * masks.width,
            "video_split": clip.split, "caption": clip.text, "source": clip.source,
            "masklet": [
                [coco_rle(masks.mask(frame, obj)) for obj in range(masks.n_objects)] for frame in range(masks.n_frames)
            ],
            "masklet_id": list(clip.object_ids), "masklet_label": list(clip.labels),
            "masklet_size_abs": mean_px, "masklet_size_rel": [one / (masks.height * masks.width) for one in mean_px],
            "masklet_visibility_changes": (visible[1:] != visible[:-1]).sum(axis=0).tolist(),
            "masklet_first_appeared_frame": visible.argmax(axis=0).tolist(),
            "masklet_frame_count": [masks.n_frames] * masks.n_objects,
            "masklet_type": ["manual"] * masks.n_objects, "masklet_num": masks.n_objects,
        }  # fmt: skip
        write_whole(out / clip.split / f"{clip.key}_manual.json", json.dumps(facts, ensure_ascii=False) + "\n")
        return {}

    def finish(self, out: Path, entries: Entries) -> None:
        """SA-V has no list of its videos."""
