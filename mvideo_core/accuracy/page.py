"""A page with all figures and the worst cases drawn: truth in green, the pipeline's answer in red."""

import html
from pathlib import Path

import numpy as np

from mvideo_core.accuracy.evidence import Rows, VideoEvidence, by_video
from mvideo_core.accuracy.figures import AccuracyReport, BadCase
from mvideo_core.accuracy.mapping import Fit, clip_truth
from mvideo_core.accuracy.table import lines_of
from mvideo_core.media.decode import read_clip
from mvideo_core.media.encode import write_png

TRUE, FOUND = (60, 220, 90), (240, 60, 60)


def write_report(report: AccuracyReport, truth_folder: str | Path, rows: Rows, folder: str | Path) -> Path:
    """`accuracy.json`, `index.html` and pictures of the worst cases under `folder`.

    Returns:
        The page.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    (out / "accuracy.json").write_text(report.model_dump_json(indent=1), encoding="utf-8")
    videos = {video.truth.name: video for video in by_video(truth_folder, rows)}
    body = ["<h1>Accuracy against the mini world</h1>", _table(report), "<h2>Worst cases</h2>",
            "<p>Green: truth. Red: what the pipeline said.</p>"]  # fmt: skip
    fit: Fit = report.options.get("fit", "cover")  # type: ignore[assignment]
    for index, case in enumerate(report.worst):
        picture = _draw(case, videos[case.video], rows, fit)
        text = f"{case.kind}: {case.label} {case.value:.3f} in {case.clip or case.video}. {case.note}"
        if picture is None:
            body.append(f"<p>{html.escape(text)}</p>")
            continue
        name = f"case{index:03d}.png"
        write_png(out / name, picture)
        body.append(f'<figure><img loading="lazy" src="{name}"><figcaption>{html.escape(text)}</figcaption></figure>')
    page = out / "index.html"
    page.write_text(PAGE.format(body="\n".join(body)), encoding="utf-8")
    return page


def _table(report: AccuracyReport) -> str:
    rows = []
    for name, value in lines_of(report):
        rows.append(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" if value
                    else f'<tr><th colspan="2">{html.escape(name)}</th></tr>')  # fmt: skip
    return f"<table>{''.join(rows)}</table>"


def _draw(case: BadCase, video: VideoEvidence, rows: Rows, fit: Fit, n: int = 6) -> np.ndarray | None:
    clip = next((one for one in video.ok_clips if one.key == case.clip), None)
    if clip is None:
        return None
    frames = read_clip(rows.clip_path(clip))
    truth = clip_truth(video.truth_path, video.truth, clip, fit)
    if case.kind == "masks":
        found = rows.open_masks(video.masks[clip.key])
        tiles = []
        for k in np.linspace(0, truth.n_inside - 1, n).round().astype(int).tolist():
            tile = outlined(frames[k], truth.visible(k, case.object_id), TRUE)
            tiles.append(outlined(tile, found.mask(k, case.mask_index), FOUND))
        return np.concatenate([tile[::2, ::2] for tile in tiles], axis=1)
    if case.box_xyxy:
        picture = framed(frames[0], case.box_xyxy, FOUND if case.kind != "missed" else TRUE)
        return framed(picture, truth.box(0, case.object_id), TRUE) if case.object_id >= 0 else picture
    picks = np.linspace(0, len(frames) - 1, n).round().astype(int)
    return np.concatenate([frames[k][::2, ::2] for k in picks], axis=1)


def outlined(rgb: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A copy of the frame with the mask's border drawn."""
    import cv2

    out = rgb.copy()
    lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, lines, -1, colour, 2)
    return out


def framed(rgb: np.ndarray, box: "np.ndarray | list[float]", colour: tuple[int, int, int]) -> np.ndarray:
    """A copy of the frame with a box drawn."""
    import cv2

    out = rgb.copy()
    if np.isfinite(box).all():
        x0, y0, x1, y1 = (round(float(value)) for value in box)
        cv2.rectangle(out, (x0, y0), (x1, y1), colour, 2)
    return out


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Accuracy</title>
<style>body{{font:15px/1.4 sans-serif;margin:2em;max-width:1300px}}img{{max-width:100%}}figure{{margin:1em 0}}
td,th{{text-align:left;padding:.1em 1em .1em 0}}th{{padding-top:.8em}}</style>
{body}</html>
"""
