"""Stage caption: a clip and its tracks -> one caption within the text encoder's token limit."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np

from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import CaptionRow, MaskRow, Row
from mvideo_core.curation.stages.detect import clip_of
from mvideo_core.engine.loaded_models import load_plugin
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.masks import from_bytes
from mvideo_core.masks.measure import areas, boxes_xyxy
from mvideo_core.media.decode import read_frames, sample_frames
from mvideo_core.perception.captioning.base import CAPTIONERS, CaptionInput
from mvideo_core.perception.captioning.length import token_counter
from mvideo_core.perception.captioning.options import CaptionOptions, captioner_options, content_of
from mvideo_core.perception.captioning.review import CaptionReview
from mvideo_core.perception.captioning.rows import caption_rows


class CaptionWorker(Worker):
    """Captions clips; a server-based captioner keeps many requests in flight and stores each answer as it arrives."""

    independent = True

    def __init__(self, options: CaptionOptions, context: StageContext):
        self.options, self.context = options, context
        self.captioner = load_plugin(CAPTIONERS, options.captioner, options.captioner_options)
        self.batch_size = self.captioner.batch_clips

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One CaptionRow per clip, in order."""
        rows = dict(self.stream(items))
        return [rows[n] for n in range(len(items))]

    def stream(self, items: Sequence[Item]) -> Iterator[tuple[int, list[Row]]]:
        """One CaptionRow per clip as answers arrive; a failed clip does not affect the others."""
        inputs: list[tuple[int, CaptionInput]] = []
        for n, item in enumerate(items):
            try:
                inputs.append((n, self._input(item)))
            except MediaError as error:
                yield n, [CaptionRow.failure_row(item.key, item.key, type(error).__name__, str(error), 1)]
        with closing(caption_rows(self.captioner, [one for _, one in inputs], self.options)) as rows:
            for at, row in rows:
                yield inputs[at][0], [row]

    def _input(self, item: Item) -> CaptionInput:
        clip, masks = clip_of(item), item.row(MaskRow)
        assert masks.masks is not None
        assert clip.clip is not None
        sequence = from_bytes(self.context.local(masks.masks).read_bytes())
        if sequence.n_frames != clip.n_frames:
            raise MediaError(f"{clip.key}: {sequence.n_frames} mask frames for {clip.n_frames} video frames")
        kept = [stats.object_id for stats in masks.objects if stats.kept]
        boxes_NT4 = boxes_xyxy(sequence).astype(np.float32)[:, kept].transpose(1, 0, 2).copy()
        areas_NT = areas(sequence).astype(np.float32)[:, kept].T.copy()
        boxes_NT4[areas_NT == 0] = np.nan
        return CaptionInput(
            key=clip.key,
            width=clip.width,
            height=clip.height,
            fps=clip.fps,
            frames_THWC=functools.partial(sample_frames, self.context.local(clip.clip)),
            labels=tuple(stats.label for stats in masks.objects if stats.kept),
            boxes_NT4=boxes_NT4,
            areas_NT=areas_NT,
            object_ids=tuple(kept),
            masks=sequence.select(kept) if self.options.phrases else None,
            all_frames=functools.partial(read_frames, self.context.local(clip.clip)),
        )


def _check(options: CaptionOptions) -> None:
    captioner_options(options.captioner, options.captioner_options).check()
    token_counter(options.tokenizer_dir)


def _reach(options: CaptionOptions) -> None:
    captioner_options(options.captioner, options.captioner_options).reach()


STAGE = Stage(
    name="caption",
    revision=2,
    title="One caption per clip.",
    reads=("cut", "segment"),
    unit="clip",
    options=CaptionOptions,
    row=CaptionRow,
    resource="cpu",
    open=CaptionWorker,
    content=content_of,
    check=_check,
    reach=_reach,
    checks=(lambda options: CaptionReview(options.warn_equal_frac, options.warn_refused_frac),),
)
