"""SAM 3 with transformers' `Sam3VideoModel`: finds every object that a phrase names, and tracks it.

SAM 3 takes phrases, not boxes. The phrases are the labels of the detected boxes; its objects on the first frame are
matched with the boxes by IoU. What that costs:

- A box that matches no object has empty masks and score 0 in the whole clip, also if SAM 3 finds the object later.
- An object without a box is not tracked; to find more, search more frames (`detect`).
- Each phrase is one pass of the detection head per frame; the image encoder, by far the largest part, runs once.

transformers keeps every frame and every output, so the session is pruned after each frame. Its optional filters (NMS,
filling of holes) come from a package that downloads code at run time; they are off, and one box takes one object.
Source: Carion et al. 2025 (arXiv:2511.16719).
"""

import copy
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import ConfigError, ModelError
from mvideo_core.base.options import Options
from mvideo_core.perception.detection.select import iou_matrix
from mvideo_core.perception.segmentation import SEGMENTERS
from mvideo_core.perception.segmentation.base import FrameMasks, check_boxes, check_frame
from mvideo_core.perception.segmentation.sam2_video import ENDLESS, drain
from mvideo_core.perception.segmentation.transformers_sam2 import check_type, load_folder, open_session
from mvideo_core.weights.reading import RAISED_BY_LOADERS, check_memory, plain_words

if TYPE_CHECKING:
    import torch
    from transformers import Sam3VideoConfig

MAX_TOKENS = 32
"""Length of the text encoder's input, start and end included."""
UNREACHABLE = 2.0
"""A detection score that no object has: from the second frame on, nothing new is tracked."""


class Sam3Options(Options):
    """Weights, phrases, and how its objects are matched with the detected boxes."""

    weights: str = Field(
        default="sam3",
        description='"sam3" (SAM License; gated: accept the terms at huggingface.co/facebook/sam3, set HF_TOKEN), or a '
        "folder in transformers' format with model_type sam3_video",
    )
    phrases: list[str] = Field(
        default=[], description="what to look for; empty = the labels of the detected boxes of each clip"
    )
    match_iou: float = Field(
        default=0.5, ge=0, le=1, description="minimum IoU of a detected box with the bounding box of SAM 3's object"
    )


@SEGMENTERS.register("sam3")
class Sam3Segmenter:
    """Boxes and phrases on the first frame -> masks of all frames, with a `Sam3VideoModel`.

    Args:
        model: the network in eval mode; moved to `device`.
        tokenizer: of its text encoder.
        model_name, weights_sha256: for the row.
    """

    Options: ClassVar[type[Options]] = Sam3Options

    @staticmethod
    def check_weights(folder: Path) -> None:
        """Before a run: ModelError if the folder holds another kind of model."""
        check_type(folder, ("sam3_video",))

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        options: Sam3Options,
        device: str = "cpu",
        model_name: str = "sam3",
        weights_sha256: str = "",
    ):
        from transformers.models.sam3_video import modeling_sam3_video

        modeling_sam3_video.cv_utils_kernel = False  # type: ignore[assignment]  # no code from the hub
        self.model = model.eval()
        self.model.det_nms_thresh = 0.0  # without that code it removes nothing, but compares all pairs of masks
        self.model.to(device)
        self.tokenizer, self.options, self.device = tokenizer, options, device
        self.model_name, self.weights_sha256 = model_name, weights_sha256
        self.phrases = tuple(options.phrases)
        self._new_object_score = float(model.config.new_det_thresh)
        self._ious: list[torch.Tensor] = []
        # The model computes the predicted IoU but does not return it.
        model.tracker_model.mask_decoder.register_forward_hook(lambda _module, _args, out: self._ious.append(out[1]))

    @classmethod
    def load(cls, options: Sam3Options, device: str = "cpu") -> Self:
        """Load the segmenter with weights from disk; nothing is downloaded.

        Raises:
            ModelError: weights missing, unreadable or of another architecture.
        """
        from transformers import AutoTokenizer

        from mvideo_core.weights import find

        folder = find(options.weights, kind="segmenter")
        model, sha256 = load_folder(folder, "Sam3VideoModel", ("sam3_video",))
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except RAISED_BY_LOADERS as error:
            check_memory(folder, error)
            raise ModelError(f"{folder}: its tokenizer cannot be read: {plain_words(error)}; copy it again") from None
        return cls(model, tokenizer, options, device, f"sam3/{folder.name}", sha256)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Random weights, 112 px input, for tests; it reports four objects per phrase and matches any box."""
        import torch
        from transformers import Sam3VideoModel

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Sam3VideoModel(tiny_config())
        return cls(model, tiny_tokenizer(), Sam3Options(phrases=["cat"], match_iou=0), model_name="sam3/random-tiny")

    def with_phrases(self, phrases: Iterable[str]) -> Self:
        """The same segmenter with these phrases, unless the options name some."""
        if self.options.phrases:
            return self
        other = copy.copy(self)
        other.phrases = tuple(dict.fromkeys(phrases))
        return other

    def propagate(
        self, frames: Iterable[np.ndarray], height: int, width: int, boxes_xyxy: np.ndarray
    ) -> Iterator[FrameMasks]:
        """Masks of every frame; see `base.Segmenter.propagate`.

        Raises:
            MediaError: an invalid frame or box.
            ConfigError: boxes without phrases, or a phrase that is too long.
        """
        boxes, stream = check_boxes(boxes_xyxy), iter(frames)
        window = self.model.tracker_model.config.max_object_pointers_in_encoder
        ahead = deque(islice(stream, window))
        session = self._session(height, width, len(ahead) if len(ahead) < window else ENDLESS) if len(boxes) else None
        ids: list[int | None] = [None] * len(boxes)
        for index, frame in enumerate(chain(drain(ahead), stream)):
            check_frame(frame, index, height, width)
            if session is not None and (index == 0 or any(one is not None for one in ids)):
                found = self._run(session, frame, index)
                if index == 0:
                    ids = self._choose(session, found, boxes)
                yield self._frame_masks(session, found, ids)
            else:
                yield FrameMasks(np.zeros((len(boxes), height, width), np.bool_), np.zeros(len(boxes), np.float32))

    def _session(self, height: int, width: int, n_frames: int) -> Any:
        """A session with one prompt per phrase."""
        if not self.phrases:
            raise ConfigError(
                "segmenter sam3 works by phrases, and these boxes have no labels; set segmenter_options.phrases, or "
                "use sam2"
            )
        session = open_session("Sam3VideoInferenceSession", height, width, self.device, n_frames)
        for phrase in self.phrases:
            number = session.add_prompt(phrase)
            text = self.tokenizer(phrase, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt")
            if (length := text.input_ids.shape[1]) > MAX_TOKENS:
                raise ConfigError(f"segmenter sam3: phrase {phrase!r} has {length} tokens; use at most {MAX_TOKENS}")
            session.prompt_input_ids[number] = text.input_ids.to(self.device)
            session.prompt_attention_masks[number] = text.attention_mask.to(self.device)
        return session

    def _run(self, session: Any, frame: np.ndarray, index: int) -> dict[int, tuple["torch.Tensor", float]]:
        """Mask logits (1, 1, h, w) and score of every object in the next frame, by SAM 3's id."""
        import torch

        self._ious.clear()
        # Set before each frame, because several clips may be in progress.
        self.model.new_det_thresh = self._new_object_score if index == 0 else UNREACHABLE
        with torch.inference_mode():
            out = self.model(session, frame=normalize_frame(frame, self.model.config.image_size, self.device),
                             frame_idx=index)  # fmt: skip
        scores = dict(out.obj_id_to_tracker_score)
        if index:
            ious = [float(value.max()) for value in self._ious]
            tracked = [session.obj_idx_to_id(place) for place in range(session.get_obj_num())]
            scores = {obj: scores[obj] * iou for obj, iou in zip(tracked, ious, strict=True)}
        self._forget(session, index)
        return {obj: (logits[None].float(), scores[obj]) for obj, logits in out.obj_id_to_mask.items()}

    def _choose(self, session: Any, found: dict[int, Any], boxes: np.ndarray) -> list[int | None]:
        """SAM 3's object for each box on the first frame; the session loses all others."""
        known = list(found)
        bounds = [_bounds(self._pixels(session, found[obj][0])) for obj in known]
        pairs = match_by_total_iou(boxes, np.array(bounds, np.float32).reshape(-1, 4), self.options.match_iou)
        ids = [None if place is None else known[place] for place in pairs]
        if any(one is not None for one in ids):
            for obj in known:
                if obj not in ids:
                    session.remove_object(obj)
        return ids

    def _frame_masks(self, session: Any, found: dict[int, Any], ids: Sequence[int | None]) -> FrameMasks:
        masks = np.zeros((len(ids), session.video_height, session.video_width), np.bool_)
        scores = np.zeros(len(ids), np.float32)
        for place, obj in enumerate(ids):
            if obj is not None:
                masks[place] = self._pixels(session, found[obj][0])
                scores[place] = found[obj][1] if masks[place].any() else 0.0
        return FrameMasks(masks, scores.clip(0, 1))

    def _pixels(self, session: Any, logits: "torch.Tensor") -> np.ndarray:
        import torch.nn.functional as F

        size = (session.video_height, session.video_width)
        pixels: np.ndarray = (F.interpolate(logits, size=size, mode="bilinear")[0, 0] > 0).cpu().numpy()
        return pixels

    def _forget(self, session: Any, frame: int) -> None:
        """Drop what no later frame can attend to.

        Of the frames that the detector confirmed, the memory attends to the latest `max_cond_frame_num`. transformers
        would also attend to the object pointers of older ones, whose number grows with the clip.
        """
        session.processed_frames.clear()
        config = self.model.tracker_model.config
        reach = max(config.num_maskmem, config.max_object_pointers_in_encoder)
        for outputs in session.output_dict_per_obj.values():
            for entries in outputs.values():
                entries.get(frame, {}).pop("high_res_masks", None)
            outputs["non_cond_frame_outputs"].pop(frame - reach, None)
            confirmed = outputs["cond_frame_outputs"]
            for old in sorted(confirmed)[: -config.max_cond_frame_num]:
                del confirmed[old]
        for by_frame in (*session.frames_tracked_per_obj.values(), *session.mask_inputs_per_obj.values()):
            by_frame.pop(frame - 1, None)
        session.obj_id_to_tracker_score_frame_wise.clear()
        session.suppressed_obj_ids.clear()
        session.unmatched_frame_inds.clear()
        session.overlap_pair_to_frame_inds.clear()


def match_by_total_iou(boxes_N4: np.ndarray, found_M4: np.ndarray, min_iou: float) -> list[int | None]:
    """Index of the found box for each box, or None: pairs with the largest sum of IoU, each at least `min_iou`."""
    from scipy.optimize import linear_sum_assignment

    overlap = iou_matrix(boxes_N4, found_M4)
    rows, columns = linear_sum_assignment(-np.where(overlap >= min_iou, overlap, 0))
    pairs = {int(row): int(column) for row, column in zip(rows, columns, strict=True)}
    return [pairs[n] if n in pairs and overlap[n, pairs[n]] >= min_iou else None for n in range(len(boxes_N4))]


def normalize_frame(frame_HWC: np.ndarray, side: int, device: str) -> "torch.Tensor":
    """Network input of a frame: fp32 (1, 3, side, side) in [-1, 1], resized bilinearly."""
    import torch
    from PIL import Image

    small = np.array(Image.fromarray(frame_HWC).resize((side, side), Image.Resampling.BILINEAR))
    return torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1


def _bounds(mask_HW: np.ndarray) -> tuple[int, int, int, int]:
    """Half-open bounding box of a mask, x first; zeros if it is empty."""
    ys, xs = np.flatnonzero(mask_HW.any(axis=1)), np.flatnonzero(mask_HW.any(axis=0))
    return (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1) if len(xs) else (0, 0, 0, 0)


def tiny_config(side: int = 112, width: int = 128, n_queries: int = 4) -> "Sam3VideoConfig":
    """Every part of the public network, at a small input and with few channels; every query is an object."""
    from transformers import Sam3VideoConfig

    patches = side // 14
    vit = {
        "model_type": "sam3_vit_model",
        "hidden_size": width,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": side,
        "window_size": patches // 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": side // 2,
    }
    vision = {
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": width,
        "backbone_feature_sizes": [[4 * patches] * 2, [2 * patches] * 2, [patches] * 2],
        "backbone_config": vit,
    }
    text = {
        "model_type": "clip_text_model",
        "vocab_size": 64,
        "hidden_size": width,
        "intermediate_size": 64,
        "projection_dim": width,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
    }
    block = {"hidden_size": width, "num_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    return Sam3VideoConfig(
        detector_config={
            "model_type": "sam3",
            "vision_config": vision,
            "text_config": text,
            "geometry_encoder_config": block,
            "detr_encoder_config": block,
            "detr_decoder_config": {**block, "num_queries": n_queries},
            "mask_decoder_config": {"hidden_size": width, "num_attention_heads": 4},
        },
        tracker_config=_tiny_tracker(vision, side, width),
        low_res_mask_size=4 * patches,
        score_threshold_detection=0.0,
        new_det_thresh=0.0,
    )


def _tiny_tracker(vision: dict[str, Any], side: int, width: int) -> dict[str, Any]:
    return {
        "model_type": "sam3_tracker_video",
        "vision_config": vision,
        "image_size": side,
        "num_maskmem": 3,
        "max_object_pointers_in_encoder": 4,
        "prompt_encoder_config": {"hidden_size": width, "image_size": side},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 32,
        },
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 1,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 32,
    }


def tiny_tokenizer() -> Any:
    """A CLIP tokenizer that knows letters only."""
    import string

    from transformers import CLIPTokenizer

    letters = string.ascii_lowercase
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=[])
