"""Test sets as lists of cases: prompts, and mask sequences on the model's grid with their source clips.

root/sets/<name>.jsonl                  one `EvalItem` per line, without a video
root/sets/<name>/<key>.masks, .mp4      masks and source clip on the model's grid, cut to the test's length
"""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.base.errors import ConfigError, StoreError
from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.editing.mask_files import save_masks
from mvideo_core.editing.resample import ResampleOptions, resample
from mvideo_core.evaluation.make_videos import read_prompts
from mvideo_core.evaluation.manifest import EvalItem, read_manifest, write_manifest
from mvideo_core.evaluation.testsets.samples import TestSample, TestSet
from mvideo_core.masks.io.clip import MaskClip, take_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.paper.options import PaperOptions
from mvideo_core.shards.dataset import MaskVideoDataset, Sample

log = logging.getLogger(__name__)

TOO_SHORT, TOO_SMALL = "too short", "with too small a mask on the first frame"
"""Why a sample is left out."""
PROMPTS, MASK_TO_VIDEO, COMPLEX_MOTION = "prompts", "mask-to-video", "complexmotion"


def read_cases(root: Path, name: str) -> tuple[EvalItem, ...]:
    """The cases of a set; their paths are relative to root/sets.

    Raises:
        StoreError: they have not been chosen yet, or the list is damaged.
    """
    try:
        return read_manifest(root / "sets" / f"{name}.jsonl").items
    except ConfigError as error:
        raise StoreError(f"{error}; rerun the step that chooses the test sets") from None


def prompt_cases(options: PaperOptions, root: Path) -> Path:
    """Prompts of tables 2, 4 and 5: a file's lines, or captions of held-out rendered shots.

    Raises:
        ConfigError: the file has fewer lines than requested.
    """
    wanted, path = options.tests.prompts, options.tests.prompts_file
    texts = read_prompts(path)[:wanted] if path else _world_texts(wanted)
    if len(texts) < wanted:
        raise ConfigError(f"{path}: {len(texts)} prompts, {wanted} required (tests.prompts)")
    cases = [
        EvalItem(id=f"prompt-{index:03d}", prompt=text, seed=options.tests.seed + index)
        for index, text in enumerate(texts)
    ]
    return write_manifest(cases, root / "sets" / f"{PROMPTS}.jsonl")


def mask_cases(chosen: TestSet, dataset: str, name: str, options: PaperOptions, grid: VideoFormat, root: Path) -> Path:
    """Cases of a mask test set with a large enough object on the first frame; resizes masks and clips to the grid.

    Args:
        chosen: samples in order of preference.
        dataset: folder of the dataset they are from.

    Raises:
        StoreError: fewer than two samples are large enough.
    """
    held = MaskVideoDataset(dataset)
    places = {key: index for index, key in enumerate(held.keys)}
    place = root / "sets" / name
    place.mkdir(parents=True, exist_ok=True)
    cases: list[EvalItem] = []
    left_out: Counter[str] = Counter()
    for one in chosen.samples:
        if len(cases) == options.tests.samples:
            break
        case = _mask_case(one, held.sample(places[one.key]), options, grid, place)
        if isinstance(case, str):
            left_out[case] += 1
        else:
            cases.append(case.model_copy(update={"seed": options.tests.seed + len(cases)}))
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(left_out.items())) or "none"
    log.info("%s: %d samples; left out: %s", name, len(cases), reasons)
    if len(cases) < 2:
        raise StoreError(
            f"{name}: {len(cases)} of {len(chosen.samples)} samples have a mask of {options.tests.min_area_frac:g} of "
            "the first frame or more and are long enough; two are required: add videos or lower tests.min_area_frac"
        )
    return write_manifest(cases, place.with_suffix(".jsonl"))


def _mask_case(
    one: TestSample, sample: Sample, options: PaperOptions, grid: VideoFormat, place: Path
) -> EvalItem | str:
    """The case, or why the sample is left out."""
    wanted = grid.n_frames(options.tests.sample_clips)
    whole = sample.masks()
    if min(whole.n_frames, one.n_frames) < wanted:
        return TOO_SHORT
    chosen = take_frames(whole.select(one.object_ids), range(wanted))
    if chosen.frame(0).any(axis=0).mean() < options.tests.min_area_frac:
        return TOO_SMALL
    clip = MaskClip(chosen, float(sample.meta()["fps"]), (one.label,) * len(one.object_ids))
    on_grid = resample(clip, grid, ResampleOptions(fit="stretch"))
    save_masks(place / f"{one.key}.masks", on_grid.sequence, on_grid.fps, on_grid.labels)
    write_mp4(list(_shrink(sample.frames()[:wanted], grid)), place / f"{one.key}.mp4", grid.fps, crf=8)
    masks, clip_path = f"{place.name}/{one.key}.masks", f"{place.name}/{one.key}.mp4"
    return EvalItem(id=one.key, prompt=one.caption, masks=masks, source_video=clip_path)


def _shrink(frames_THWC: np.ndarray, grid: VideoFormat) -> Iterator[np.ndarray]:
    import cv2

    for frame in frames_THWC:
        yield cv2.resize(frame, (grid.width_px, grid.height_px), interpolation=cv2.INTER_AREA)


def _world_texts(wanted: int) -> list[str]:
    from mvideo_core.miniworld.world import describe, sample_shot

    return [describe(sample_shot(seed=seed, split="heldout")) for seed in range(wanted)]
