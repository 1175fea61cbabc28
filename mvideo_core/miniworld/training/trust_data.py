"""Clips with known masks for the fit of trust: rendered, detected, tracked and measured as the pipeline does it.

One file per clip, `<split>-<look>-<when>-<seed>.npz`; existing ones are kept. Every clip shows a shot of its own, so
clips are exchangeable; the frames of a clip are not.

Letters: T frames, N masklets, F features.
"""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from mvideo_core.base.disk import new_file
from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import read_yaml
from mvideo_core.base.records import ClipRow, MaskRow
from mvideo_core.base.shipped import shipped_path
from mvideo_core.editing.mask_files import read_masks
from mvideo_core.engine.chain import valid_markers
from mvideo_core.engine.loaded_models import load_plugin
from mvideo_core.masks import MaskSequence, MaskWriter, from_bytes
from mvideo_core.masks.measure import iou
from mvideo_core.media.decode import read_frames
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.world import WorldFrame, render_shot, sample_shot
from mvideo_core.miniworld.world.make import CRF, PRESET, UNSEEN_FRAC
from mvideo_core.miniworld.world.spec import Split
from mvideo_core.perception.detection import DETECTORS
from mvideo_core.perception.detection.base import Detections
from mvideo_core.perception.detection.options import DetectOptions
from mvideo_core.perception.detection.search import search
from mvideo_core.perception.detection.select import select
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.discovery import discover
from mvideo_core.perception.segmentation.gate import object_stats
from mvideo_core.perception.segmentation.options import SegmentOptions
from mvideo_core.perception.segmentation.trust_features import FEATURES, measure_clip
from mvideo_core.perception.segmentation.two_way import Spool
from mvideo_core.store.scratch import scratch_folder
from mvideo_core.store.workspace import Workspace

log = logging.getLogger(__name__)

Look = Literal["plain", "shifted"]
WIDTH, HEIGHT, FPS, MAX_FRAMES = 384, 256, 8.0, 97
"""As in the profile `mini`."""
OVERSIZE = 2
"""Rendering scale before downscaling by area; rendered at clip size, edges would be too sharp."""


class Clip(NamedTuple):
    """One clip to draw."""

    split: Split
    seed: int
    look: Look = "plain"
    when: str = "first"

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.split}-{self.look}-{self.when}-{self.seed:06d}"


class Tracked(NamedTuple):
    """Masklets of a clip, and what is known of them besides their masks (`Discovery.known`)."""

    sequence: MaskSequence
    scores_TN: np.ndarray
    labels: list[str]
    box_scores: list[float]
    searched: list[int]
    known: dict[str, dict[int, Any]]


class Labeled(NamedTuple):
    """A measured clip with the truth.

    Attributes:
        features: float32 (T, N, F), NaN where there is no mask.
        j: float32 (T, N): IoU of each mask with its object, NaN where there is no mask.
        gate: float32 (N, 4): mask score, drift, visible share, and whether the gate without trust keeps the masklet.
    """

    features: np.ndarray
    j: np.ndarray
    gate: np.ndarray


class Collector:
    """Draws, tracks and measures clips with the models of a profile."""

    def __init__(self, profile: str | Path = ""):
        values = read_yaml(Path(profile or shipped_path("deployments/profiles") / "mini.yaml"))
        self.detect = DetectOptions.parse(values.get("detect"), "detect")
        self.segment = SegmentOptions.parse(values.get("segment"), "segment")
        self.detector = load_plugin(DETECTORS, self.detect.detector, self.detect.detector_options)
        self.segmenter = load_plugin(SEGMENTERS, self.segment.segmenter, self.segment.segmenter_options)

    def collect(self, clip: Clip, folder: Path) -> Path:
        """The clip's file, made if it does not exist."""
        path = folder / f"{clip.name}.npz"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with scratch_folder("trust") as scratch:
                truth = draw_clip(clip, scratch / "clip.mp4")
                tracked = self.track(scratch / "clip.mp4", clip.when, scratch)
                found = self.measure(scratch / "clip.mp4", tracked, truth)
            _write(path, found)
            log.info("%s: %d masklets", clip.name, len(found.gate))
        return path

    def track(self, video: Path, when: str, scratch: Path) -> Tracked:
        """Masklets of a clip; `when` as in `DetectOptions`."""
        options = self.detect.model_copy(update={"when": when})
        frames = search(read_frames(video), options.choice(FPS), self.detector, options.phrases())
        sightings: dict[int, Detections] = {}
        for number, frame, seen in frames:
            if seen is not None:
                sightings[number] = select(seen, options, *frame.shape[:2]).kept
            if when == "first":
                break
        if when != "first":
            with Spool(HEIGHT, WIDTH, scratch) as spool:
                found = discover(self.segmenter, read_frames(video), spool, HEIGHT, WIDTH, sightings)
            return Tracked(
                found.sequence, found.scores_TN, [one.label for one in found.objects],
                [one.score for one in found.objects], list(sightings), found.known(),
            )  # fmt: skip
        boxes = sightings[0]
        writer, scores = MaskWriter(len(boxes), HEIGHT, WIDTH), []
        for masks in self.segmenter.propagate(read_frames(video), HEIGHT, WIDTH, boxes.boxes_xyxy):
            writer.append(masks.masks_NHW)
            scores.append(masks.scores_N)
        held = np.array(scores, np.float32).reshape(len(scores), len(boxes))
        return Tracked(writer.finish(), held, list(boxes.labels), boxes.scores.tolist(), [], {})

    def measure(self, video: Path, tracked: Tracked, truth: MaskSequence) -> Labeled:
        """Features and truth of a tracked clip."""
        features = measure_clip(
            tracked.sequence, tracked.scores_TN, read_frames(video), tracked.box_scores, tracked.searched,
            **tracked.known,
        )  # fmt: skip
        stats = object_stats(
            tracked.sequence, tracked.scores_TN, tracked.labels, tracked.box_scores, self.segment.gate
        )  # fmt: skip
        gate = [[one.mask_score, one.drift, one.visible_frac, one.kept] for one in stats]
        j = true_j(tracked.sequence, truth, tracked.known.get("starts", {}))
        return Labeled(features, j, np.array(gate, np.float32).reshape(len(stats), 4))


def draw_clip(clip: Clip, video: Path) -> MaskSequence:
    """Write the clip's video; returns the visible part of every object."""
    rng = np.random.default_rng([clip.seed, 23])
    unseen = clip.split == "heldout" and rng.random() < UNSEEN_FRAC
    duration_s = rng.uniform(9, 14)
    spec = sample_shot(clip.seed, clip.split, unseen, duration_s, WIDTH / HEIGHT)
    n_frames = min(MAX_FRAMES, int(duration_s * FPS))
    drawn = render_shot(spec, n_frames, OVERSIZE * WIDTH, OVERSIZE * HEIGHT, FPS)
    writer = MaskWriter(len(spec.actors), HEIGHT, WIDTH)
    shifted = clip.look == "shifted"
    change = _Look(clip.seed) if shifted else None

    def pictures() -> Iterator[np.ndarray]:
        for frame in drawn:
            rgb, visible = _shrink(frame)
            writer.append(visible)
            yield rgb if change is None else change.apply(rgb)

    write_mp4(pictures(), video, FPS, crf=change.crf if change else CRF, preset=PRESET)
    return writer.finish()


def _shrink(frame: WorldFrame) -> tuple[np.ndarray, np.ndarray]:
    import cv2

    masks = [cv2.resize(one.astype(np.uint8) * 255, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) >= 128
             for one in frame.visible]  # fmt: skip
    rgb = cv2.resize(frame.rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return rgb, np.array(masks, bool).reshape(-1, HEIGHT, WIDTH)


class _Look:
    """Other colors and brightness, blur, noise and strong compression, the same through a clip."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng([seed, 29])
        self.hue, self.saturation, self.gamma = self.rng.uniform([-20, 0.4, 0.7], [20, 1.5, 1.4])
        self.blur_px, self.noise = self.rng.uniform([0.6, 4], [1.2, 10])
        self.crf = int(self.rng.integers(28, 36))

    def apply(self, rgb: np.ndarray) -> np.ndarray:
        import cv2

        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + self.hue) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] * self.saturation, 0, 255)
        out = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
        out = cv2.GaussianBlur(255 * (out / 255) ** self.gamma, (0, 0), self.blur_px)
        return np.clip(out + self.rng.normal(0, self.noise, out.shape), 0, 255).astype(np.uint8)


def true_j(sequence: MaskSequence, truth: MaskSequence, starts: dict[int, int]) -> np.ndarray:
    """IoU of every mask with its masklet's object, float32 (T, N); NaN where there is no mask.

    A masklet's object is the one with the largest IoU on the frame of its box, or on the nearest frame with a mask;
    without one, all its masks are wrong (0).
    """
    found = np.full((sequence.n_frames, sequence.n_objects), np.nan, np.float32)
    for n in range(sequence.n_objects):
        shown = [t for t in range(sequence.n_frames) if len(sequence.mask_edges(t, n))]
        if not shown:
            continue
        at = min(shown, key=lambda t: abs(t - starts.get(n, 0)))
        overlap = [iou(sequence.mask_edges(at, n), truth.mask_edges(at, obj)) for obj in range(truth.n_objects)]
        owner = int(np.argmax(overlap)) if max(overlap, default=0.0) > 0 else -1
        for t in shown:
            found[t, n] = iou(sequence.mask_edges(t, n), truth.mask_edges(t, owner)) if owner >= 0 else 0.0
    return found


def label_workspace(url: str, truth: Path, folder: Path) -> tuple[dict[str, list[Path]], SegmentOptions]:
    """Measured clips of a run that have true masks, as files in `folder`, by video; and the options of its segmenter.

    Args:
        url: the workspace; its segment stage ran with `trust.features`.
        truth: has a file or folder of masks, `<clip key>.*`, for every clip to use.

    Raises:
        ConfigError: no features, no truth, or a truth of another size or length.
    """
    workspace = Workspace.open_existing(url)
    markers = [marker for _, marker in valid_markers(workspace, "segment") if marker is not None]
    clips = {
        row.key: row.parent for _, one in valid_markers(workspace, "cut") if one for row in workspace.rows(one, ClipRow)
    }
    rows = [row for marker in markers for row in workspace.rows(marker, MaskRow) if row.features and row.masks]
    if not rows:
        raise ConfigError(f"{url}: no features of masks; run stage segment with `segment.trust.features: true`")
    seen = (path for path in sorted(truth.iterdir()) if path.suffix != ".json" and not path.name.startswith("."))
    held = {path.name.split(".")[0]: path for path in seen}
    found: dict[str, list[Path]] = {}
    for row in rows:
        if row.key in held:
            path = folder / f"own-{row.key}.npz"
            _write(path, _label(workspace, row, held[row.key]))
            found.setdefault(clips.get(row.key, row.key), []).append(path)
    if not found:
        raise ConfigError(f"{truth}: no masks named after a clip of {url}, such as {rows[0].key}.masks")
    return found, SegmentOptions.parse(markers[0].options)


def _label(workspace: Workspace, row: MaskRow, path: Path) -> Labeled:
    assert row.masks is not None
    assert row.features is not None
    sequence = from_bytes(workspace.folder.read(row.masks.path))
    features = np.load(io.BytesIO(workspace.folder.read(row.features.path)))
    true = read_masks(path).sequence
    (n_frames, _, *size), (n_true, _, *true_size) = sequence.shape, true.shape
    if (n_frames, size) != (n_true, true_size):
        raise ConfigError(
            f"{path}: {n_true} frames of {true_size[1]} x {true_size[0]} px, but clip {row.key} has {n_frames} of "
            f"{size[1]} x {size[0]} px; draw the masks on the clip itself"
        )
    gate = [[one.mask_score, one.drift, one.visible_frac, one.kept] for one in row.objects]
    starts = {one.object_id: one.first_seen for one in row.tracks}
    return Labeled(features, true_j(sequence, true, starts), np.array(gate, np.float32).reshape(len(gate), 4))


def _write(path: Path, clip: Labeled) -> None:
    with new_file(path) as part:
        np.savez_compressed(part, **clip._asdict())


def read_clip(path: Path) -> Labeled:
    """A clip's file. Raises ConfigError: its features are from another version."""
    with np.load(path) as held:
        found = Labeled(*(held[name] for name in Labeled._fields))
    if found.features.shape[2] != len(FEATURES):
        raise ConfigError(
            f"{path}: {found.features.shape[2]} features per mask, expected {len(FEATURES)}: from another version; "
            "delete it, or run stage segment again"
        )
    return found
