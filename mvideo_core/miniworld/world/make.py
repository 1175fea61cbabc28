"""Write source videos with ground truth: atomic, resumable; same arguments, same bytes."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mvideo_core.base.disk import work_folder, write_whole
from mvideo_core.base.errors import ConfigError
from mvideo_core.masks import MaskWriter
from mvideo_core.media.encode import write_mp4
from mvideo_core.miniworld.world.captions import describe, direction_of
from mvideo_core.miniworld.world.kinds import kind_of
from mvideo_core.miniworld.world.render import full_area
from mvideo_core.miniworld.world.source import SourceFrame, SourceSpec, cut_frames, render_source, sample_source
from mvideo_core.miniworld.world.spec import ActorSpec, Split
from mvideo_core.miniworld.world.truth import SourceTruth, TruthCut, TruthObject, TruthShot
from mvideo_core.processes.parallel_map import side_by_side

log = logging.getLogger(__name__)

UNSEEN_FRAC = 0.25
"""Fraction of held-out shots that feature an unseen class; training and validation have none."""


CRF, PRESET = 23, "superfast"
"""superfast does not use macroblock tree, whose AVX-512 code in x264 is not deterministic."""


def make_world(
    folder: str | Path,
    n_videos: int,
    seed: int = 0,
    split: Split = "heldout",
    unseen_frac: float | None = None,
    n_shots: int | None = None,
    processes: int = 1,
) -> list[SourceTruth]:
    """Create source videos `seed`, `seed + 1`, ... of a split; existing ones are kept.

    Args:
        folder: gets `<name>.mp4` and `truth/`.
        unseen_frac: fraction of shots with a class outside COCO; None = 0.25 for "heldout", otherwise 0.
        n_shots: shots per video; None = 3 to 5, by seed.
        processes: videos rendered in parallel; does not affect the bytes.

    Returns:
        The ground truth of every video; masks stay on disk.

    Raises:
        ConfigError: no video requested, or unseen classes requested in a training split.
    """
    if n_videos < 1:
        raise ConfigError(f"n_videos is {n_videos}; it must be at least 1")
    frac = unseen_frac if unseen_frac is not None else (UNSEEN_FRAC if split == "heldout" else 0.0)
    if frac and split == "train":
        raise ConfigError(f"unseen_frac {frac} in split 'train': unseen classes must not be used in training")
    specs = [sample_source(seed + index, split, frac, n_shots) for index in range(n_videos)]
    truths = []
    for spec, truth in zip(specs, side_by_side(partial(write_source, folder=folder), specs, processes), strict=True):
        truths.append(truth)
        log.info("world video %d of %d: %s, %d frames", len(truths), n_videos, spec.name, spec.n_frames)
    return truths


def write_source(spec: SourceSpec, folder: str | Path) -> SourceTruth:
    """Write the video and its ground truth to `folder`; skipped if both are complete.

    The truth's JSON is renamed into place last, so if it exists, everything else does.

    Raises:
        StoreError: the disk cannot be written.
    """
    from mvideo_core.miniworld.world.truth import read_truth

    folder = Path(folder)
    truth_dir = folder / "truth"
    final = truth_dir / f"{spec.name}.json"
    if final.is_file() and (folder / f"{spec.name}.mp4").is_file():
        return read_truth(final)
    with work_folder(folder / spec.name) as work:
        truth_dir.mkdir(exist_ok=True)
        recorder = _Recorder(spec)
        write_mp4(recorder.frames(), work / f"{spec.name}.mp4", spec.fps, crf=CRF, preset=PRESET)
        truth = recorder.truth(work)
        for file in sorted(work.glob("*.masks")):
            file.replace(truth_dir / file.name)
        (work / f"{spec.name}.mp4").replace(folder / f"{spec.name}.mp4")
        write_whole(final, json.dumps(truth.model_dump(mode="json"), separators=(",", ":")))
    return truth


class _Recorder:
    """Records the ground truth while the encoder pulls frames."""

    def __init__(self, spec: SourceSpec):
        self.spec = spec
        counts = [len(shot.actors) for shot in spec.shots]
        self.visible = [MaskWriter(count, spec.height, spec.width) for count in counts]
        self.amodal = [MaskWriter(count, spec.height, spec.width) for count in counts]
        self.boxes: list[list[list[list[int] | None]]] = [[[] for _ in range(count)] for count in counts]
        self.areas: list[list[list[int]]] = [[[] for _ in range(count)] for count in counts]
        self.full: list[list[list[int]]] = [[[] for _ in range(count)] for count in counts]
        self.camera: list[list[list[float]]] = [[] for _ in counts]

    def frames(self) -> Iterator:
        for frame in render_source(self.spec):
            self._note(frame)
            yield frame.rgb

    def _note(self, frame: SourceFrame) -> None:
        for index, _, shown in frame.shots:
            shot = self.spec.shots[index]
            self.visible[index].append(shown.visible)
            self.amodal[index].append(shown.amodal)
            self.camera[index].append([round(value, 5) for value in shown.camera])
            areas = shown.visible.sum(axis=(1, 2))
            for actor, box, area in zip(shot.actors, shown.boxes(), areas, strict=True):
                self.boxes[index][actor.object_id].append([int(v) for v in box] if area else None)
                self.areas[index][actor.object_id].append(int(area))
                full = full_area(shot, actor, shown.t_s, self.spec.width, self.spec.height)
                self.full[index][actor.object_id].append(full)

    def truth(self, folder: Path) -> SourceTruth:
        """The recorded ground truth; writes the mask files to `folder`."""
        spec, rate = self.spec, float(self.spec.fps)
        cuts = [TruthCut(kind=kind, time_s=(first + end) / 2 / rate, start_s=first / rate, end_s=end / rate)
                for kind, first, end in cut_frames(spec)]  # fmt: skip
        return SourceTruth(
            name=spec.name,
            video=f"{spec.name}.mp4",
            seed=spec.seed,
            split=spec.split,
            width=spec.width,
            height=spec.height,
            fps_num=spec.fps.numerator,
            fps_den=spec.fps.denominator,
            n_frames=spec.n_frames,
            cuts=cuts,
            shots=[self._shot(index, cuts, folder) for index in range(len(spec.shots))],
        )

    def _shot(self, index: int, cuts: list[TruthCut], folder: Path) -> TruthShot:
        spec, shot, rate = self.spec, self.spec.shots[index], float(self.spec.fps)
        first, length = spec.starts()[index], spec.lengths[index]
        stem = f"{spec.name}.shot{index:03d}"
        for name, writer in (("visible", self.visible[index]), ("amodal", self.amodal[index])):
            (folder / f"{stem}.{name}.masks").write_bytes(writer.finish().to_bytes())
        return TruthShot(
            index=index,
            seed=shot.seed,
            first_frame=first,
            n_frames=length,
            start_s=first / rate,
            end_s=(first + length) / rate,
            clean_start_s=cuts[index - 1].end_s if index else 0.0,
            clean_end_s=cuts[index].start_s if index < len(cuts) else (first + length) / rate,
            scene=shot.scene.kind,
            camera=shot.camera.kind,
            camera_xyz=self.camera[index],
            caption=describe(shot),
            objects=[self._object(index, actor) for actor in shot.actors],
            visible_masks=f"{stem}.visible.masks",
            amodal_masks=f"{stem}.amodal.masks",
        )

    def _object(self, index: int, actor: ActorSpec) -> TruthObject:
        shot = self.spec.shots[index]
        one = kind_of(actor.kind)
        return TruthObject(
            object_id=actor.object_id,
            label=actor.kind,
            unseen=one.unseen,
            action=actor.action,
            verb=next(action.verb for action in one.actions if action.name == actor.action),
            direction=direction_of(actor, shot.duration_s),
            color=actor.look.word,
            role=actor.role,
            depth_rank=sorted(other.depth for other in shot.actors).index(actor.depth),
            boxes_xyxy=self.boxes[index][actor.object_id],
            visible_px=self.areas[index][actor.object_id],
            full_px=self.full[index][actor.object_id],
        )
