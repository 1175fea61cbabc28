"""SAM2 video propagation with transformers' `Sam2VideoModel`, the maintained implementation, as an option, and the base
of models with the same interface.

Takes the same weights as "sam2" (converted on load) or a folder in transformers' own format. It tracks object by
object; the session is pruned after each frame because transformers keeps every frame and every output.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.digests import file_sha256
from mvideo_core.base.errors import ModelError
from mvideo_core.base.options import Options
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import FrameMasks, check_boxes, check_frame
from mvideo_core.perception.segmentation.convert import to_transformers
from mvideo_core.perception.segmentation.sam2_build import PUBLIC, build_predictor, load_predictor
from mvideo_core.perception.segmentation.sam2_features import normalize_image
from mvideo_core.perception.segmentation.sam2_video import ENDLESS, Step, drain, tiny_arch, weights_path
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

if TYPE_CHECKING:
    import torch

SAM2_TYPES = ("sam2_video", "sam2")


class TransformersSam2Options(Options):
    """Which weights."""

    weights: str = Field(
        default="mini",
        description='as for "sam2", or a folder in transformers\' format (config.json with model_type sam2_video)',
    )
    arch: str = Field(default="", description="architecture of a checkpoint file, if its name does not show it")


class TransformersVideoSegmenter:
    """Boxes on the first frame -> masks of all frames, with a video model of transformers that has SAM2's interface.

    A subclass sets the session class of its model and adds `load` and `tiny`.

    Args:
        model: the network in eval mode; moved to `device`.
        model_name, weights_sha256: for the row.
    """

    session_class: ClassVar[str]

    def __init__(self, model: Any, device: str = "cpu", model_name: str = "", weights_sha256: str = ""):
        self.device = device
        self.model = model.eval()
        self.model.to(device)
        self.model_name = model_name
        self.weights_sha256 = weights_sha256
        self._ious: list[torch.Tensor] = []
        # The model computes the predicted IoU but does not return it.
        model.mask_decoder.register_forward_hook(lambda _module, _args, out: self._ious.append(out[1]))

    def propagate(
        self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray
    ) -> Iterator[FrameMasks]:
        """Masks of every frame; see `base.Segmenter.propagate`.

        Raises:
            MediaError: an invalid frame or box.
        """
        import torch
        import torch.nn.functional as F

        if len(check_boxes(boxes_xyxy)) == 0:
            for index, frame in enumerate(frames):
                check_frame(frame, index, height, width)
                yield FrameMasks(np.zeros((0, height, width), np.bool_), np.zeros(0, np.float32))
            return
        for step in self.steps(frames, height, width, boxes_xyxy):
            with torch.inference_mode():
                pixels = F.interpolate(step.logits.float(), size=(height, width), mode="bilinear", align_corners=False)
                masks = (pixels[:, 0] > 0).cpu().numpy()
            yield FrameMasks(masks, step.scores.float().cpu().numpy())

    def steps(self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray) -> Iterator[Step]:
        """Raw network outputs frame by frame, N >= 1 objects."""
        import torch

        stream = iter(frames)
        window = self.model.config.max_object_pointers_in_encoder
        ahead = deque(islice(stream, window))
        session = self._session(check_boxes(boxes_xyxy), height, width, len(ahead) if len(ahead) < window else ENDLESS)
        for index, frame in enumerate(chain(drain(ahead), stream)):
            check_frame(frame, index, height, width)
            with torch.inference_mode():
                session.add_new_frame(normalize_image(frame, self.model.image_size, self.device), index)
                self._ious.clear()
                out = self.model(session, frame_idx=index)
                ious = torch.cat([value.reshape(1, -1).amax(1) for value in self._ious])
                logits = out.pred_masks.reshape(len(ious), 1, *out.pred_masks.shape[-2:])
                presence = out.object_score_logits.reshape(-1).sigmoid()
            self._forget(session, index)
            yield Step(logits, ious * presence)

    def _session(self, boxes: np.ndarray, height: int, width: int, n_frames: int) -> Any:
        """A session with one box prompt per object on frame 0."""
        import torch

        session = open_session(self.session_class, height, width, self.device, n_frames)
        side = self.model.image_size
        points = torch.from_numpy(boxes.reshape(-1, 1, 1, 2, 2) * np.array([side / width, side / height], np.float32))
        for obj in range(len(boxes)):
            labels = torch.tensor([[[2, 3]]], dtype=torch.int32)
            session.add_point_inputs(
                session.obj_id_to_idx(obj), 0, {"point_coords": points[obj], "point_labels": labels}
            )
        session.obj_with_new_inputs = list(range(len(boxes)))
        return session

    def _forget(self, session: Any, frame: int) -> None:
        """Drop what no later frame can attend to."""
        session.processed_frames.clear()
        config = self.model.config
        reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        for outputs in session.output_dict_per_obj.values():
            for entries in outputs.values():
                entries.get(frame, {}).pop("high_res_masks", None)
            outputs["non_cond_frame_outputs"].pop(frame - reach, None)
        for tracked in session.frames_tracked_per_obj.values():
            tracked.pop(frame - 1, None)


@SEGMENTERS.register("transformers-sam2")
class TransformersSam2Segmenter(TransformersVideoSegmenter):
    """Boxes on the first frame -> masks of all frames, with a `Sam2VideoModel`."""

    Options: ClassVar[type[Options]] = TransformersSam2Options
    session_class = "Sam2VideoInferenceSession"

    @classmethod
    def load(cls, options: TransformersSam2Options, device: str = "cpu") -> Self:
        """Load the segmenter with weights from disk; nothing is downloaded.

        Raises:
            ModelError: weights missing, unreadable, or not supported by transformers.
        """
        path = Path(weights_path(options.weights))
        if model_type(path) in SAM2_TYPES:
            model, sha256 = load_folder(path, "Sam2VideoModel", SAM2_TYPES)
            return cls(model, device, f"transformers-sam2/{path.name}", sha256)
        network, name, sha256 = load_predictor(path, options.arch)
        return cls(to_transformers(network), device, f"transformers-sam2/{name}", sha256)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """The random weights of `Sam2Segmenter.tiny(seed)`, converted."""
        return cls(
            to_transformers(build_predictor(PUBLIC[0], tiny_arch(), seed=seed)),
            model_name="transformers-sam2/random-tiny",
        )


def open_session(class_name: str, height: int, width: int, device: str, n_frames: int) -> Any:
    """An inference session of transformers for a stream of `n_frames`."""
    import torch
    import transformers

    base = getattr(transformers, class_name)
    # The length is the stream's, not the number of frames still in memory.
    session_class = type("Session", (base,), {"num_frames": property(lambda _session: n_frames)})
    return session_class(video_height=height, video_width=width, dtype=torch.float32, inference_device=device,
                         inference_state_device=device, video_storage_device=device)  # fmt: skip


def model_type(folder: Path) -> str:
    """`model_type` of a folder in transformers' format; "" for anything else."""
    config = folder / "config.json"
    if not config.is_file():
        return ""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config}: not JSON: {error}") from None
    return str(content.get("model_type", "")) if isinstance(content, dict) else ""


def check_type(folder: Path, types: tuple[str, ...]) -> None:
    """Raise if a folder holds another kind of model.

    Raises:
        ModelError: with the type found.
    """
    if (seen := model_type(folder)) not in types:
        raise ModelError(
            f"{folder}: model_type {seen!r} in config.json, but this segmenter needs {types[0]!r}; set its option "
            "weights to such a folder or to a name from `mvideo weights list`"
        )


def load_folder(folder: Path, class_name: str, types: tuple[str, ...]) -> tuple[Any, str]:
    """A model of transformers and the SHA-256 of its weights file; every weight must be there.

    Raises:
        ModelError: another kind of model, unreadable, or weights that do not match config.json.
    """
    import transformers

    check_type(folder, types)
    try:
        model, report = getattr(transformers, class_name).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except RAISED_BY_LOADERS as error:
        check_memory(folder, error)
        raise ModelError(f"{folder}: cannot be read as a transformers {types[0]} model: {plain_words(error)}") from None
    for problem in ("missing_keys", "mismatched_keys"):
        if report[problem]:
            names = ", ".join(sorted(map(str, report[problem]))[:4])
            raise ModelError(f"{folder}: the weights do not match its config.json: {problem} {names}; copy it again")
    return model, file_sha256(folder / "model.safetensors")
