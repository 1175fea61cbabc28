"""Gallery pages: a sheet of every class, and for a folder of world videos, a strip per shot with ground truth."""

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.listing import visible_files
from mvideo_core.masks.draw import draw_box, draw_outlines, tile
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_png
from mvideo_core.miniworld.world.kinds import kinds
from mvideo_core.miniworld.world.raster import fill
from mvideo_core.miniworld.world.render import sample_frame
from mvideo_core.miniworld.world.sample import draw_look
from mvideo_core.miniworld.world.truth import SourceTruth, read_masks, read_truth
from mvideo_core.pages.kit import page_html

INK = ((230, 60, 60), (250, 210, 60), (60, 200, 230), (230, 90, 220), (90, 220, 110), (245, 245, 245))


def class_sheet(n_each: int = 4, cell_w: int = 260, cell_h: int = 200) -> np.ndarray:
    """(H, W, 3) uint8: `n_each` individuals of every class, labeled, eight cells per row."""
    import cv2

    tiles = []
    for name, one in kinds().items():
        for index in range(n_each):
            rng = random.Random(f"{name}{index}")
            action = one.actions[index % len(one.actions)]
            cell = np.full((cell_h, cell_w, 3), (170, 190, 170), np.uint8)
            scale = 0.74 * cell_h / max(1.0, one.aspect * 0.68)
            view = np.array([[scale, 0.0, cell_w / 2], [0.0, scale, cell_h * (0.5 if one.place == "sky" else 0.92)]])
            fill(cell, one.draw(draw_look(rng, one), action.name, index * 1.7 + 0.4), view)
            label = f"{name}: {action.name}" + (" (unseen)" if one.unseen else "")
            cv2.putText(cell, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
            tiles.append(cell)
    return tile(tiles, 8, fill=0)


def shot_sheet(seeds: range, unseen: bool = False, width: int = 360, height: int = 240) -> np.ndarray:
    """(H, W, 3) uint8: one labeled still per seed, five per row."""
    tiles = []
    for seed in seeds:
        still = sample_frame(seed, width, height, "val", unseen)
        tiles.append(with_boxes(still.rgb, still.boxes_xyxy, still.labels))
    return tile(tiles, 5, fill=0)


def make_gallery(folder: str | Path) -> Path:
    """Write `gallery/index.html` in a world folder: class sheet, stills, each video's cuts, shots, captions, strips.

    Returns:
        Path of the page.
    """
    folder = Path(folder)
    out = folder / "gallery"
    write_png(out / "classes.png", class_sheet())
    write_png(out / "stills.png", shot_sheet(range(20)))
    write_png(out / "unseen.png", shot_sheet(range(10), unseen=True))
    sheets = [
        ("classes.png", "All classes, four individuals each"),
        ("stills.png", "Validation stills with true boxes"),
        ("unseen.png", "Stills with unseen classes"),
    ]
    videos = [_video_section(folder, out, path) for path in visible_files(folder / "truth", ".json")]
    page = out / "index.html"
    write_whole(page, page_html(Path(__file__).parent, "Mini world", sheets=sheets, videos=videos))
    return page


class VideoSection(NamedTuple):
    """A video on the page. `file`: relative to the page; `strips`: image, times and caption of each shot."""

    name: str
    about: str
    file: str
    strips: list[tuple[str, str]]


def _video_section(folder: Path, out: Path, path: Path) -> VideoSection:
    truth = read_truth(path)
    cuts = (
        ", ".join(f"{cut.kind} at {cut.time_s:.2f} s ({cut.end_s - cut.start_s:.2f} s)" for cut in truth.cuts)
        or "no cut"
    )
    strips = []
    for shot, strip in zip(truth.shots, _strips(folder, truth, path), strict=True):
        name = f"{truth.name}.shot{shot.index:03d}.png"
        write_png(out / name, strip)
        strips.append((name, f"{shot.start_s:.2f} to {shot.end_s:.2f} s: {shot.caption}"))
    about = f"{truth.width} x {truth.height}, {truth.fps:.2f} frames/s, {truth.n_frames} frames; {cuts}"
    return VideoSection(truth.name, about, f"../{truth.video}", strips)


def _strips(folder: Path, truth: SourceTruth, path: Path, n: int = 6, height: int = 160) -> list[np.ndarray]:
    picks = [[round((index + 0.5) * shot.n_frames / n) for index in range(n)] for shot in truth.shots]
    wanted = {shot.first_frame + pick for shot, some in zip(truth.shots, picks, strict=True) for pick in some}
    frames = {index: rgb for index, rgb in enumerate(read_frames(folder / truth.video)) if index in wanted}
    strips = []
    for shot, some in zip(truth.shots, picks, strict=True):
        masks = read_masks(path, shot)
        width_px = max(1, truth.height // 180)
        drawn = [draw_outlines(frames[shot.first_frame + pick], masks.frame(pick), INK, width_px) for pick in some]
        strips.append(np.concatenate([_scale(one, height) for one in drawn], axis=1))
    return strips


def with_boxes(rgb: np.ndarray, boxes: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """A copy of the frame with labeled boxes."""
    import cv2

    out = rgb.copy()
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        out = draw_box(out, box, INK[index % len(INK)], 1)
        corner = round(box[0]), max(10, round(box[1]) - 3)
        cv2.putText(out, label, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return out


def _scale(rgb: np.ndarray, height: int) -> np.ndarray:
    import cv2

    return cv2.resize(rgb, (round(rgb.shape[1] * height / rgb.shape[0]), height), interpolation=cv2.INTER_AREA)
