"""World stills for the detector: rendered once to disk, augmented, and paired with varying prompts.

Frames are rendered larger than the model's input and downscaled by area, like a clip's frames: rendered small, they
would have sharper edges and more grain than frames in the pipeline. (Rendering at 480x720 would take too long.)
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvideo_core.base.disk import new_file
from mvideo_core.miniworld.world import coco_classes, sample_frame
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.perception.detection.coco import COCO80

log = logging.getLogger(__name__)

CHUNK_FRAMES = 500
RENDER_HW = (288, 432)
INPUT_HW = (192, 288)
FLIPPABLE = frozenset(coco_classes()) - {"stop sign", "clock"}
GENERAL: dict[str, tuple[str, ...]] = {
    "animal": ("bird", "dog", "elephant", "horse"),
    "vehicle": ("airplane", "bicycle", "boat", "bus", "car"),
}
"""Words that replace several classes in some prompts; "object" replaces all."""


@dataclass(frozen=True, slots=True)
class Still:
    """One training image: boxes are xyxy fractions of the frame; `ignored` boxes are neither positive nor negative."""

    rgb: np.ndarray
    boxes: np.ndarray
    labels: list[str]
    ignored: np.ndarray


def render_chunks(folder: Path, n_frames: int, split: Split = "train") -> list[Path]:
    """Render seeds 0 .. n_frames - 1 into chunks of CHUNK_FRAMES; existing chunks are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for first in range(0, n_frames, CHUNK_FRAMES):
        path = folder / f"{split}_{first:06d}.npz"
        if not path.is_file():
            _render_chunk(path, range(first, min(first + CHUNK_FRAMES, n_frames)), split)
            log.info("rendered %s", path.name)
        paths.append(path)
    return paths


def _render_chunk(path: Path, seeds: Sequence[int], split: Split) -> None:
    import cv2

    height, width = RENDER_HW
    scale = np.array([width, height, width, height], np.float64)
    frames = np.zeros((len(seeds), *INPUT_HW, 3), np.uint8)
    boxes, owners, labels, ignored, ignored_owners = [], [], [], [], []
    for index, seed in enumerate(seeds):
        sample = sample_frame(seed, width, height, split)
        frames[index] = cv2.resize(sample.rgb, INPUT_HW[::-1], interpolation=cv2.INTER_AREA)
        boxes.append(sample.boxes_xyxy / scale)
        labels += list(sample.labels)
        owners += [index] * len(sample.labels)
        ignored.append(sample.ignored_xyxy / scale)
        ignored_owners += [index] * len(sample.ignored_xyxy)
    with new_file(path) as part:
        np.savez(
            part, frames=frames, boxes=np.concatenate(boxes).astype(np.float32), owners=np.array(owners, np.int64),
            labels=np.array(labels), ignored=np.concatenate(ignored).astype(np.float32),
            ignored_owners=np.array(ignored_owners, np.int64),
        )  # fmt: skip


class Stills:
    """All chunks in memory (uint8: 166 kB per frame)."""

    def __init__(self, paths: Sequence[Path]):
        self.chunks = [dict(np.load(path, allow_pickle=False)) for path in paths]
        self.sizes = [len(chunk["frames"]) for chunk in self.chunks]

    def __len__(self) -> int:
        return sum(self.sizes)

    def __getitem__(self, index: int) -> Still:
        for chunk, size in zip(self.chunks, self.sizes, strict=True):
            if index < size:
                mine, unasked = chunk["owners"] == index, chunk["ignored_owners"] == index
                labels = [str(label) for label in chunk["labels"][mine]]
                return Still(chunk["frames"][index], chunk["boxes"][mine], labels, chunk["ignored"][unasked])
            index -= size
        raise IndexError(index)


def augment(still: Still, rng: np.random.Generator) -> Still:
    """Mirror (unless it contains text), shift and scale by up to a quarter, recolor, blur or add noise."""
    import cv2

    rgb, boxes, ignored = still.rgb, still.boxes.copy(), still.ignored.copy()
    if rng.random() < 0.5 and FLIPPABLE.issuperset(still.labels):
        rgb = rgb[:, ::-1]
        boxes[:, [0, 2]], ignored[:, [0, 2]] = 1 - boxes[:, [2, 0]], 1 - ignored[:, [2, 0]]
    if rng.random() < 0.5:
        rgb, boxes, ignored, labels = _move(rgb, boxes, ignored, still.labels, rng)
    else:
        labels = still.labels
    gain, shift = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.8, 1.2), rng.uniform(-20, 20)
    level = np.clip(np.arange(256)[:, None] * gain + shift, 0, 255).astype(np.uint8)
    rgb = cv2.LUT(np.ascontiguousarray(rgb), level[None])
    if rng.random() < 0.15:
        rgb = cv2.GaussianBlur(rgb, (3, 3), rng.uniform(0.3, 1.0))
    elif rng.random() < 0.15:
        noise = rng.normal(0, rng.uniform(1, 6), rgb.shape)
        rgb = np.clip(rgb + noise, 0, 255).astype(np.uint8)
    return Still(rgb, boxes, labels, ignored)


def _move(
    rgb: np.ndarray, boxes: np.ndarray, ignored: np.ndarray, labels: list[str], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Scale 0.75 .. 1.3 about a random point, edges mirrored; a box that loses over half its area is ignored."""
    import cv2

    height, width = rgb.shape[:2]
    scale = rng.uniform(0.8, 1.3)
    dx, dy = rng.uniform(-0.5, 0.5, 2) * abs(scale - 1) + rng.uniform(-0.06, 0.06, 2)
    tx, ty = (1 - scale) / 2 + dx, (1 - scale) / 2 + dy
    matrix = np.array([[scale, 0, tx * width], [0, scale, ty * height]])
    moved = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(110, 110, 110))
    shift = np.array([tx, ty, tx, ty], np.float32)
    placed, others = boxes * scale + shift, np.clip(ignored * scale + shift, 0, 1)
    clipped = np.clip(placed, 0, 1)
    kept = _area(clipped) >= np.maximum(0.5 * _area(placed), 0.001)
    visible = _area(clipped) > 0
    ignored = np.concatenate([others, clipped[~kept & visible]]).astype(np.float32)
    return moved, clipped[kept].astype(np.float32), ignored, [x for x, k in zip(labels, kept, strict=True) if k]


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def sample_prompt(present: set[str], rng: np.random.Generator) -> tuple[list[str], dict[str, str]]:
    """Phrases of the prompt, and class -> its phrase (missing = background in this batch).

    A fifth of the prompts are COCO-80 in order, as in the pipeline; the others mix present and absent classes, and some
    use "animal", "vehicle" or "object" instead.
    """
    kind = rng.random()
    if kind < 0.22:
        return list(COCO80), {name: name for name in COCO80}
    if kind < 0.28:
        return ["object"], dict.fromkeys(COCO80, "object")
    names = {name: name for name in present if rng.random() > 0.08}
    if kind < 0.4:
        for word, members in GENERAL.items():
            if rng.random() < 0.8:
                names |= dict.fromkeys(members, word)
    absent = [name for name in COCO80 if name not in present and name not in names]
    extra = rng.choice(absent, size=int(rng.integers(0, 24)), replace=False)
    phrases = sorted({names[name] for name in names} | set(map(str, extra)))
    phrases = phrases or ["person"]
    order = rng.permutation(len(phrases))
    return [phrases[i] for i in order], names | {str(name): str(name) for name in extra}


def batches(
    stills: Stills, batch_size: int, seed: int, first_step: int = 0
) -> Iterator[tuple[list[Still], list[str], dict[str, str]]]:
    """Endless (stills, phrases, class -> phrase); step k does not depend on where training resumed."""
    step = first_step
    while True:
        rng = np.random.default_rng([seed, step])
        chosen = [augment(stills[int(i)], rng) for i in rng.integers(0, len(stills), batch_size)]
        phrases, names = sample_prompt({label for still in chosen for label in still.labels}, rng)
        yield chosen, phrases, names
        step += 1
