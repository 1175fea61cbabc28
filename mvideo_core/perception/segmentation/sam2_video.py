"""SAM2 video propagation with the sam2 package: all objects in one batch, memory independent of clip length.

The package's own `SAM2VideoPredictor` reads a folder of JPEGs, keeps every frame and mask, and tracks object by object.
Here its network runs through the same steps (`_track_step`, `_encode_memory_in_output`) on a frame stream, and drops
what it can no longer attend to. Masks equal the stock predictor's to about 1e-5 of a logit (tested), with hole filling
and non-overlap constraints off in both.

Shape letters: N objects, S the network's input side, h = w = S / 4 mask logits.
Source: Ravi et al. 2024 (arXiv:2408.00714).
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.listing import visible_files
from mvideo_core.base.options import Options
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import FrameMasks, check_boxes, check_frame
from mvideo_core.perception.segmentation.sam2_attention import average_before_projection
from mvideo_core.perception.segmentation.sam2_build import PUBLIC, build_predictor, load_predictor, read_config
from mvideo_core.perception.segmentation.sam2_features import GPU_FRAMES, Features, FrameEncoder
from mvideo_core.perception.transfers import Download, Precision, autocast, on_gpu, run_eager

if TYPE_CHECKING:
    import torch
    from sam2.sam2_video_predictor import SAM2VideoPredictor

log = logging.getLogger(__name__)

ENDLESS = 1 << 30
"""Clip length passed to the network for clips longer than the pointer window; it only compares frames with it."""
BACKEND: Any = "inductor"
"""torch.compile's backend that generates fast code."""
COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of objects for which graphs are compiled."""


def tiny_arch(width: int = 32, memory_width: int = 16) -> dict[str, Any]:
    """Overrides for a network with every part of the public one, at 64 px input and with few channels."""
    attention = {"embedding_dim": width, "feat_sizes": [4, 4]}
    return {
        "image_size": 64,
        "num_maskmem": 3,
        "max_obj_ptrs_in_encoder": 4,
        "image_encoder": {
            "trunk": {"embed_dim": 8, "stages": [1, 1, 1, 1], "global_att_blocks": [], "window_spec": [4, 4, 4, 4]},
            "neck": {
                "d_model": width,
                "backbone_channel_list": [64, 32, 16, 8],
                "position_encoding": {"num_pos_feats": width},
            },
        },
        "memory_attention": {
            "d_model": width,
            "num_layers": 1,
            "layer": {
                "d_model": width,
                "dim_feedforward": 32,
                "self_attention": attention,
                "cross_attention": {**attention, "kv_in_dim": memory_width},
            },
        },
        "memory_encoder": {
            "out_dim": memory_width,
            "in_dim": width,
            "position_encoding": {"num_pos_feats": memory_width},
            "mask_downsampler": {"embed_dim": width},
            "fuser": {"layer": {"dim": width}},
        },
    }


class Sam2Options(Options):
    """Weights and execution settings."""

    weights: str = Field(
        default="mini",
        description='"mini", a catalog name ("sam2.1-hiera-tiny"), a model folder, or a checkpoint file',
    )
    arch: Literal["", "sam2.1_hiera_t", "sam2.1_hiera_s", "sam2.1_hiera_b+", "sam2.1_hiera_l"] = Field(
        default="", description="architecture of a checkpoint file, if its name does not show it"
    )
    image_size: int = Field(
        default=0,
        ge=0,
        le=2048,
        multiple_of=32,
        description="network input side, px; 0 = the model's own, which is best",
    )
    precision: Precision = Field(
        default="fp32", description="bf16 = autocast on CUDA, about twice as fast; CPUs always use fp32"
    )
    frames_per_pass: int = Field(
        default=0,
        ge=0,
        le=GPU_FRAMES,
        description="frames in one pass of the image encoder; 0 = 8 on a GPU, 1 on a CPU; affects memory, not results",
    )
    compile: bool = Field(
        default=False,
        description="torch.compile the network: about a minute once per number of objects, then faster frames on a GPU",
    )
    max_objects_per_pass: int = Field(
        default=32,
        ge=1,
        description="objects tracked in one batch; halved automatically if the device runs out of memory",
    )


class Step(NamedTuple):
    """One frame of some objects before upscaling to pixels: mask logits (N, 1, h, w) and scores (N)."""

    logits: "torch.Tensor"
    scores: "torch.Tensor"


@SEGMENTERS.register("sam2")
class Sam2Segmenter:
    """Boxes on the first frame -> masks of all frames, with a `SAM2VideoPredictor`.

    Args:
        predictor: the network in eval mode; moved to `device`.
        model_name, weights_sha256: for the row.
    """

    Options: ClassVar[type[Options]] = Sam2Options

    def __init__(
        self,
        predictor: "SAM2VideoPredictor",
        options: Sam2Options,
        device: str = "cpu",
        model_name: str = "sam2",
        weights_sha256: str = "",
    ):
        self.options = options
        self.device = device
        self.network = predictor.to(device).eval()
        self.model_name = model_name
        self.weights_sha256 = weights_sha256
        average_before_projection(self.network)
        self.encoder = FrameEncoder(
            self.network, device, options.precision, options.frames_per_pass, fixed=options.compile
        )
        if options.compile:
            for part in compiled_parts(self.network):
                part.compile(dynamic=False, backend=BACKEND)

    @classmethod
    def load(cls, options: Sam2Options, device: str = "cpu") -> Self:
        """Load the segmenter with weights from disk; nothing is downloaded.

        Raises:
            ModelError: weights missing, unreadable or of another architecture.
        """
        path = weights_path(options.weights)
        predictor, name, sha256 = load_predictor(path, options.arch, options.image_size)
        return cls(predictor, options, device, f"sam2/{name}", sha256)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Random weights, 64 px input, for tests."""
        return cls(build_predictor(PUBLIC[0], tiny_arch(), seed=seed), Sam2Options(), model_name="sam2/random-tiny")

    def propagate(
        self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray
    ) -> Iterator[FrameMasks]:
        """Masks of every frame; see `base.Segmenter.propagate`.

        Raises:
            MediaError: an invalid frame or box.
            ModelError: one object alone does not fit the device's memory.
        """
        import torch
        import torch.nn.functional as F

        lag = int(on_gpu(self.device))  # the next frame is queued before the CPU waits for the masks of this one
        coming: deque[Download] = deque()
        for step in self.steps(frames, height, width, boxes_xyxy):
            with torch.inference_mode():
                pixels = F.interpolate(step.logits.float(), size=(height, width), mode="bilinear", align_corners=False)
                coming.append(Download(pixels[:, 0] > 0, step.scores.float()))
            if len(coming) > lag:
                yield FrameMasks(*coming.popleft().arrays())
        while coming:
            yield FrameMasks(*coming.popleft().arrays())

    def steps(self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray) -> Iterator[Step]:
        """Raw network outputs frame by frame, which `propagate` converts to pixels."""
        import torch

        boxes = check_boxes(boxes_xyxy)
        stream = iter(frames)
        # The network scales the age of object pointers by min(clip length, 16), so the length must be known up to that.
        window = self.network.max_obj_ptrs_in_encoder
        ahead = deque(islice(stream, window))
        n_frames = len(ahead) if len(ahead) < window else ENDLESS
        if len(boxes) == 0:
            empty = Step(torch.zeros(0, 1, 4, 4), torch.zeros(0))
            yield from (empty for index, frame in enumerate(chain(ahead, stream))
                        if check_frame(frame, index, height, width) is not None)  # fmt: skip
            return
        groups = [
            Tracks(self.network, part, n_frames, fixed=self.options.compile)
            for part in self._prompts(boxes, height, width).split(self.options.max_objects_per_pass)
        ]
        checked = (check_frame(frame, n, height, width) for n, frame in enumerate(chain(drain(ahead), stream)))
        try:
            for features in self.encoder.stream(checked):
                with torch.inference_mode(), autocast(self.device, self.options.precision):
                    groups, steps = _advance(groups, features)
                yield Step(torch.cat([step.logits for step in steps]), torch.cat([step.scores for step in steps]))
        finally:
            self.encoder.forget()

    def _prompts(self, boxes: np.ndarray, height: int, width: int) -> "torch.Tensor":
        """Boxes as pairs of points (N, 2, 2) in the network's pixels."""
        import torch

        side = self.network.image_size
        scale = np.array([side / width, side / height], np.float32)
        return torch.from_numpy(boxes.reshape(-1, 2, 2) * scale).to(self.device)


class Tracks:
    """Objects tracked in one batch, and the network's memory of them.

    Args:
        network: the SAM2 network.
        points: box corners (N, 2, 2) in the network's pixels.
        n_frames: clip length; `ENDLESS` from `max_obj_ptrs_in_encoder` frames up, where it does not matter.
        fixed: fill the batch up to one of `COUNTS`, and run compiled graphs once the memory is full: until then, each
            frame has another number of memories.
    """

    def __init__(self, network: "SAM2VideoPredictor", points: "torch.Tensor", n_frames: int, fixed: bool = False):
        self.network, self.n_frames, self.fixed = network, n_frames, fixed
        self.n_objects = len(points)
        self._filling = next((n for n in COUNTS if n >= len(points)), len(points)) - len(points) if fixed else 0
        self.points = _fill(points, self._filling)
        self.frame = 0
        self.first: dict[int, dict[str, Any]] = {}
        self.recent: dict[int, dict[str, Any]] = {}
        stride = network.memory_temporal_stride_for_eval
        self._mask_reach = (network.num_maskmem - 1) * stride + 1
        self._reach = max(self._mask_reach, network.max_obj_ptrs_in_encoder)

    def step(self, features: Features) -> Step:
        """Track one more frame. On an out-of-memory error, nothing changes: `split` and retry."""
        import torch

        n_objects, is_first = len(self.points), self.frame == 0
        levels = [level.expand(-1, n_objects, -1) for level in features.levels]
        positions = [position.expand(-1, n_objects, -1) for position in features.positions]
        prompt = None
        if is_first:
            labels = torch.tensor([[2, 3]], dtype=torch.int32, device=self.points.device)
            prompt = {"point_coords": self.points, "point_labels": labels.expand(n_objects, -1)}
        memory = {"cond_frame_outputs": self.first, "non_cond_frame_outputs": self.recent}
        with nullcontext() if self.fixed and self.frame >= self._reach else run_eager(self.fixed):
            # Same as SAM2Base.track_step, which does not return the predicted IoU.
            kept, heads, _, _ = self.network._track_step(
                self.frame,
                is_first,
                levels,
                positions,
                features.sizes,
                prompt,
                None,
                memory,
                self.n_frames,
                False,
                None,
            )
            _, _, ious, logits, fine_logits, pointer, presence = heads
            self.network._encode_memory_in_output(levels, features.sizes, prompt, True, fine_logits, presence, kept)
        # The stock predictor also stores memories in bf16.
        self._remember(kept["maskmem_features"].to(torch.bfloat16), kept["maskmem_pos_enc"], pointer)
        scores = ious.float().amax(-1) * presence.float().sigmoid()[:, 0]
        return Step(logits[: self.n_objects], scores[: self.n_objects])

    def split(self) -> list["Tracks"]:
        """Split into two halves that continue from here."""
        half = (self.n_objects + 1) // 2
        parts = []
        for rows in (slice(0, half), slice(half, self.n_objects)):
            part = Tracks(self.network, self.points[rows], self.n_frames, self.fixed)
            part.frame = self.frame
            part.first = {t: _rows_of(entry, rows, part._filling) for t, entry in self.first.items()}
            part.recent = {t: _rows_of(entry, rows, part._filling) for t, entry in self.recent.items()}
            parts.append(part)
        return parts

    def _remember(self, features: "torch.Tensor", positions: list["torch.Tensor"], pointer: "torch.Tensor") -> None:
        entry = {"maskmem_features": features, "maskmem_pos_enc": positions, "obj_ptr": pointer}
        (self.first if self.frame == 0 else self.recent)[self.frame] = entry
        self.frame += 1
        self.recent.pop(self.frame - self._reach - 1, None)
        too_old_for_masks = self.recent.get(self.frame - self._mask_reach - 1)
        if too_old_for_masks:  # only its pointer can still be attended to
            too_old_for_masks["maskmem_features"] = too_old_for_masks["maskmem_pos_enc"] = None


def compiled_parts(network: Any) -> list[Any]:
    """The modules that `compile` compiles, each as one graph."""
    return [network.image_encoder, network.memory_attention, network.sam_mask_decoder, network.memory_encoder]


def drain(frames: deque[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the frames and release them one by one."""
    while frames:
        yield frames.popleft()


def weights_path(weights: str) -> str:
    """Return a file path unchanged; look up anything else in the weights catalog.

    Raises:
        ModelError: the catalog's files are not on this machine.
        ConfigError: no such name.
    """
    from mvideo_core.weights import find

    if Path(weights).expanduser().is_file():
        return str(Path(weights).expanduser())
    folder = find(weights, kind="segmenter")
    checkpoints = visible_files(folder, ".pt")
    if not (folder / "config.json").exists() and len(checkpoints) == 1:
        return str(checkpoints[0])
    return str(folder)


def is_mini(weights: str) -> bool:
    """Whether the weights belong to a network smaller than every public one; False if they are missing."""
    try:
        overrides = read_config(Path(weights_path(weights)) / "config.json")["overrides"]
    except (ModelError, ConfigError):
        return False
    return "image_encoder" in overrides


def _advance(groups: list[Tracks], features: Features) -> tuple[list[Tracks], list[Step]]:
    """Advance every group by one frame; groups too large for the device's memory are halved permanently."""
    import torch

    waiting, done, steps = list(groups), [], []
    while waiting:
        tracks = waiting.pop(0)
        try:
            steps.append(tracks.step(features))
            done.append(tracks)
        except torch.OutOfMemoryError as error:
            if tracks.n_objects == 1:
                raise ModelError(
                    f"one object does not fit in device memory at frame {tracks.frame}: "
                    "lower image_size or free the device"
                ) from error
            log.warning("out of memory with %d objects per pass; halving", tracks.n_objects)
            torch.cuda.empty_cache()
            waiting = tracks.split() + waiting
    return done, steps


def _rows_of(entry: dict[str, Any], rows: slice, filling: int) -> dict[str, Any]:
    """Select some objects of a memory entry."""
    features, positions = entry["maskmem_features"], entry["maskmem_pos_enc"]
    return {
        "maskmem_features": None if features is None else _fill(features[rows], filling),
        "maskmem_pos_enc": None if positions is None else [_fill(position[rows], filling) for position in positions],
        "obj_ptr": _fill(entry["obj_ptr"][rows], filling),
    }


def _fill(values: "torch.Tensor", filling: int) -> "torch.Tensor":
    """The values with the last row repeated."""
    import torch

    return torch.cat([values, values[-1:].expand(filling, *values.shape[1:])]) if filling else values
