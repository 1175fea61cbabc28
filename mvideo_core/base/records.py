"""The nouns: rows that stages write, one class per stage, joined by clip key. Options are elsewhere."""

from typing import ClassVar

from pydantic import Field

from mvideo_core.base.rows import Blob, Picture, Record, Row, Status

__all__ = ["Blob", "Picture", "Record", "Row", "Status"]


class SourceRow(Row):
    """plan: one source as listed, before anything is opened.

    Attributes:
        uri: "file://" + percent-encoded absolute path; "" if the listed video was not found on disk.
        root: "file://" URI of the folder that links must not leave; "" for any place.
        fingerprint: size and modification time of the file, so that a changed file is read again.
    """

    uri: str = ""
    root: str = ""
    fingerprint: str = ""
    source_url: str = ""
    licence: str = ""
    title: str = ""
    spans_s: list[list[float]] = Field(default_factory=list)  # `[]` would be copied for each of 400,000 rows


class VideoRow(Row):
    """ingest: one source video. Width and height are as displayed, after rotation and sample aspect ratio.

    Attributes:
        root: as in SourceRow; the cut stage opens the file again and restricts it to the same folder.
        picture: which stream is used, and what its samples mean.
    """

    volatile: ClassVar[tuple[str, ...]] = ("uri", "root")

    uri: str = ""
    root: str = ""
    sha256: str = ""
    size_bytes: int = 0
    container: str = ""
    codec: str = ""
    pix_fmt: str = ""
    width: int = 0
    height: int = 0
    rotation_deg: int = 0
    picture: Picture = Picture()
    fps: float = 0.0
    duration_s: float = 0.0
    source_url: str = ""
    licence: str = ""
    title: str = ""
    spans_s: list[list[float]] = []
    """Spans given by the source's own metadata (HD-VILA), seconds; provenance only unless `cut.use_spans`."""


class ClipRow(Row):
    """cut: one clip of one shot. Times are seconds of the source video; half-open [start_s, end_s).

    Attributes:
        decode_errors: source pictures within the clip that the decoder reported as damaged.
        source_errors: decoder errors over the whole source.
        color_shift: largest difference between the mean red, green or blue of clip and source, 0 to 255.
        deinterlaced, tone_mapped: what was applied to the source's pictures.
        bars: black bars that were cropped at top, bottom, left and right of the source's picture, fractions of its
            height and width; [] = none.
        jumps: frames inside the clip that have nothing in common with the one before.
    """

    volatile: ClassVar[tuple[str, ...]] = ("bars", "jumps")  # the clip's bytes say it

    shot_index: int = 0
    start_s: float = 0.0
    end_s: float = 0.0
    fps: float = 0.0
    n_frames: int = 0
    width: int = 0
    height: int = 0
    decode_errors: int = 0
    source_errors: int = 0
    color_shift: float = 0.0
    deinterlaced: bool = False
    tone_mapped: bool = False
    bars: list[float] = []
    jumps: int = 0
    clip: Blob | None = None
    source_sha256: str = ""
    source_url: str = ""
    licence: str = ""


class FilterValue(Record):
    """What one filter measured on a clip, and its limits."""

    name: str
    value: float
    limits: list[float] = []


class PerceptualHashes(Record):
    """Perceptual hashes of a clip, by which near duplicates are found.

    Attributes:
        hashes: for the whole picture and for smaller parts of it: hashes of several frames, 16 hex digits each.
        max_bits: two clips with at most this many different bits per frame are near duplicates.
    """

    hashes: list[str]
    max_bits: float


class CleanRow(Row):
    """clean: what the filters measured on a clip. A later stage depends only on which clips are kept."""

    volatile: ClassVar[tuple[str, ...]] = ("values", "look")

    values: list[FilterValue] = []
    look: PerceptualHashes | None = None


class DetectionRow(Row):
    """detect: boxes on one or several frames. `boxes_xyxy` are absolute pixels of the clip, half-open, float.

    Attributes:
        frames: clip frame of each box, ascending; empty if all are on the first.
        searched: clip frames that the detector saw, including those without a box; empty if only the first.
    """

    optional: ClassVar[tuple[str, ...]] = ("frames", "searched")

    boxes_xyxy: list[list[float]] = []
    labels: list[str] = []
    scores: list[float] = []
    model: str = ""
    weights_sha256: str = ""
    frames: list[int] = []
    searched: list[int] = []

    def on(self, frame: int) -> list[int]:
        """Numbers of the boxes on a clip frame."""
        if not self.searched:
            return list(range(len(self.labels))) if frame == 0 else []
        return [number for number, one in enumerate(self.frames) if one == frame]


class ObjectStats(Record):
    """One masklet in numbers. Fractions are of frames or of the frame's area.

    Attributes:
        object_id: index into the mask file, from 0.
        kept: False if the quality gate dropped it; `drop_reason`, `drop_value`, `drop_threshold` say why.
        drift: 1 - mean IoU of consecutive non-empty frames.
    """

    object_id: int
    label: str
    detection_score: float
    mask_score: float
    visible_frac: float
    mean_area_frac: float
    drift: float
    kept: bool = True
    drop_reason: str | None = None
    drop_value: float | None = None
    drop_threshold: float | None = None


class TrackStats(Record):
    """When one object of a clip is in sight. Frames are the clip's, spans half-open [start, end).

    Attributes:
        first_seen: frame of the first box that found it.
        seen_on: number of searched frames on which the detector saw it.
        hidden: spans without a mask in which it is behind something.
        gone: spans without a mask in which it is outside of the picture.
    """

    object_id: int
    first_seen: int
    seen_on: int
    hidden: list[list[int]] = []
    gone: list[list[int]] = []


class TrustStats(Record):
    """The IoU with the truth that is predicted for the masks of one object (`segment.trust`).

    Attributes:
        mean, least: over frames with a mask; 0 if there are none.
        sure_frac: share of these masks above the limit of `TrustModel.bounds`: of such masks, most are right.
        percent: of each frame, rounded down; -1 = no mask.
    """

    object_id: int
    mean: float
    least: float
    sure_frac: float
    percent: list[int] = []


class MaskRow(Row):
    """segment: the mask sequence of every object of a clip.

    Attributes:
        tracks: by object, if boxes on several frames were tracked.
        trust: by object, if `segment.trust.model` is set.
        features: what trust is predicted from, if `segment.trust.features` is set; a NumPy file (T, N, F).
    """

    optional: ClassVar[tuple[str, ...]] = ("tracks", "trust", "features")

    masks: Blob | None = None
    objects: list[ObjectStats] = []
    n_frames: int = 0
    width: int = 0
    height: int = 0
    model: str = ""
    weights_sha256: str = ""
    tracks: list[TrackStats] = []
    trust: list[TrustStats] = []
    features: Blob | None = None


class ObjectPhrase(Record):
    """With `caption.phrases`, every `CaptionRow` and every sample's `.json` has a list `phrases`. It has one entry per
    kept object, in the order of the mask file:

    ```json
    {"object_id": 0, "label": "dog", "color": "brown", "action": "moves to the left", "place": "center",
     "phrase": "a brown dog in the center that moves to the left", "reason": ""}
    ```

    Unknown fields are empty. If there is no phrase, `reason` says why. For the first clip of the dataset `KEY`, this
    code prints each object's phrase (or why it has none) and the area of its mask in the first frame:

    ```python
    from mvideo_core.shards.dataset import MaskVideoDataset

    sample = MaskVideoDataset("ws/datasets/KEY", members=("json", "masks"))[0]
    for object_id, words in sample.phrases().items():
        print(words.phrase or words.reason, sample.masks().mask(0, object_id).sum())
    ```

    Attributes:
        object_id: index into the mask file, as in ObjectStats.
        label: its class.
        color, action, place: its main color, what it does, and where in the picture it is; "" if unknown.
        phrase: all of that, as one noun phrase.
        reason: why there is no phrase (docs/reference/captions.md); "" if there is one.
    """

    object_id: int
    label: str
    color: str = ""
    action: str = ""
    place: str = ""
    phrase: str = ""
    reason: str = ""


class CaptionRow(Row):
    """caption: one text per clip, at most the token budget of the text encoder.

    Attributes:
        model: the captioner's name, or the id that its server returned with the answer.
        cleaned: codes of what was removed from the answer (perception/captioning/clean.py).
        answer: start of the raw answer, if it was rejected.
        phrases: one per kept object, in the order of the mask file; [] unless `caption.phrases` is on.
    """

    optional: ClassVar[tuple[str, ...]] = ("phrases",)

    text: str = ""
    captioner: str = ""
    model: str = ""
    prompt_sha256: str = ""
    n_words: int = 0
    cleaned: list[str] = []
    answer: str = ""
    phrases: list[ObjectPhrase] = []


class SampleRow(Row):
    """shard: where one <video, text, masks> triplet is. `offset_bytes` is the first member's header in the tar."""

    shard: str = ""
    split: str = ""
    offset_bytes: int = 0
    size_bytes: int = 0
    sha256: str = ""
    video_id: str = ""
    labels: list[str] = []
    n_frames: int = 0
    caption: str = ""


class PlannedSample(Record):
    """One sample of a planned shard: everything that goes into the tar, and where its files are."""

    key: str
    video_id: str
    clip: Blob
    masks: Blob
    caption: str
    labels: list[str]
    n_frames: int
    meta_json: str
    """Content of the sample's .json member, canonical JSON: source, span, objects, caption model, license."""


class ShardPlanRow(Row):
    """samples: one planned shard (`ok`), or one clip left out of the dataset (`filtered`, with its reason)."""

    dataset: str = ""
    """Folder of the dataset the shard belongs to, relative to the workspace; named by the content of the whole plan."""
    split: str = ""
    samples: list[PlannedSample] = []
    entry: str = ""
    """For a clip that a removal or held-out list excludes: the entry of that list."""


class ShardRow(Row):
    """shard: one written tar and the position of everything in it."""

    split: str = ""
    tar: Blob | None = None
    samples: list[SampleRow] = []


class LatentWindow(Record):
    """One training window in a tar of latents.

    Attributes:
        key: of the clip, as in the dataset; several windows of one clip share it.
        target_start_frame: frame of the clip at which the window's target begins.
        history: False if the clip is too short for the frames before the target (first-clip mode only).
        offset_bytes, size_bytes, sha256: content of the window's member in the tar.
        text_offset_bytes, text_size_bytes, text_sha256: content of the caption's embedding, one per clip.
    """

    key: str
    video_id: str
    caption: str
    target_start_frame: int
    history: bool
    offset_bytes: int
    size_bytes: int
    sha256: str
    text_offset_bytes: int
    text_size_bytes: int
    text_sha256: str


class LatentShardRow(Row):
    """encode: the tar of latents for one tar of the dataset (`ok`), or one clip that is too short (`filtered`)."""

    split: str = ""
    tar: Blob | None = None
    windows: list[LatentWindow] = []


PLANNED_ROWS: dict[str, type[Row]] = {"source": SourceRow, "samples": ShardPlanRow}
"""Pseudo-stages: rows that a planner commits without a worker."""
