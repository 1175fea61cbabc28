"""Fit trust: trees that predict the IoU of a mask with the truth, and the limits that keep the wrong masks out.

    python -m mvideo_core.miniworld.training.trust build/trust                              # draws clips and fits
    python -m mvideo_core.miniworld.training.trust build/own --workspace ws --truth masks/  # your own footage

Rendered clips come from the train split; the script continues where it was stopped. Your own footage needs a run with
`segment.trust.features: true` and, for each clip to use, a file of masks (any form that `mvideo masks` reads) named
after its key. The result is `trust.json`.

The limits must not come from masks that the trees were fitted to, so the videos are divided into five parts: each part
is predicted by the trees of the other four, and the result is the mean of all five groups of trees. The limits then
hold approximately, not strictly as with a set of clips for the limits alone (Barber et al. 2021, arXiv:1905.02928), but
half as many clips are enough. `benchmarks.trust` checks them on held-out clips.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.one_line import errors_in_one_line
from mvideo_core.engine.loaded_models import weights_digests
from mvideo_core.miniworld.training.trust_data import Clip, Collector, Labeled, label_workspace, read_clip
from mvideo_core.miniworld.training.trust_trees import (
    NEVER,
    WRONG_IOU,
    TreeOptions,
    Trees,
    auroc,
    find_limit,
    fit_scale,
    grow,
)
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.options import SegmentOptions
from mvideo_core.perception.segmentation.trust import FILE, Bounds, TrustModel
from mvideo_core.perception.segmentation.trust_features import FEATURES

log = logging.getLogger(__name__)

RIGHT_IOU, SHARE = 0.7, 0.95
FOLDS = 5
FIRST_SEED = 900_000
"""Far from the shots that the mini models were trained on."""
KEYFRAMES_EVERY = 6
"""Every how many clips detection looks at keyframes, otherwise at the first frame."""


class Masks(NamedTuple):
    """All masks of some clips.

    Attributes:
        features, j: (M, F), (M,).
        clip, masklet: (M,) numbers.
    """

    features: np.ndarray
    j: np.ndarray
    clip: np.ndarray
    masklet: np.ndarray


def gather(clips: Sequence[Labeled]) -> Masks:
    """Masks of clips in which something was tracked."""
    parts: list[tuple[np.ndarray, ...]] = []
    n_masklets = 0
    for number, clip in enumerate(clips):
        t, n = np.nonzero(~np.isnan(clip.j) & ~np.isnan(clip.features[..., 0]))
        parts.append((clip.features[t, n], clip.j[t, n], np.full(len(t), number), n + n_masklets))
        n_masklets += clip.j.shape[1]
    if not sum(len(part[1]) for part in parts):
        raise ConfigError("trust: no masks with known truth in these clips; are they tracked, and is the truth theirs?")
    return Masks(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(
    clips: Sequence[Labeled], videos: Sequence[int], segmenter: str, weights: dict[str, str], data: str,
    options: TreeOptions | None = None,
) -> TrustModel:  # fmt: skip
    """Trees and limits.

    Args:
        videos: number of each clip's video; clips of one video are not divided.

    Raises:
        ConfigError: no masks with known truth, or clips of one video only.
    """
    options = options or TreeOptions()
    masks, part_of_clip = gather(clips), np.unique(videos, return_inverse=True)[1] % FOLDS
    if not part_of_clip.any():
        raise ConfigError(f"trust: {len(clips)} clips of one video; at least 2 videos are needed, 50 are better")
    model = TrustModel(
        segmenter=segmenter, weights=weights, data=data, features=list(FEATURES), columns=[], limits=[], values=[],
        bounds=Bounds(iou=RIGHT_IOU, share=SHARE, frames=NEVER, masklets=NEVER, clips=len(clips)),
    )  # fmt: skip
    part, sums, grown = part_of_clip[masks.clip], np.zeros(len(masks.j)), []
    for number in np.unique(part):
        inside = part == number
        trees = grow(masks.features[~inside], masks.j[~inside], masks.masklet[~inside], options)
        sums[inside] = model.model_copy(update=trees._asdict()).sum_of_trees(masks.features[inside])
        grown.append(trees)
    slope, offset = fit_scale(sums, masks.j)
    trust = 1 / (1 + np.exp(-(slope * sums + offset)))
    wrong = masks.j < WRONG_IOU
    log.info(
        "clips that the trees have not seen: AUROC of J < %g %.3f (segmenter's score alone: %.3f), mean error %.3f",
        WRONG_IOU, auroc(trust, wrong), auroc(masks.features[:, 0], wrong), np.abs(trust - masks.j).mean(),
    )  # fmt: skip
    scale = {"slope": round(slope / len(grown), 6), "offset": round(offset, 6)}
    every = {name: [tree for trees in grown for tree in getattr(trees, name)] for name in Trees._fields}
    return model.model_copy(update=every | scale | {"bounds": find_bounds(masks, trust, len(clips))})


def find_bounds(masks: Masks, trust: np.ndarray, n_clips: int) -> Bounds:
    """The limits for masks and for whole masklets, from trust (M,) by trees that have not seen the clips."""
    sums, counts = np.bincount(masks.masklet, trust), np.bincount(masks.masklet)
    means = (sums / np.maximum(counts, 1))[masks.masklet]
    of_clip = [masks.clip == number for number in np.unique(masks.clip)]
    right = [masks.j[chosen] >= RIGHT_IOU for chosen in of_clip]
    at = [find_limit([values[chosen] for chosen in of_clip], right, SHARE) for values in (trust, means)]
    return Bounds(iou=RIGHT_IOU, share=SHARE, frames=at[0], masklets=at[1], clips=n_clips)


def write_model(path: Path, model: TrustModel) -> None:
    """Write the JSON file."""
    write_whole(path, json.dumps(model.model_dump(mode="json"), separators=(",", ":")) + "\n")


def _load_drawn(folder: Path, n_clips: int, profile: str) -> tuple[list[Labeled], list[int], SegmentOptions]:
    """Clips of the synthetic world, each a video of its own."""
    collector, found = Collector(profile), []
    for seed in range(FIRST_SEED, FIRST_SEED + n_clips):
        when = "keyframes" if seed % KEYFRAMES_EVERY == KEYFRAMES_EVERY - 1 else "first"
        found.append(read_clip(collector.collect(Clip("train", seed, "plain", when), folder)))
    return found, list(range(n_clips)), collector.segment


def _own(folder: Path, workspace: str, truth: Path) -> tuple[list[Labeled], list[int], SegmentOptions]:
    """Clips of a run."""
    by_video, options = label_workspace(workspace, truth, folder)
    placed = [(number, path) for number, video in enumerate(sorted(by_video)) for path in by_video[video]]
    return [read_clip(path) for _, path in placed], [number for number, _ in placed], options


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for the measured clips and the result")
    parser.add_argument("--clips", type=int, default=120, help="rendered clips")
    parser.add_argument("--profile", default="", help="data profile of the rendered clips' models; default: mini")
    parser.add_argument("--workspace", default="", help="use the clips of this run instead of rendered ones")
    parser.add_argument("--truth", type=Path, help="folder of its masks, <clip key>.masks or another form")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with errors_in_one_line():
        if given.workspace and given.truth is None:
            raise ConfigError("--workspace needs --truth, the folder with the true masks of its clips")
        if given.workspace:
            clips, videos, options = _own(given.folder, given.workspace, given.truth)
            data = f"{given.workspace}: {len(clips)} clips of {len(set(videos))} videos"
        else:
            clips, videos, options = _load_drawn(given.folder, given.clips, given.profile)
            data = f"{len(clips)} clips of the synthetic world, 384 x 256 px, 8 fps"
        weights = weights_digests(SEGMENTERS, options.segmenter, options.segmenter_options, "segmenter")
        model = fit(clips, videos, options.segmenter, weights, data)
        write_model(given.folder / FILE, model)
        print(f"{given.folder / FILE}: {model.data}")
        print(f"limits: trust of a mask {model.bounds.frames:g}, mean trust of an object {model.bounds.masklets:g}")


if __name__ == "__main__":
    main()
