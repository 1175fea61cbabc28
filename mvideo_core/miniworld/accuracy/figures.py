"""The numbers of an accuracy run, as records: what `accuracy.json` holds."""

from typing import Literal

from mvideo_core.base.records import Record


class Score(Record):
    """Found against wanted.

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
        """The rates of three counts; a rate over nothing is None, never a number."""
        precision = hits / (hits + false_alarms) if hits + false_alarms else None
        recall = hits / (hits + misses) if hits + misses else None
        f1 = 2 * hits / (2 * hits + misses + false_alarms) if hits + misses + false_alarms else None
        return cls(hits=hits, misses=misses, false_alarms=false_alarms, precision=precision, recall=recall, f1=f1)


class CutFigures(Record):
    """Cuts found against cuts made.

    Attributes:
        by_kind: hard, dissolve, fade. A false alarm counts against the kind of the nearest true cut within 1 s,
            else against "hard".
        tolerance_s: how far from the true transition a boundary may lie.
    """

    tolerance_s: float
    all: Score
    by_kind: dict[str, Score]


class DetectionFigures(Record):
    """First frames.

    Attributes:
        all: located at the IoU asked for, whatever the name, over all objects.
        seen, unseen: recall by whether the class is one of COCO's (false alarms stand in `all`).
        class_accuracy: share of located COCO-class objects with the right name; None when none was located.
        mean_iou: over located objects.
        by_class: class -> (asked for, located, named right).
        confusions: "true > given" -> count.
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


class MaskFigures(Record):
    """Mask sequences over all frames of all clips.

    Attributes:
        matched: objects that the pipeline followed (mask IoU of at least `match_iou` on the first frame).
        all: every object asked for on the first frame; one that was not followed counts as 0.
        kept: matched objects that the quality gate let through.
        by_size: small, medium, large: mean visible area below 1.5 %, up to 5 %, above.
        by_occlusion: clear (never less than 95 % visible), partial, vanishes (out of sight for a while).
        by_class_kind: seen, unseen.
        first_frame_j: mean J of matched objects on frame 0 alone.
        crossings, crossings_kept: object pairs that overlap and part again; those after which the masklet is still on
            its own object.
        returns, returns_kept: objects that go out of sight and come back; those that are found again.
        false_masklets: masklets on nothing that was asked for or ignored.
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


class IdentityCase(Record):
    """One followed object that met another or was out of sight, and where its masklet is afterwards.

    Attributes:
        object_id, mask_index: number of the object in the shot's truth, and of its masklet in the mask file.
        from_frame: clip frame of the first overlap, or the first one out of sight.
        kept: the masklet is on its own object over the frames after.
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
        """The first clip frame after the meeting or absence."""
        raise NotImplementedError


class Crossing(IdentityCase):
    """Two objects overlap and part again.

    Attributes:
        other_mask_index: masklet of the other object; -1 when it was not followed.
        parted_frame: the first clip frame at which both are whole again.
        j_other: mean J of the masklet with the other object over the frames after.
    """

    other_id: int
    other_label: str
    other_mask_index: int
    parted_frame: int
    j_other: float

    @property
    def over_frame(self) -> int:
        """The first clip frame after the meeting."""
        return self.parted_frame


class Return(IdentityCase):
    """An object goes out of sight and comes back: `back_frame` is the first clip frame well in sight again."""

    back_frame: int

    @property
    def over_frame(self) -> int:
        """The first clip frame after the absence."""
        return self.back_frame


class CaptionFigures(Record):
    """Facts in captions.

    Attributes:
        classes: true classes mentioned, and classes of the world mentioned that are not there.
        actions: objects whose action is said, of those whose class is mentioned.
        directions: objects that travel left or right across the picture and of which the caption says so (hits), says
            the opposite (false alarms) or nothing (misses).
    """

    n_clips: int
    classes: Score
    actions: Score
    directions: Score


class FunnelFigures(Record):
    """Every true shot accounted for.

    Attributes:
        long_kept, long_lost: shots surely longer than the limit with and without a clip.
        short_dropped, short_kept: shots surely shorter, without and with a clip.
        either: shots within the margin of the limit; nothing is asked of them.
        mixed_clips: clips with a true cut inside.
        unaccounted: shots with neither a clip nor a dropped row.
        failed_videos: videos whose cut failed or left no row at all.
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
    """Something to look at: `value` is J&F of a masklet, or IoU of a box, 0 for a miss or a false alarm."""

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
    """Everything measured. Sections without rows are None; `crossings` and `returns` are those counted in `masks`."""

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
