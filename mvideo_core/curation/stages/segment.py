"""Stage segment: a clip and its boxes -> the mask sequence of every object (paper, section 4.1), and the gate."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import MediaError
from mvideo_core.base.records import ClipRow, DetectionRow, MaskRow, Row, TrackStats
from mvideo_core.base.stopping import stop_between
from mvideo_core.curation.stages.detect import clip_of
from mvideo_core.engine.loaded_models import load_plugin, weights_digests
from mvideo_core.engine.stage import Item, Stage, StageContext, Worker
from mvideo_core.masks import MaskSequence, MaskWriter
from mvideo_core.media.decode import read_ahead, read_frames
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import report_progress, with_phrases
from mvideo_core.perception.segmentation.corrections import Objects, correct, judge
from mvideo_core.perception.segmentation.discovery import Discovery, Found, absences, discover
from mvideo_core.perception.segmentation.gate import object_stats
from mvideo_core.perception.segmentation.options import SegmentOptions
from mvideo_core.perception.segmentation.trust import TrustModel, find_model, model_path, trust_stats
from mvideo_core.perception.segmentation.trust_features import measure_clip
from mvideo_core.perception.segmentation.two_way import Spool
from mvideo_core.store.decisions import LocatedDecision, masks_id


class _Tracked(NamedTuple):
    """Objects of a clip; `tracks` and `known` (`Discovery.known`) are empty if only its first frame was searched."""

    objects: Objects
    tracks: list[TrackStats]
    known: dict[str, Any]


class SegmentWorker(Worker):
    """Streams clips through the segmenter one at a time; all objects of a clip together."""

    def __init__(self, options: SegmentOptions, context: StageContext):
        self.options, self.context = options, context
        self.segmenter = load_plugin(SEGMENTERS, options.segmenter, options.segmenter_options)
        self.trust_model = _trust_model(options) if options.trust.model else None

    def work(self, items: Sequence[Item]) -> list[list[Row]]:
        """One MaskRow per clip; filtered ("no_object_passed") if the gate keeps no object."""
        return [[self._segment(item)] for item in items]

    def _segment(self, item: Item) -> MaskRow:
        clip, boxes = clip_of(item), item.row(DetectionRow)
        decided = self._decisions(item, boxes)
        model = {"model": self.segmenter.model_name, "weights_sha256": self.segmenter.weights_sha256}
        if any((one.decision.object, one.decision.action) == (None, "reject") for one in decided):
            size = {"n_frames": clip.n_frames, "width": clip.width, "height": clip.height}
            return MaskRow.filter_row(clip.key, clip.key, "rejected", 1.0, 0.0, **size, **model)
        found = self._find(clip, boxes)
        if decided:
            found = self._correct(clip, found, decided)
        made = found.objects
        trust = self._trust(item, boxes, found) if self.options.trust.on else {}
        objects = object_stats(
            made.sequence, made.scores_TN, made.labels, made.box_scores, self.options.gate, trust.get("trust", ())
        )  # fmt: skip
        objects = judge(objects, decided)
        blob = self.context.commit_bytes(made.sequence.to_bytes(), f"{clip.key}.masks", item.content_key)
        row = MaskRow(
            key=clip.key,
            parent=clip.key,
            masks=blob,
            objects=objects,
            n_frames=made.sequence.n_frames,
            width=clip.width,
            height=clip.height,
            tracks=found.tracks,
            **model,
            **trust,
        )
        if any(one.kept for one in objects):
            return row
        gone = {"status": "filtered", "reason": "no_object_passed", "value": 0.0, "threshold": 1.0}
        return row.model_copy(update=gone)

    def _decisions(self, item: Item, boxes: DetectionRow) -> list[LocatedDecision]:
        """The reviewer's decisions about this clip, without those about objects of other masks (`find_unused`)."""
        masks = masks_id(boxes, self.segmenter.model_name, self.segmenter.weights_sha256) if item.decisions else ""
        return [one for one in item.decisions if one.decision.masks in ("", masks)]

    def _find(self, clip: ClipRow, boxes: DetectionRow) -> "_Tracked":
        """The objects of a clip, tracked.

        Raises:
            MediaError: the clip has another number of frames than its row says.
        """
        if boxes.searched:
            found = self._discover(clip, boxes)
            labels, box_scores = [one.label for one in found.objects], [one.score for one in found.objects]
            tracks = [_track_stats(found.sequence, n, one) for n, one in enumerate(found.objects)]
            tracked = _Tracked(Objects(found.sequence, found.scores_TN, labels, box_scores, {}), tracks, found.known())
        else:
            sequence, scores_TN = self._propagate(clip, boxes)
            tracked = _Tracked(Objects(sequence, scores_TN, list(boxes.labels), list(boxes.scores), {}), [], {})
        if (n_frames := len(tracked.objects.scores_TN)) != clip.n_frames:
            raise MediaError(f"{clip.key}: {n_frames} frames decoded, its row says {clip.n_frames}")
        return tracked

    def _correct(self, clip: ClipRow, found: "_Tracked", decided: list[LocatedDecision]) -> "_Tracked":
        """The objects after a reviewer's decisions."""
        assert clip.clip is not None
        path, objects = self.context.local(clip.clip), found.objects
        segmenter = with_phrases(self.segmenter, [*objects.labels, *(one.decision.label for one in decided)])
        made = correct(
            objects, decided, segmenter, lambda: read_frames(path),
            lambda: Spool(clip.height, clip.width, self.context.scratch), clip.key,
        )  # fmt: skip
        agreed = {n: one for n, one in found.known.get("agreement", {}).items() if n not in made.first_seen}
        known = found.known | {"starts": found.known.get("starts", {}) | made.first_seen, "agreement": agreed}
        return _Tracked(made, _replace_corrected(found.tracks, made) if found.known else [], known)

    def _trust(self, item: Item, boxes: DetectionRow, found: "_Tracked") -> dict[str, Any]:
        """The row's fields about trust."""
        clip, made = clip_of(item), found.objects
        assert clip.clip is not None
        frames = read_ahead(read_frames(self.context.local(clip.clip)))
        features = measure_clip(
            made.sequence, made.scores_TN, frames, made.box_scores, boxes.searched, **found.known
        )  # fmt: skip
        fields: dict[str, Any] = {}
        if self.trust_model is not None:
            fields["trust"] = trust_stats(self.trust_model.predict(features), self.trust_model.bounds)
        if self.options.trust.features:
            content = io.BytesIO()
            np.save(content, features)
            name = f"{item.key}.features.npy"
            fields["features"] = self.context.commit_bytes(content.getvalue(), name, item.content_key)
        return fields

    def _propagate(self, clip: ClipRow, boxes: DetectionRow) -> tuple[MaskSequence, np.ndarray]:
        """Masks and scores of the boxes on the first frame."""
        assert clip.clip is not None
        frames = read_ahead(read_frames(self.context.local(clip.clip)))
        boxes_xyxy = np.asarray(boxes.boxes_xyxy, np.float32)
        writer = MaskWriter(len(boxes.labels), clip.height, clip.width)
        scores: list[np.ndarray] = []
        masks = with_phrases(self.segmenter, boxes.labels).propagate(frames, clip.height, clip.width, boxes_xyxy)
        for found in stop_between(report_progress(masks, clip.key, clip.n_frames)):
            writer.append(found.masks_NHW)
            scores.append(found.scores_N)
        return writer.finish(), np.array(scores, np.float32).reshape(len(scores), len(boxes.labels))

    def _discover(self, clip: ClipRow, boxes: DetectionRow) -> Discovery:
        """Objects of all searched frames, tracked both ways."""
        assert clip.clip is not None
        sightings = {number: _boxes_on(boxes, number) for number in boxes.searched}
        frames = read_ahead(read_frames(self.context.local(clip.clip)))
        with Spool(clip.height, clip.width, self.context.scratch) as spool:
            segmenter = with_phrases(self.segmenter, boxes.labels)
            return discover(segmenter, frames, spool, clip.height, clip.width, sightings, clip.key, clip.n_frames)


def _boxes_on(row: DetectionRow, frame: int) -> Detections:
    numbers = row.on(frame)
    boxes = np.array([row.boxes_xyxy[n] for n in numbers], np.float32).reshape(-1, 4)
    scores = np.array([row.scores[n] for n in numbers], np.float32)
    return Detections(boxes, scores, [row.labels[n] for n in numbers])


def _track_stats(sequence: MaskSequence, obj: int, found: Found) -> TrackStats:
    first_seen, seen_on = found.masklet.start, len(found.seen_on)
    return TrackStats(object_id=obj, first_seen=first_seen, seen_on=seen_on, **_away(sequence, obj))


def _away(sequence: MaskSequence, obj: int) -> dict[str, list[list[int]]]:
    """Spans in which an object is hidden, and in which it is gone."""
    away = absences(sequence, obj)
    return {
        name: [[one.start, one.end] for one in away if one.gone == gone]
        for name, gone in (("hidden", False), ("gone", True))
    }


def _replace_corrected(tracks: list[TrackStats], made: Objects) -> list[TrackStats]:
    """Tracks with those of the objects that a reviewer corrected or added."""
    corrected = list(tracks)
    for n, first in sorted(made.first_seen.items()):
        seen_on = tracks[n].seen_on if n < len(tracks) else 0
        one = TrackStats(object_id=n, first_seen=first, seen_on=seen_on, **_away(made.sequence, n))
        corrected[n : n + 1] = [one]
    return corrected


def _numbers(item: Item, row: MaskRow) -> str:
    """What the object numbers of a row refer to, in decisions."""
    return masks_id(item.row(DetectionRow), row.model, row.weights_sha256)


def _externals(options: SegmentOptions) -> dict[str, str]:
    weights = weights_digests(SEGMENTERS, options.segmenter, options.segmenter_options, "segmenter")
    if not options.trust.model:
        return weights
    _trust_model(options)
    return weights | {"trust": file_sha256(model_path(options.trust.model))}


def _trust_model(options: SegmentOptions) -> TrustModel:
    """The predictor of trust. Raises ConfigError if it was fitted for another segmenter."""
    weights = weights_digests(SEGMENTERS, options.segmenter, options.segmenter_options, "segmenter")
    return find_model(options.trust.model, options.segmenter, weights)


class ObjectsPerClip:
    """Clips have fewer or more objects on average than expected."""

    def __init__(self, options: SegmentOptions):
        self.few, self.many = options.warn_few_objects, options.warn_many_objects
        self.clips = self.objects = 0

    def add(self, row: MaskRow) -> None:
        """Count the objects that the gate kept."""
        self.clips += row.status != "failed"
        self.objects += sum(one.kept for one in row.objects)

    def problems(self) -> list[str]:
        """The mean, if it is out of range."""
        mean = self.objects / self.clips if self.clips else self.few
        if self.few <= mean <= self.many:
            return []
        limit = f"warn_few_objects {self.few:g}" if mean < self.few else f"warn_many_objects {self.many:g}"
        return [
            f"{mean:.2f} objects per clip on average over {self.clips} clips ({limit}): "
            "check detect.classes, detect.box_threshold and segment.gate"
        ]


STAGE = Stage(
    name="segment",
    revision=2,  # 2: version 2 of the `.masks` file
    title="Track the detected objects as mask sequences.",
    reads=("cut", "detect"),
    unit="clip",
    options=SegmentOptions,
    row=MaskRow,
    resource="gpu",
    open=SegmentWorker,
    externals=_externals,
    content=SegmentOptions.content,
    checks=(ObjectsPerClip,),
    reviewed=_numbers,
)
