"""Pages for human eyes: one sheet of every class, and for a folder of world videos a strip per shot with its truth."""

import html
import random
from pathlib import Path

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.base.listing import visible_files
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_png
from mvideo_core.miniworld.world.kinds import kinds
from mvideo_core.miniworld.world.raster import fill
from mvideo_core.miniworld.world.render import sample_frame
from mvideo_core.miniworld.world.sample import draw_look
from mvideo_core.miniworld.world.truth import SourceTruth, read_masks, read_truth

INK = ((230, 60, 60), (250, 210, 60), (60, 200, 230), (230, 90, 220), (90, 220, 110), (245, 245, 245))


def class_sheet(n_each: int = 4, cell_w: int = 260, cell_h: int = 200) -> np.ndarray:
    """(H, W, 3) uint8: `n_each` individuals of every class, named, eight cells a row."""
    import cv2

    tiles = []
    for name, one in kinds().items():
        for index in range(n_each):
            rng = random.Random(f"{name}{index}")
            action = one.actions[index % len(one.actions)]
            tile = np.full((cell_h, cell_w, 3), (170, 190, 170), np.uint8)
            scale = 0.74 * cell_h / max(1.0, one.aspect * 0.68)
            view = np.array([[scale, 0.0, cell_w / 2], [0.0, scale, cell_h * (0.5 if one.place == "sky" else 0.92)]])
            fill(tile, one.draw(draw_look(rng, one), action.name, index * 1.7 + 0.4), view)
            label = f"{name}: {action.name}" + (" (unseen)" if one.unseen else "")
            cv2.putText(tile, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
            tiles.append(tile)
    return grid(tiles, 8)


def shot_sheet(seeds: range, unseen: bool = False, width: int = 360, height: int = 240) -> np.ndarray:
    """(H, W, 3) uint8: one labeled still per seed, five a row."""
    tiles = []
    for seed in seeds:
        still = sample_frame(seed, width, height, "val", unseen)
        tiles.append(with_boxes(still.rgb, still.boxes_xyxy, still.labels))
    return grid(tiles, 5)


def make_gallery(folder: str | Path) -> Path:
    """`gallery/index.html` in a world folder: class sheet, stills, and per video its cuts, shots, captions and strips.

    Returns:
        The page.
    """
    folder = Path(folder)
    out = folder / "gallery"
    write_png(out / "classes.png", class_sheet())
    write_png(out / "stills.png", shot_sheet(range(20)))
    write_png(out / "unseen.png", shot_sheet(range(10), unseen=True))
    body = [
        "<h1>Mini world</h1>",
        _figure("classes.png", "Every class, four individuals each"),
        _figure("stills.png", "Validation stills with true boxes"),
        _figure("unseen.png", "Stills with unseen classes"),
    ]
    for path in visible_files(folder / "truth", ".json"):
        body += _video_section(folder, out, path)
    page = out / "index.html"
    write_whole(page, PAGE.format(body="\n".join(body)))
    return page


def _video_section(folder: Path, out: Path, path: Path) -> list[str]:
    truth = read_truth(path)
    cuts = (
        ", ".join(f"{cut.kind} at {cut.time_s:.2f} s ({cut.end_s - cut.start_s:.2f} s)" for cut in truth.cuts)
        or "no cut"
    )
    lines = [
        f"<h2>{html.escape(truth.name)}</h2>",
        f"<p>{truth.width} x {truth.height}, {truth.fps:.2f} frames/s, {truth.n_frames} frames; {cuts}</p>",
        f'<video controls preload="none" width="480" src="../{html.escape(truth.video)}"></video>',
    ]
    for shot, strip in zip(truth.shots, _strips(folder, truth, path), strict=True):
        name = f"{truth.name}.shot{shot.index:03d}.png"
        write_png(out / name, strip)
        lines.append(_figure(name, f"{shot.start_s:.2f} to {shot.end_s:.2f} s: {shot.caption}"))
    return lines


def _strips(folder: Path, truth: SourceTruth, path: Path, n: int = 6, height: int = 160) -> list[np.ndarray]:
    picks = [[round((index + 0.5) * shot.n_frames / n) for index in range(n)] for shot in truth.shots]
    wanted = {shot.first_frame + pick for shot, some in zip(truth.shots, picks, strict=True) for pick in some}
    frames = {index: rgb for index, rgb in enumerate(read_frames(folder / truth.video)) if index in wanted}
    strips = []
    for shot, some in zip(truth.shots, picks, strict=True):
        masks = read_masks(path, shot)
        drawn = [with_outlines(frames[shot.first_frame + pick], masks.frame(pick)) for pick in some]
        strips.append(np.concatenate([_scale(one, height) for one in drawn], axis=1))
    return strips


def with_boxes(rgb: np.ndarray, boxes: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """A copy of the frame with named boxes."""
    import cv2

    out = rgb.copy()
    for index, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        x0, y0, x1, y1 = (round(value) for value in box)
        cv2.rectangle(out, (x0, y0), (x1, y1), INK[index % len(INK)], 1)
        cv2.putText(out, label, (x0, max(10, y0 - 3)), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
    return out


def with_outlines(rgb: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """A copy of the frame with the border of each (N, H, W) mask drawn, one color per object."""
    import cv2

    out = rgb.copy()
    for index, mask in enumerate(masks):
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(out, lines, -1, INK[index % len(INK)], max(1, rgb.shape[0] // 180))
    return out


def grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size in rows, the rest black."""
    blank = np.zeros_like(tiles[0])
    padded = tiles + [blank] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(padded[i : i + columns], 1) for i in range(0, len(padded), columns)])


def _scale(rgb: np.ndarray, height: int) -> np.ndarray:
    import cv2

    return cv2.resize(rgb, (round(rgb.shape[1] * height / rgb.shape[0]), height), interpolation=cv2.INTER_AREA)


def _figure(name: str, text: str) -> str:
    return (
        f'<figure><img loading="lazy" src="{html.escape(name)}"><figcaption>{html.escape(text)}</figcaption></figure>'
    )


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Mini world</title>
<style>body{{font:15px/1.4 sans-serif;margin:2em;max-width:1200px}}img{{max-width:100%}}figure{{margin:1em 0}}</style>
{body}</html>
"""
