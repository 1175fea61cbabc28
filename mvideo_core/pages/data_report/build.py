"""Stage report: the rows of all stages -> funnel, statistics, overlay gallery as one static page."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

from mvideo_core import __version__
from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import digest
from mvideo_core.base.records import (
    PLANNED_ROWS,
    CaptionRow,
    ClipRow,
    MaskRow,
    Record,
    Row,
    SampleRow,
    ShardRow,
    VideoRow,
)
from mvideo_core.engine import STAGES
from mvideo_core.engine.chain import chain, row_class, stage_and_inputs, upstream_of, valid_markers
from mvideo_core.engine.checks import recheck_stage
from mvideo_core.engine.stage import StageContext
from mvideo_core.masks import from_bytes
from mvideo_core.masks.draw import color_hex, write_overlay
from mvideo_core.media.decode import read_frames, sample_frames
from mvideo_core.media.encode import write_png
from mvideo_core.pages.data_report.collect import ReportCounter
from mvideo_core.pages.data_report.data import (
    DropExample,
    FunnelStep,
    GalleryItem,
    GalleryObject,
    ReportData,
    ReportOptions,
    StageTime,
)
from mvideo_core.pages.data_report.render import PAGE_NAME, media_of, render_report
from mvideo_core.store.lock import stages_in_use
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.tables import RowIndex
from mvideo_core.store.verify import Problem
from mvideo_core.store.workspace import Marker, Workspace

log = logging.getLogger(__name__)

REVISION = 1
DROPPED_PX = 180
"""Approximate width of the pictures of dropped clips."""


class ReportSummary(Record):
    """The written report: page path relative to the workspace, funnel, and the gallery's media next to the page.

    Attributes:
        warnings: "stage: why its output needs review", for all stages.
    """

    path: str
    funnel: list[FunnelStep]
    gallery: list[GalleryItem] = []
    warnings: list[str] = []


def build_report(workspace: Workspace, options: ReportOptions | None = None) -> ReportSummary:
    """Count all rows, render the gallery, write the page. Unfinished parts count as waiting.

    Raises:
        StoreError: the rows do not account for every item.
    """
    with stages_in_use(workspace.folder, stage_and_inputs("report")):
        return _build(workspace, options or ReportOptions())


def _build(workspace: Workspace, options: ReportOptions) -> ReportSummary:
    markers = {stage: dict(valid_markers(workspace, stage)) for stage in chain()}
    markers = {stage: found for stage, found in markers.items() if any(found.values())}
    warnings = _warnings(workspace, markers)
    key = _report_key(markers, options)
    counter = ReportCounter(options)
    for stage, found in markers.items():
        for marker in found.values():
            if marker is not None:
                counter.add_part(stage, workspace.rows(marker, row_class(stage)))
    funnel = counter.funnel(pending_parents=_count_pending(markers))
    with scratch_folder("report") as out:
        gallery = list(_gallery(workspace, set(counter.gallery_keys()), markers, options, out))
        data = ReportData(
            title=options.title,
            funnel=funnel,
            labels=dict(counter.labels),
            histograms=counter.histograms(),
            times=[_time(stage, found) for stage, found in markers.items()],
            examples=list(_add_pictures(workspace, counter.examples(), markers, out)),
            listed=counter.list_entries(),
            gallery=gallery,
            warnings=warnings,
            facts=_facts(workspace),
        )
        render_report(data, out)
        for path in sorted(out.rglob("*")):
            if path.is_file():
                workspace.folder.adopt(path, f"reports/{key}/{path.relative_to(out).as_posix()}")
    page = f"reports/{key}/{PAGE_NAME}"
    workspace.set_pointer("report", page)
    log.info("report: %s/%s", workspace.url.rstrip("/"), page)
    return ReportSummary(path=page, funnel=funnel, gallery=gallery, warnings=warnings)


def report_problems(workspace: Workspace) -> list[Problem]:
    """Missing files of the current report: its page, or media on the page."""
    pointer = workspace.pointer("report")
    if pointer is None:
        return []
    path = pointer["path"]
    folder = path.rpartition("/")[0]
    page = workspace.folder.read_or_none(path)
    wanted = {path} if page is None else {f"{folder}/{name}" for name in media_of(page.decode(errors="replace"))}
    there = {facts.path for facts in workspace.folder.files(folder)}
    fix = f"run `mvideo stage report --workspace {workspace.url}` again"
    return [Problem(path=name, what="missing", fix=fix) for name in sorted(wanted - there)]


def _warnings(workspace: Workspace, markers: dict[str, dict[int, Marker | None]]) -> list[str]:
    """What the stages' checks find in the rows of all parts."""
    found: list[str] = []
    for name, parts in markers.items():
        marker = next((marker for marker in parts.values() if marker is not None), None)
        if marker is None or name in PLANNED_ROWS:
            continue
        found += [f"{name}: {one}" for one in recheck_stage(workspace, STAGES.get(name), marker.options)]
    return found


def _report_key(markers: dict[str, dict[int, Marker | None]], options: ReportOptions) -> str:
    keys = {stage: [found[n].key if found[n] else "" for n in sorted(found)] for stage, found in markers.items()}  # type: ignore[union-attr]
    return digest({"revision": REVISION, "parts": keys, "options": options})[:16]


def _count_pending(markers: dict[str, dict[int, Marker | None]]) -> dict[str, int]:
    """Items waiting at each stage: `ok` rows of the previous stage in parts that this stage has not finished."""
    pending: dict[str, int] = {}
    order = list(markers)
    for before, stage in itertools.pairwise(order):
        if not upstream_of(stage) or stage == "shard":
            continue
        waiting = [n for n, marker in markers[stage].items() if marker is None]
        held = (markers[before].get(n) for n in waiting)
        pending[stage] = sum(marker.counts["ok"] for marker in held if marker is not None)
    return pending


def _time(stage: str, found: dict[int, Marker | None]) -> StageTime:
    done = [marker for marker in found.values() if marker is not None]
    return StageTime(
        stage=stage,
        seconds=round(sum(marker.seconds for marker in done), 3),
        items=sum(marker.counts["items"] for marker in done),
        parts=len(done),
    )


def _facts(workspace: Workspace) -> dict[str, str]:
    facts = {"workspace": workspace.url, "written by": f"mvideo {__version__}"}
    pointer = workspace.pointer("dataset")
    if pointer is not None:
        facts |= {"dataset": pointer["path"], "dataset digest": pointer.get("digest", "")}
    return facts


def _gallery(
    workspace: Workspace,
    keys: set[str],
    markers: dict[str, dict[int, Marker | None]],
    options: ReportOptions,
    out: Path,
) -> Iterator[GalleryItem]:
    """Overlay, poster and facts of each chosen clip; writes the media to `out`/media."""
    if not keys:
        return
    (out / "media").mkdir(exist_ok=True)
    splits = _splits(workspace, keys, markers)
    for index in markers.get("segment", {}):
        rows = RowIndex()
        for stage in ("ingest", "cut", "segment", "caption"):
            rows.add(_part(workspace, stage, index, markers))
        for key in sorted(keys & rows.of(MaskRow).keys()):
            clip, masks = rows.of(ClipRow)[key], rows.of(MaskRow)[key]
            caption, video = rows.of(CaptionRow).get(key), rows.of(VideoRow).get(clip.parent)
            item = _item(clip, masks, caption, video, splits.get(key, ""))
            try:
                _draw(workspace, clip, masks, options, out)
            except MediaError as error:
                log.warning("report: %s left out of the gallery: %s", key, error)
                continue
            yield item


def _add_pictures(
    workspace: Workspace, examples: list[DropExample], markers: dict[str, dict[int, Marker | None]], out: Path
) -> Iterator[DropExample]:
    """The examples, those of clips with a frame from the clip's middle, written to `out`/media."""
    wanted = {one.key for one in examples}
    clips: dict[str, ClipRow] = {}
    for index in markers.get("cut", {}) if wanted else ():
        clips |= {row.key: row for row in _part(workspace, "cut", index, markers) if row.key in wanted}  # type: ignore[misc]
    for one in examples:
        clip = clips.get(one.key)
        if clip is None or clip.clip is None:
            yield one
            continue
        picture = f"media/{one.key}-dropped.png"
        (out / "media").mkdir(exist_ok=True)
        try:
            with scratch_folder("dropped") as scratch:
                frame = sample_frames(StageContext(workspace, "report", scratch).local(clip.clip), 1)[0]
            write_png(out / picture, frame[:: (step := max(1, round(frame.shape[1] / DROPPED_PX))), ::step])
        except MediaError as error:
            log.warning("report: no picture of %s: %s", one.key, error)
            yield one
            continue
        yield one.model_copy(update={"picture": picture})


def _part(workspace: Workspace, stage: str, index: int, markers: dict[str, dict[int, Marker | None]]) -> list[Row]:
    marker = markers.get(stage, {}).get(index)
    if marker is None:
        return []
    return [row for row in workspace.rows(marker, row_class(stage)) if row.status == "ok"]


def _draw(workspace: Workspace, clip: ClipRow, masks: MaskRow, options: ReportOptions, out: Path) -> None:
    assert clip.clip is not None
    assert masks.masks is not None
    with scratch_folder("overlay") as scratch:
        context = StageContext(workspace, "report", scratch)
        sequence = from_bytes(context.local(masks.masks).read_bytes())
        labels = [one.label if one.kept else "" for one in masks.objects]
        media = out / "media" / clip.key
        video, poster = media.with_suffix(".mp4"), media.with_suffix(".png")
        frames = read_frames(context.local(clip.clip))
        try:
            write_overlay(frames, sequence, labels, clip.fps, video, poster, options.max_side_px)
        except MediaError:
            for path in (video, poster):
                path.unlink(missing_ok=True)
            raise


def _item(clip: ClipRow, masks: MaskRow, caption: CaptionRow | None, video: VideoRow | None, split: str) -> GalleryItem:
    phrases = {one.object_id: one.phrase for one in caption.phrases} if caption else {}
    objects = [
        GalleryObject(
            label=one.label,
            color=color_hex(one.object_id),
            detection_score=one.detection_score,
            visible_frac=one.visible_frac,
            phrase=phrases.get(one.object_id, ""),
            trust=masks.trust[one.object_id] if masks.trust else None,
        )
        for one in masks.objects
        if one.kept
    ]
    return GalleryItem(
        key=clip.key,
        video=f"media/{clip.key}.mp4",
        poster=f"media/{clip.key}.png",
        caption=caption.text if caption else "",
        objects=objects,
        source=(video.title if video else "") or clip.parent,
        source_url=clip.source_url,
        start_s=clip.start_s,
        end_s=clip.end_s,
        split=split,
        n_frames=clip.n_frames,
    )


def _splits(workspace: Workspace, keys: set[str], markers: dict[str, dict[int, Marker | None]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for marker in markers.get("shard", {}).values():
        for row in workspace.rows(marker, ShardRow) if marker is not None else ():
            samples: list[SampleRow] = row.samples
            found.update({sample.key: sample.split for sample in samples if sample.key in keys})
    return found
