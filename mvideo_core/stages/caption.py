"""Stage 5, caption: a clip and its tracks -> one text within the text encoder's budget."""

import functools
from collections.abc import Sequence

import numpy as np

from mvideo_core.captioning.base import CAPTIONERS, CaptionInput
from mvideo_core.captioning.rows import CaptionOptions, caption_rows
from mvideo_core.errors import MediaError
from mvideo_core.masks import from_bytes
from mvideo_core.masks.measure import areas, boxes_xyxy
from mvideo_core.media.decode import sample_frames
from mvideo_core.records import CaptionRow, MaskRow, Row
from mvideo_core.stages import STAGES
from mvideo_core.stages._models import loaded
from mvideo_core.stages.base import Item, Stage, StageContext, Worker
from mvideo_core.stages.detect import clip_of

BATCH_CLIPS = 16
"""Clips handed to a captioner at once; those that talk to a server keep several requests under way."""


class CaptionWorker(Worker):
    """Captions a few clips at a time."""

    def __init__(self, options: CaptionOptions, context: StageContext):
        self.options, self.context = options, context
        self.captioner = loaded(CAPTIONERS, options.captioner, options.captioner_options)
        self.batch_size = BATCH_CLIPS if self.captioner.needs_frames else 1

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One CaptionRow per clip; one failed clip does not concern its neighbours."""
        rows: list[CaptionRow] = caption_rows(self.captioner, [self._input(item) for item in items], self.options)
        return [[row] for row in rows]

    def _input(self, item: Item) -> CaptionInput:
        clip, masks = clip_of(item), item.rows["segment"]
        assert isinstance(masks, MaskRow)
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
        )


STAGE = Stage(
    name="caption",
    revision=1,
    reads=("cut", "segment"),
    options=CaptionOptions,
    row=CaptionRow,
    resource="cpu",
    open=CaptionWorker,
)
STAGES.register(STAGE.name)(STAGE)
