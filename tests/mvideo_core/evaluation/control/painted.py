"""Videos of squares under edits, as files, and a segmenter that follows colors."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.evaluation.control.interventions import write_interventions
from mvideo_core.evaluation.manifest import EvalItem, absolute_items, flatten_items, read_manifest, write_manifest
from mvideo_core.masks import MaskSequence
from mvideo_core.media.encode import write_mp4
from mvideo_core.perception.segmentation.base import FrameMasks
from tests.fixtures.control_oracles import paint
from tests.mvideo_core.evaluation.control.drawn import N_FRAMES, squares

COLORS = ((230, 40, 30), (40, 60, 230))
LARGER = 4
"""Videos are this many times as large as their masks: H.264 keeps colors at half the size."""
MOVING = squares(10 + np.arange(N_FRAMES), 60)


class ColorSegmenter:
    """Follows the color that the middle of a box has on frame 0, wherever it is. Stands for a perfect tracker."""

    model_name, weights_sha256 = "colors", "0" * 64

    def propagate(self, frames, height, width, boxes_xyxy):
        colors = None
        for frame in frames:
            if colors is None:
                middle = ((boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2).round().astype(int)
                colors = frame[middle[:, 1], middle[:, 0]].astype(int)
            found = np.abs(frame[None].astype(int) - colors[:, None, None]).max(axis=-1) < 60
            yield FrameMasks(found, np.ones(len(boxes_xyxy), np.float32))


def write_set(folder: Path, masks: MaskSequence = MOVING, n_items: int = 1, **known: object) -> Path:
    """Items of these masks with the standard edits. Returns: the manifest."""
    save_masks(folder / "own.masks", masks, 8.0, ["dog", "cat"])
    items = [
        EvalItem(id=f"{n}", system="drawn", prompt=f"prompt {n}", masks=str(folder / "own.masks")).model_copy(
            update=known
        )
        for n in range(n_items)
    ]
    return write_interventions(items, folder / "set").path


def paint_videos(manifest: Path, system: Callable[[MaskSequence], MaskSequence], seen: bool = False) -> None:
    """What a system would draw, at the places that the manifest names; with silhouettes beside it."""
    known = read_manifest(manifest)
    for item in flatten_items(absolute_items(known)):
        drawn = system(load_masks(item.masks).sequence)
        large = paint(drawn, COLORS, background=120).repeat(LARGER, axis=1).repeat(LARGER, axis=2)
        write_mp4(iter(large), Path(item.video), 8.0)
        save_masks(Path(item.video).with_suffix(".masks"), drawn, 8.0, ["", ""])
    if not seen:
        return

    def beside(video: str) -> str:
        return str(Path(video).with_suffix(".masks"))

    items = [
        item.model_copy(
            update={
                "seen_masks": beside(item.video),
                "interventions": tuple(
                    one.model_copy(update={"seen_masks": beside(one.video)}) for one in item.interventions
                ),
            }
        )
        for item in known.items
    ]
    write_manifest(items, manifest)
