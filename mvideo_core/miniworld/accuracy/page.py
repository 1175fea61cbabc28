"""Accuracy page: all numbers, crossings and absences as strips of frames, and the worst cases as images."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.masks import encode
from mvideo_core.masks.draw import draw_box, draw_outline, overlay_frames, tile
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_png
from mvideo_core.miniworld.accuracy.evidence import Rows, VideoEvidence, by_video
from mvideo_core.miniworld.accuracy.figures import AccuracyReport, BadCase, Crossing, IdentityCase
from mvideo_core.miniworld.accuracy.identity import AFTER, BEFORE, frames_to_show, to_show
from mvideo_core.miniworld.accuracy.mapping import Fit, clip_truth
from mvideo_core.miniworld.accuracy.measure import AccuracyOptions
from mvideo_core.miniworld.accuracy.table import lines_of
from mvideo_core.pages.kit import page_html

TITLE = "Accuracy against the mini world"
TRUE, FOUND, THIN = (60, 220, 90), (240, 60, 60), (255, 255, 255)
TILE_PX, GAP_PX, COLUMNS = 320, 4, 4


def write_report(report: AccuracyReport, truth_folder: str | Path, rows: Rows, folder: str | Path) -> Path:
    """Write `accuracy.json`, `index.html` and images of crossings, absences and the worst cases to `folder`.

    Returns:
        Path of the page.
    """
    out = Path(folder)
    write_whole(out / "accuracy.json", report.model_dump_json(indent=1))
    videos = {video.truth.name: video for video in by_video(truth_folder, rows)}
    options = AccuracyOptions.parse(report.options, "options of the report")
    text = page_html(
        Path(__file__).parent,
        TITLE,
        lines=lines_of(report),
        n_before=BEFORE,
        n_after=AFTER,
        strips=list(_strips(report, videos, rows, options, out)),
        worst=list(_show_worst(report, videos, rows, options.fit, out)),
    )
    write_whole(out / "index.html", text)
    return out / "index.html"


class Picture(NamedTuple):
    """An image next to the page and its caption; `file` is "" if there is only text."""

    file: str
    text: str


class Strips(NamedTuple):
    """Image strips of crossings or absences."""

    title: str
    pictures: list[Picture]


def _strips(
    report: AccuracyReport, videos: dict[str, VideoEvidence], rows: Rows, options: AccuracyOptions, out: Path
) -> Iterator[Strips]:
    for name, what, cases in (
        ("crossing", "crossings", report.crossings),
        ("return", "absences", report.returns),
    ):
        shown = to_show(cases, options.strips)
        pictures = []
        for index, case in enumerate(shown):
            picture = _strip(case, videos[case.video], rows, options.fit)
            pictures.append(_write(out / f"{name}{index:03d}.png", picture, _caption(case)))
        title = f"{len(shown)} of {len(cases)} {what}, kept ones first." if cases else f"No {what}."
        yield Strips(title, pictures)


def _caption(case: IdentityCase) -> str:
    place = f"{case.video}, {case.clip}"
    who = f"{case.label} (object {case.object_id}, masklet {case.mask_index})"
    if not isinstance(case, Crossing):
        fate = "kept, found again" if case.kept else "lost"
        gone = f"out of sight at frame {case.from_frame}, back at {case.over_frame}"
        return f"{fate}: {who}, {gone}. J own {case.j_own:.3f}. {place}."
    fate = "kept" if case.kept else "lost"
    masklet = f"masklet {case.other_mask_index}" if case.other_mask_index >= 0 else "not tracked"
    other = f"{case.other_label} (object {case.other_id}, {masklet})"
    met = f"meet at frame {case.from_frame}, separate at {case.over_frame}"
    return f"{fate}: {who} and {other} {met}. J own {case.j_own:.3f}, other {case.j_other:.3f}. {place}."


def _strip(case: IdentityCase, video: VideoEvidence, rows: Rows, fit: Fit) -> np.ndarray:
    import cv2

    clip = video.clip(case.clip)
    assert clip is not None
    truth = clip_truth(video.truth_path, video.truth, clip, fit)
    picks = frames_to_show(case, truth.n_inside)
    found = rows.open_masks(video.masks[clip.key])
    masks = encode(np.stack([found.frame(k) for k in picks]))
    labels = [str(index) for index in range(found.n_objects)]
    overlaid = overlay_frames(read_clip(rows.clip_path(clip))[picks], masks, labels, TILE_PX)
    cells = []
    for k, cell in zip(picks, overlaid, strict=True):
        true = cv2.resize(truth.visible(k, case.object_id).astype(np.uint8), cell.shape[1::-1])
        cells.append(draw_outline(cell, true, THIN, 1))
    return tile(cells, COLUMNS, GAP_PX)


def _show_worst(
    report: AccuracyReport, videos: dict[str, VideoEvidence], rows: Rows, fit: Fit, out: Path
) -> Iterator[Picture]:
    for index, case in enumerate(report.worst):
        picture = _draw(case, videos[case.video], rows, fit)
        text = f"{case.kind}: {case.label} {case.value:.3f} in {case.clip or case.video}. {case.note}"
        yield Picture("", text) if picture is None else _write(out / f"case{index:03d}.png", picture, text)


def _write(file: Path, picture: np.ndarray, text: str) -> Picture:
    write_png(file, picture)
    return Picture(file.name, text)


def _draw(case: BadCase, video: VideoEvidence, rows: Rows, fit: Fit, n: int = 6) -> np.ndarray | None:
    clip = video.clip(case.clip)
    if clip is None:
        return None
    frames = read_clip(rows.clip_path(clip))
    truth = clip_truth(video.truth_path, video.truth, clip, fit)
    if case.kind == "masks":
        found = rows.open_masks(video.masks[clip.key])
        cells = []
        for k in np.linspace(0, truth.n_inside - 1, n).round().astype(int).tolist():
            cell = draw_outline(frames[k], truth.visible(k, case.object_id), TRUE)
            cells.append(draw_outline(cell, found.mask(k, case.mask_index), FOUND))
        return np.concatenate([cell[::2, ::2] for cell in cells], axis=1)
    if case.box_xyxy:
        picture = draw_box(frames[0], case.box_xyxy, FOUND if case.kind != "missed" else TRUE)
        return draw_box(picture, truth.box(0, case.object_id), TRUE) if case.object_id >= 0 else picture
    picks = np.linspace(0, len(frames) - 1, n).round().astype(int)
    return np.concatenate([frames[k][::2, ::2] for k in picks], axis=1)
