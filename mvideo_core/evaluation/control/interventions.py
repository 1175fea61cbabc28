"""`mvideo eval interventions` writes the items with their edited masks, ready for generation:

    manifest.jsonl           the items, each with its interventions; videos are expected in videos/
    masks/<id>.masks         unedited masks, with the length of the videos
    masks/<id>+<edit>.masks  edited masks: same frames, objects and size

An intervention is one edit applied to one item, with its masks and its video:

    {"id": "cat-0", "video": "videos/cat-0.mp4", "prompt": "a cat runs", "masks": "masks/cat-0.masks",
     "interventions": [{"edit": "shift", "masks": "masks/cat-0+shift.masks", "video": "videos/cat-0+shift.mp4"}]}

You can also use edits of your own. Their masks must have the same frames, objects and size as the item's masks; leave
the masks of a dropped object empty. If you know where the objects are in the videos (from rendering, or from your own
tracker), put the paths of these masks into the field `seen_masks` of the item and of each intervention. Then set the
metric's option `judge` to `silhouettes`, so that it uses these masks instead of a segmenter.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mvideo_core.base.errors import ConfigError, MediaError
from mvideo_core.editing.mask_files import load_masks, save_masks
from mvideo_core.evaluation.control.edits import EDITS, EditedMasks, check_names, make_edits
from mvideo_core.evaluation.guides import file_name_of
from mvideo_core.evaluation.manifest import EvalItem, Intervention, write_manifest
from mvideo_core.evaluation.scores import masks_digest
from mvideo_core.masks.io.clip import MaskClip, take_frames


class Written(NamedTuple):
    """What was written.

    Attributes:
        path: of the manifest.
        n_items, n_edits: in it.
        left_out: "cat-0, swap: why" for each edit that does not apply to the clip.
        unusable: "cat-0: why" for each item that is not in the manifest.
    """

    path: Path
    n_items: int
    n_edits: int
    left_out: tuple[str, ...]
    unusable: tuple[str, ...]


def write_interventions(
    items: Sequence[EvalItem], out: Path, edits: tuple[str, ...] = EDITS, videos: str = "videos",
    seconds: float | None = None,
) -> Written:  # fmt: skip
    """Edit the masks of every item, and write masks and manifest.

    Args:
        items: paths absolute. Their present videos and interventions are replaced by the ones to be made.
        edits: names of `EDITS`.
        videos: folder of the videos, relative to `out`: <id>.mp4 and <id>+<edit>.mp4.
        seconds: length of the videos; masks end there. None = as each item states, or as long as its masks.

    Raises:
        ConfigError: an unknown edit, or no item can be edited. StoreError: the disk refuses.
    """
    check_names(edits)
    made: list[EvalItem] = []
    left_out: list[str] = []
    unusable: list[str] = []
    for item in items:
        try:
            clip = _cut(item, seconds)
            found, useless = make_edits(clip, edits)
        except (ConfigError, MediaError) as error:
            unusable.append(f"{item.id}: {error}")
            continue
        left_out += [f"{item.id}, {name}: {why}" for name, why in useless.items()]
        if found:
            made.append(_write(item, clip, found, out, videos))
        else:
            unusable.append(f"{item.id}: none of the edits has an effect")
    if not made:
        raise ConfigError(
            f"no item of {len(items)} can be edited; {unusable[0] if unusable else 'the manifest is empty'}"
        )
    path = write_manifest(made, out / "manifest.jsonl")
    n_edits = sum(len(item.interventions) for item in made)
    return Written(path, len(made), n_edits, tuple(left_out), tuple(unusable))


def _cut(item: EvalItem, seconds: float | None) -> MaskClip:
    """The item's masks, as long as its video. Raises ConfigError: none, or they end before it."""
    if not item.masks:
        raise ConfigError("it has no masks to edit")
    clip = load_masks(item.masks)
    length_s = seconds if seconds is not None else item.seconds
    if length_s is None:
        return clip
    n_frames = math.floor(length_s * clip.fps + 1e-6) + 1
    if n_frames > clip.sequence.n_frames:
        raise ConfigError(
            f"its masks have {clip.sequence.n_frames} frames at {clip.fps:g} fps and {length_s:g} s need {n_frames}; "
            "give shorter --seconds"
        )
    return clip._replace(sequence=take_frames(clip.sequence, range(n_frames)))


def _write(item: EvalItem, clip: MaskClip, edits: Sequence[EditedMasks], out: Path, videos: str) -> EvalItem:
    def keep(name: str, masks: MaskClip) -> tuple[str, str]:
        save_masks(out / f"masks/{name}.masks", masks.sequence, masks.fps, masks.labels)
        return f"masks/{name}.masks", f"{videos}/{name}.mp4"

    name = file_name_of(item.id)
    own, video = keep(name, clip)
    under = []
    for one in edits:
        path, made = keep(file_name_of(f"{item.id}+{one.edit}"), one.masks)
        under.append(Intervention(edit=one.edit, masks=path, video=made))
    known = {
        "masks": own,
        "video": video,
        "seen_masks": "",
        "sample_masks_sha256": item.sample_masks_sha256 or masks_digest(item.masks),
        "interventions": tuple(under),
    }
    return item.model_copy(update=known)
