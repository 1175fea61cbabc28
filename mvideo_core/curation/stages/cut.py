"""Stage cut: a video -> shots -> clips of fixed size, rate and legal length (paper, section 4.1)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvideo_core.base.records import ClipRow, Row, VideoRow
from mvideo_core.curation.ingest.naming import path_of
from mvideo_core.curation.scenes import SCENE_DETECTORS
from mvideo_core.curation.scenes.cut import CutClip, CutResult, cut_video
from mvideo_core.curation.scenes.options import CutOptions
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker


class CutWorker(Worker):
    """Decodes videos one at a time, each once."""

    def __init__(self, options: CutOptions, context: StageContext):
        self.options, self.context = options, context

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One row per clip and one per dropped stretch; a video with neither is filtered ("no_shot")."""
        return [self._cut(item) for item in items]

    def _cut(self, item: Item) -> list[Row]:
        video = item.row(VideoRow)
        out_dir = self.context.scratch / video.key
        out_dir.mkdir(exist_ok=True)
        root = path_of(video.root) if video.root else None  # rechecked: links may change after ingest
        result = cut_video(path_of(video.uri), video, out_dir, self.options, root)
        rows: list[Row] = [self._clip_row(video, clip, item.content_key, result) for clip in result.clips]
        rows += self._drop_rows(video, result)
        return rows or [ClipRow.filter_row(video.key, video.key, "no_shot", 0.0, 1.0)]

    def _clip_row(self, video: VideoRow, clip: CutClip, content_key: str, result: CutResult) -> ClipRow:
        key = clip_key(video.key, clip.start_s)
        return ClipRow(
            key=key,
            parent=video.key,
            shot_index=clip.shot_index,
            start_s=clip.start_s,
            end_s=clip.end_s,
            fps=self.options.fps,
            n_frames=clip.n_frames,
            width=self.options.width,
            height=self.options.height,
            decode_errors=clip.decode_errors,
            source_errors=result.decode_errors,
            bars=result.bars,
            color_shift=clip.color_shift,
            jumps=clip.jumps,
            deinterlaced=video.picture.interlaced,
            tone_mapped=video.picture.hdr,
            clip=self.context.commit(Path(clip.path), f"{key}.mp4", content_key),
            source_sha256=video.sha256,
            source_url=video.source_url,
            licence=video.licence,
        )

    def _drop_rows(self, video: VideoRow, result: CutResult) -> list[Row]:
        rows: list[Row] = []
        for shot in result.dropped:
            key = f"{clip_key(video.key, shot.start_s)}-out"
            span = {"shot_index": shot.shot_index, "start_s": shot.start_s, "end_s": shot.end_s}
            rows.append(ClipRow.filter_row(key, video.key, shot.reason, shot.value, shot.threshold, **span))
        return rows


class CutsInside:
    """Clips in which one frame has nothing in common with the one before: a missed cut, or a flash."""

    def __init__(self, options: CutOptions):
        self.options = options
        self.clips, self.cut = 0, list[str]()

    def add(self, row: ClipRow) -> None:
        """Count a clip."""
        if row.status == "ok":
            self.clips += 1
            if row.jumps:
                self.cut.append(row.key)

    def problems(self) -> list[str]:
        """How many clips, and one of them."""
        limit = self.options.warn_jump_frac
        if len(self.cut) <= limit * self.clips:
            return []
        return [
            f"{len(self.cut)} of {self.clips} clips seem to contain a cut ({min(self.cut)}, ...; warn_jump_frac "
            f"{limit:g}): look at them; lower the detector's threshold, or choose another cut.detector"
        ]


def clip_key(video_id: str, start_s: float) -> str:
    """Key of a clip: the video's id and the clip's start in milliseconds."""
    return f"{video_id}_{round(start_s * 1000):09d}"


def _check(options: CutOptions) -> None:
    """Build the detector once: catches a wrong option or a missing file or package."""
    chosen = SCENE_DETECTORS.get(options.detector)
    where = f"options of scene detector {options.detector}"
    chosen(chosen.options_type.parse(options.detector_options, where))  # type: ignore[call-arg]


def _content(options: CutOptions) -> Any:
    """What decides the clips; `crop_bars` only if set, so that clips from before it existed keep their keys."""
    unset = set() if options.crop_bars else {"crop_bars"}
    return options.model_dump(mode="json", exclude={"warn_jump_frac", *unset})


STAGE = Stage(
    name="cut",
    revision=2,  # 2: clips are tagged bt709; damaged frames or shifted colors drop them; the main stream is used
    title="Find shots and cut clips from them.",
    reads=("ingest",),
    unit="clip",
    expands=True,
    options=CutOptions,
    row=ClipRow,
    resource="cpu",
    open=CutWorker,
    content=_content,
    checks=(CutsInside,),
    check=_check,
)
