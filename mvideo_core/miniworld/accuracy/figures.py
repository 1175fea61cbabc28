"""Results of an accuracy run as records, the content of `accuracy.json`."""

from typing import Literal

from mvideo_core.base.records import Record


class Score(Record):
    """Found versus expected.

    Attributes:
        hits, misses, false_alarms: counts.
    """

    hits: int
    misses: int
    false_alarms: int
    precision: float | None
    recall: float | None
    f1: float | None

    @classmethod
    def of(cls, hits: int, misses: int, false_alarms: int) -> "Score":
        """Compute rates from three counts; a rate with denominator 0 is None."""
        precision = hits / (hits + false_alarms) if hits + false_alarms else None
        recall = hits / (hits + misses) if hits + misses else None
        f1 = 2 * hits / (2 * hits + misses + false_alarms) if hits + misses + false_alarms else None
        return cls(hits=hits, misses=misses, false_alarms=false_alarms, precision=precision, recall=recall, f1=f1)


class CutFigures(Record):
    """Detected versus true cuts.

    Attributes:
        by_kind: hard, dissolve, fade. A false alarm counts for the kind of the nearest true cut within 1 s,
            else for "hard".
        tolerance_s: maximum distance between a boundary and the true transition.
    """

    tolerance_s: float
    all: Score
    by_kind: dict[str, Score]


class DetectionFigures(Record):
    """Detections on first frames.

    Attributes:
        all: objects located at the required IoU, regardless of label, over all objects.
        seen, unseen: recall for COCO classes and other classes (false alarms are counted in `all`).
        class_accuracy: fraction of located COCO-class objects with the correct label; None if none was located.
        mean_iou: over located objects.
        by_class: class -> (expected, located, correctly labeled).
        confusions: "true > predicted" -> count.
    """

    iou_threshold: float
    n_frames: int
    all: Score
    seen: Score
    unseen: Score
    class_accuracy: float | None
    mean_iou: float
    by_class: dict[str, list[int]]
    confusions: dict[str, int]


class MaskGroup(Record):
    """Masklets of one group: means over objects of means over frames."""

    n_objects: int
    j: float
    f: float
    j_and_f: float


class TrackingFigures(Record):
    """Masklets as tracks, over all frames; each clip is a sequence.

    Attributes:
        visible: every object expected in any frame of a clip; those without a masklet count as 0.
        found: of these, objects with a masklet that is on them (IoU of at least 0.5) in at least one frame.
        mostly_followed: of these, objects whose masklet is on them in at least half of the frames that show them.
        hota, det_a, ass_a, idf1, switches: as in trackeval for masks; objects that are too small or too hidden in a
            frame are ignored there.
    """

    visible: MaskGroup
    found: int
    mostly_followed: int
    hota: float
    det_a: float
    ass_a: float
    idf1: float
    switches: int


class MaskFigures(Record):
    """Mask sequences over all frames of all clips.

    Attributes:
        matched: objects that the pipeline tracked (mask IoU of at least `match_iou` on the first frame).
        all: every expected object on the first frame; untracked ones count as 0.
        kept: matched objects that passed the quality gate.
        by_size: small, medium, large: mean visible area below 1.5%, up to 5%, above.
        by_occlusion: clear (always at least 95% visible), partial, vanishes (temporarily out of sight).
        by_class_kind: seen, unseen.
        first_frame_j: mean J of matched objects on frame 0 only.
        crossings, crossings_kept: object pairs that overlap and separate; those after which the masklet is still on its
            own object.
        returns, returns_kept: objects that leave and come back; those that are found again.
        false_masklets: masklets on anything that is neither expected nor ignored.
        tracking: the same masklets as tracks.
    """

    match_iou: float
    n_clips: int
    n_frames: int
    matched: MaskGroup
    all: MaskGroup
    kept: MaskGroup
    by_size: dict[str, MaskGroup]
    by_occlusion: dict[str, MaskGroup]
    by_class_kind: dict[str, MaskGroup]
    by_class: dict[str, MaskGroup]
    first_frame_j: float
    crossings: int
    crossings_kept: int
    returns: int
    returns_kept: int
    false_masklets: int
    tracking: TrackingFigures


class IdentityCase(Record):
    """One tracked object that met another or was out of sight, and where its masklet is afterwards.

    Attributes:
        object_id, mask_index: index of the object in the shot's truth, and of its masklet in the mask file.
        from_frame: clip frame of the first overlap, or the first frame out of sight.
        kept: the masklet is on its own object in the following frames.
        j_own: mean J of the masklet with its own object over these frames.
    """

    video: str
    clip: str
    object_id: int
    label: str
    mask_index: int
    from_frame: int
    kept: bool
    j_own: float

    @property
    def over_frame(self) -> int:
        """The first clip frame after the crossing or absence."""
        raise NotImplementedError


class Crossing(IdentityCase):
    """Two objects overlap and separate again.

    Attributes:
        other_mask_index: masklet of the other object; -1 if it was not tracked.
        parted_frame: the first clip frame with both fully visible again.
        j_other: mean J of the masklet with the other object over the following frames.
    """

    other_id: int
    other_label: str
    other_mask_index: int
    parted_frame: int
    j_other: float

    @property
    def over_frame(self) -> int:
        """The first clip frame after the crossing."""
        return self.parted_frame


class Return(IdentityCase):
    """An object leaves and comes back: `back_frame` is the first clip frame where it is clearly visible again."""

    back_frame: int

    @property
    def over_frame(self) -> int:
        """The first clip frame after the absence."""
        return self.back_frame


class CaptionFigures(Record):
    """Facts in captions.

    Attributes:
        classes: true classes mentioned, and mentioned classes that are absent.
        actions: objects whose action is mentioned, out of those whose class is mentioned.
        directions: objects moving left or right, for which the caption gives that direction (hits),
            the opposite one (false alarms) or none (misses).
    """

    n_clips: int
    classes: Score
    actions: Score
    directions: Score


class FunnelFigures(Record):
    """Accounting of every true shot.

    Attributes:
        long_kept, long_lost: shots clearly longer than the limit, with and without a clip.
        short_dropped, short_kept: shots clearly shorter, without and with a clip.
        either: shots within the margin of the limit; both outcomes are correct.
        mixed_clips: clips that contain a true cut.
        unaccounted: shots with neither a clip nor a dropped row.
        failed_videos: videos whose cut stage failed or wrote no rows.
    """

    min_shot_s: float
    margin_s: float
    n_videos: int
    n_shots: int
    n_clips: int
    long_kept: int
    long_lost: int
    short_dropped: int
    short_kept: int
    either: int
    mixed_clips: int
    unaccounted: int
    failed_videos: int
    correct_frac: float


class BadCase(Record):
    """A case to inspect: `value` is J&F of a masklet, or IoU of a box, 0 for a miss or a false alarm."""

    kind: Literal["masks", "missed", "false box", "wrong name", "mixed clip", "lost shot"]
    video: str
    clip: str
    label: str
    value: float
    object_id: int = -1
    mask_index: int = -1
    box_xyxy: list[float] = []
    note: str = ""


class AccuracyReport(Record):
    """All measurements. Sections without rows are None; `crossings` and `returns` are the ones counted in `masks`."""

    version: int = 1
    options: dict[str, object]
    truth: str
    cuts: CutFigures | None
    detection: DetectionFigures | None
    masks: MaskFigures | None
    captions: CaptionFigures | None
    funnel: FunnelFigures
    worst: list[BadCase]
    crossings: list[Crossing] = []
    returns: list[Return] = []
