"""Stage detect: the first frame of a clip, or several -> boxes with class and score (paper, section 4.1)."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mvideo_core.base.devices import default_device
from mvideo_core.base.records import ClipRow, DetectionRow, Row
from mvideo_core.engine.loaded_models import load_plugin, weights_digests
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.media.decode import first_frame, read_ahead, read_frames
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.search import search
from mvideo_core.perception.detection.select import select

BATCH_CLIPS = 8
"""On a GPU. A CPU gains nothing from batching, and one at a time its results cannot depend on the batch."""


class DetectWorker(Worker):
    """Detects objects in the first frames of several clips in one forward pass."""

    def __init__(self, options: DetectOptions, context: StageContext):
        self.batch_size = BATCH_CLIPS if default_device() == "cuda" else 1
        self.options, self.context = options, context
        self.detector = load_plugin(DETECTORS, options.detector, options.detector_options)
        self.phrases = options.phrases()

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One DetectionRow per clip; filtered ("no_objects") if no box remains."""
        clips = [clip_of(item) for item in items]
        if self.options.when != "first":
            return [[self._search(clip)] for clip in clips]
        paths = [self.context.local(clip.clip) for clip in clips if clip.clip]
        with ThreadPoolExecutor(len(paths) or 1) as pool:
            frames = list(pool.map(first_frame, paths))
        found = self.detector.detect(frames, self.phrases)
        return [
            [self._row(clip, [(0, select(candidates, self.options, *frame.shape[:2]).kept)], _find_best(candidates))]
            for clip, frame, candidates in zip(clips, frames, found, strict=True)
        ]

    def _search(self, clip: ClipRow) -> DetectionRow:
        """Boxes on several frames."""
        assert clip.clip is not None
        found: list[tuple[int, Detections]] = []
        best = 0.0
        frames = read_ahead(read_frames(self.context.local(clip.clip)))
        choice = self.options.choice(clip.fps)
        for number, frame, seen in search(frames, choice, self.detector, self.phrases, self.batch_size):
            if seen is not None:
                best = max(best, _find_best(seen))
                found.append((number, select(seen, self.options, *frame.shape[:2]).kept))
        boxes_on = [number for number, kept in found for _ in kept.labels]
        return self._row(clip, found, best, frames=boxes_on, searched=[number for number, _ in found])

    def _row(
        self, clip: ClipRow, found: Sequence[tuple[int, Detections]], best: float, **several: list[int]
    ) -> DetectionRow:  # fmt: skip
        model = {"model": self.detector.model_name, "weights_sha256": self.detector.weights_sha256}
        if not any(len(kept) for _, kept in found):
            limit = self.options.box_threshold
            return DetectionRow.filter_row(clip.key, clip.key, "no_objects", best, limit, **model)
        return DetectionRow(
            key=clip.key,
            parent=clip.key,
            boxes_xyxy=[[round(float(edge), 3) for edge in box] for _, kept in found for box in kept.boxes_xyxy],
            labels=[label for _, kept in found for label in kept.labels],
            scores=[round(float(score), 5) for _, kept in found for score in kept.scores],
            **model,
            **several,
        )


def _find_best(candidates: Detections) -> float:
    return float(candidates.scores.max()) if len(candidates) else 0.0


def clip_of(item: Item) -> ClipRow:
    """The clip of an item."""
    row = item.row(ClipRow)
    assert row.clip is not None
    return row


def _externals(options: DetectOptions) -> dict[str, str]:
    return weights_digests(DETECTORS, options.detector, options.detector_options, "detector")


STAGE = Stage(
    name="detect",
    revision=1,
    title="Detect objects in first frames.",
    reads=("cut", "clean"),
    unit="clip",
    options=DetectOptions,
    row=DetectionRow,
    resource="gpu",
    open=DetectWorker,
    externals=_externals,
    content=DetectOptions.content,
)
