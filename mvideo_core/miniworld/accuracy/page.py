"""A page with all figures, crossings and absences as strips of frames, and the worst cases drawn."""

import html
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvideo_core.base.disk import write_whole
from mvideo_core.masks import encode
from mvideo_core.masks.draw import draw_box, draw_outline, overlay_frames
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_png
from mvideo_core.miniworld.accuracy.evidence import Rows, VideoEvidence, by_video
from mvideo_core.miniworld.accuracy.figures import AccuracyReport, BadCase, Crossing, IdentityCase
from mvideo_core.miniworld.accuracy.identity import AFTER, BEFORE, frames_to_show, to_show
from mvideo_core.miniworld.accuracy.mapping import Fit, clip_truth
from mvideo_core.miniworld.accuracy.measure import AccuracyOptions
from mvideo_core.miniworld.accuracy.table import lines_of

TRUE, FOUND, THIN = (60, 220, 90), (240, 60, 60), (255, 255, 255)
TILE_PX, GAP_PX, COLUMNS = 320, 4, 4


def write_report(report: AccuracyReport, truth_folder: str | Path, rows: Rows, folder: str | Path) -> Path:
    """`accuracy.json`, `index.html` and pictures of crossings, absences and the worst cases under `folder`.

    Returns:
        The page.
    """
    out = Path(folder)
    write_whole(out / "accuracy.json", report.model_dump_json(indent=1))
    videos = {video.truth.name: video for video in by_video(truth_folder, rows)}
    options = AccuracyOptions.parse(report.options, "options of the report")
    body = ["<h1>Accuracy against the mini world</h1>", _table(report)]
    body += [*_identity(report, videos, rows, options, out), *_worst(report, videos, rows, options.fit, out)]
    page = out / "index.html"
    write_whole(page, PAGE.format(body="\n".join(body)))
    return page


def _table(report: AccuracyReport) -> str:
    rows = []
    for name, value in lines_of(report):
        rows.append(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" if value
                    else f'<tr><th colspan="2">{html.escape(name)}</th></tr>')  # fmt: skip
    return f"<table>{''.join(rows)}</table>"


def _identity(
    report: AccuracyReport, videos: dict[str, VideoEvidence], rows: Rows, options: AccuracyOptions, out: Path
) -> Iterator[str]:
    yield "<h2>Crossings and absences</h2>"
    yield (f"<p>Frames evenly from {BEFORE} before the meeting or absence to {AFTER} from its end on. Each masklet in "
           "its own color with its number; the object's true outline in thin white. "
           f"J is the mean over the last {AFTER} frames.</p>")  # fmt: skip
    for name, cases in (("crossing", report.crossings), ("return", report.returns)):
        shown = to_show(cases, options.strips)
        yield f"<p>{len(shown)} of {len(cases)} {name}s, kept ones first.</p>"
        for index, case in enumerate(shown):
            yield _figure(out / f"{name}{index:03d}.png", _strip(case, videos[case.video], rows, options.fit),
                          _caption(case))  # fmt: skip


def _caption(case: IdentityCase) -> str:
    place = f"{case.video}, {case.clip}"
    who = f"{case.label} (object {case.object_id}, masklet {case.mask_index})"
    if not isinstance(case, Crossing):
        fate = "kept, found again" if case.kept else "lost"
        gone = f"out of sight at frame {case.from_frame}, back at {case.over_frame}"
        return f"{fate}: {who}, {gone}. J own {case.j_own:.3f}. {place}."
    fate = "kept" if case.kept else "lost"
    masklet = f"masklet {case.other_mask_index}" if case.other_mask_index >= 0 else "not followed"
    other = f"{case.other_label} (object {case.other_id}, {masklet})"
    met = f"meet at frame {case.from_frame}, part at {case.over_frame}"
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
    tiles = []
    for k, tile in zip(picks, overlaid, strict=True):
        true = cv2.resize(truth.visible(k, case.object_id).astype(np.uint8), tile.shape[1::-1])
        tile = draw_outline(tile, true, THIN, 1)
        tiles.append(np.pad(tile, ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=255))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[n : n + COLUMNS], axis=1) for n in range(0, len(tiles), COLUMNS)])


def _worst(report: AccuracyReport, videos: dict[str, VideoEvidence], rows: Rows, fit: Fit, out: Path) -> Iterator[str]:
    yield "<h2>Worst cases</h2><p>Green: truth. Red: what the pipeline said.</p>"
    for index, case in enumerate(report.worst):
        picture = _draw(case, videos[case.video], rows, fit)
        text = f"{case.kind}: {case.label} {case.value:.3f} in {case.clip or case.video}. {case.note}"
        yield f"<p>{html.escape(text)}</p>" if picture is None else _figure(out / f"case{index:03d}.png", picture, text)


def _figure(file: Path, picture: np.ndarray, text: str) -> str:
    write_png(file, picture)
    return f'<figure><img loading="lazy" src="{file.name}"><figcaption>{html.escape(text)}</figcaption></figure>'


def _draw(case: BadCase, video: VideoEvidence, rows: Rows, fit: Fit, n: int = 6) -> np.ndarray | None:
    clip = video.clip(case.clip)
    if clip is None:
        return None
    frames = read_clip(rows.clip_path(clip))
    truth = clip_truth(video.truth_path, video.truth, clip, fit)
    if case.kind == "masks":
        found = rows.open_masks(video.masks[clip.key])
        tiles = []
        for k in np.linspace(0, truth.n_inside - 1, n).round().astype(int).tolist():
            tile = draw_outline(frames[k], truth.visible(k, case.object_id), TRUE)
            tiles.append(draw_outline(tile, found.mask(k, case.mask_index), FOUND))
        return np.concatenate([tile[::2, ::2] for tile in tiles], axis=1)
    if case.box_xyxy:
        picture = draw_box(frames[0], case.box_xyxy, FOUND if case.kind != "missed" else TRUE)
        return draw_box(picture, truth.box(0, case.object_id), TRUE) if case.object_id >= 0 else picture
    picks = np.linspace(0, len(frames) - 1, n).round().astype(int)
    return np.concatenate([frames[k][::2, ::2] for k in picks], axis=1)


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Accuracy</title>
<style>body{{font:15px/1.4 sans-serif;margin:2em;max-width:1300px}}img{{max-width:100%}}figure{{margin:1em 0}}
td,th{{text-align:left;padding:.1em 1em .1em 0}}th{{padding-top:.8em}}</style>
{body}</html>
"""
