"""Test sets as lists of what is to be made: texts, and mask sequences on the model's grid with their source clips.

root/sets/<name>.jsonl                  one `TestCase` a line
root/sets/<name>/<key>.masks, .mp4      masks and source clip on the model's grid, cut to the length of the test
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from mvideo_core.editing.clip import MaskClip
from mvideo_core.editing.resample import ResampleOptions, resample
from mvideo_core.editing.sequence import save_masks
from mvideo_core.errors import ConfigError, StoreError
from mvideo_core.masks import encode
from mvideo_core.media.encode import write_mp4
from mvideo_core.model.video_format import VideoFormat
from mvideo_core.paper.options import PaperOptions
from mvideo_core.records import Record
from mvideo_core.shards.dataset import MaskVideoDataset, Sample
from mvideo_core.testsets.samples import TestSample, TestSet

PROMPTS, MASK_TO_VIDEO, COMPLEX_MOTION = "prompts", "mask-to-video", "complexmotion"


class TestCase(Record):
    """One video to be made by every system of a table.

    Attributes:
        id: the same in every system, so that systems are compared in pairs.
        masks, source_video: paths relative to the file's folder; "" for a text alone.
        label: class of the guiding object.
        seed: of the noise.
    """

    __test__ = False

    id: str
    prompt: str
    seed: int
    masks: str = ""
    source_video: str = ""
    label: str = ""


def write_cases(cases: list[TestCase], path: Path) -> Path:
    """One JSON object a line, the file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text("".join(json.dumps(one.model_dump(mode="json")) + "\n" for one in cases), encoding="utf-8")
    partial.replace(path)
    return path


def read_cases(path: str | Path) -> list[TestCase]:
    """A written list.

    Raises:
        StoreError: it is not there or damaged.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        return [TestCase.model_validate_json(line) for line in lines]
    except (OSError, ValidationError) as error:
        raise StoreError(f"{path}: no list of test cases ({error}); run the step that makes it again") from None


def prompt_cases(options: PaperOptions, root: Path) -> Path:
    """Texts of tables 2, 4 and 5: a file's lines, or captions of held-out drawn shots.

    Raises:
        ConfigError: the file has fewer lines than asked for.
    """
    wanted = options.tests.prompts
    texts = list(_texts(options.tests.prompts_file, wanted))
    if len(texts) < wanted:
        raise ConfigError(f"{options.tests.prompts_file}: {len(texts)} texts, {wanted} wanted (tests.prompts)")
    cases = [
        TestCase(id=f"prompt-{index:03d}", prompt=text, seed=options.tests.seed + index)
        for index, text in enumerate(texts)
    ]
    return write_cases(cases, root / "sets" / f"{PROMPTS}.jsonl")


def mask_cases(chosen: TestSet, dataset: str, name: str, options: PaperOptions, grid: VideoFormat, root: Path) -> Path:
    """Cases of a mask test set whose object is large enough on the first frame, masks and clips brought to the grid.

    Args:
        chosen: samples in the order of preference.
        dataset: folder of the dataset that holds them.

    Raises:
        StoreError: fewer than two samples are large enough.
    """
    held = MaskVideoDataset(dataset)
    place = root / "sets" / name
    place.mkdir(parents=True, exist_ok=True)
    cases: list[TestCase] = []
    for one in chosen.samples:
        if len(cases) == options.tests.samples:
            break
        case = _mask_case(one, held.sample(list(held.keys).index(one.key)), options, grid, place)
        if case is not None:
            cases.append(case.model_copy(update={"seed": options.tests.seed + len(cases)}))
    if len(cases) < 2:
        raise StoreError(
            f"{name}: {len(cases)} of {len(chosen.samples)} samples have a mask of {options.tests.min_area_frac:g} of "
            "the first frame or more and are long enough; two are needed: give more videos or lower tests.min_area_frac"
        )
    return write_cases(cases, place.with_suffix(".jsonl"))


def _mask_case(
    one: TestSample, sample: Sample, options: PaperOptions, grid: VideoFormat, place: Path
) -> TestCase | None:
    wanted = grid.n_frames(options.tests.sample_clips)
    whole = sample.masks()
    if whole.n_frames < wanted or one.n_frames < wanted:
        return None
    planes = np.stack([np.stack([whole.mask(t, n) for n in one.object_ids]) for t in range(wanted)])  # (T, N, H, W)
    if planes[0].any(axis=0).mean() < options.tests.min_area_frac:
        return None
    clip = MaskClip(encode(planes), float(sample.meta()["fps"]), (one.label,) * len(one.object_ids))
    on_grid = resample(clip, grid, ResampleOptions(fit="stretch"))
    save_masks(place / f"{one.key}.masks", on_grid.sequence, on_grid.fps, on_grid.labels)
    write_mp4(list(_shrunk(sample.frames()[:wanted], grid)), place / f"{one.key}.mp4", grid.fps, crf=8)
    masks, clip_path = f"{place.name}/{one.key}.masks", f"{place.name}/{one.key}.mp4"
    return TestCase(id=one.key, prompt=one.caption, seed=0, masks=masks, source_video=clip_path, label=one.label)


def _shrunk(frames_THWC: np.ndarray, grid: VideoFormat) -> Iterator[np.ndarray]:
    import cv2

    for frame in frames_THWC:
        yield cv2.resize(frame, (grid.width_px, grid.height_px), interpolation=cv2.INTER_AREA)


def _texts(path: str, wanted: int) -> Iterator[str]:
    if path:
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(f"tests.prompts_file={path}: cannot be read: {error}") from None
        yield from [line.strip() for line in lines if line.strip()][:wanted]
        return
    from mvideo_core.world import describe, sample_shot

    for seed in range(wanted):
        yield describe(sample_shot(seed=seed, split="heldout"))
