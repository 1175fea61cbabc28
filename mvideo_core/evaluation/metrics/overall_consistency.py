"""Overall consistency (VBench): cosine similarity of ViCLIP's embeddings of the video and its prompt, -1 to 1.

    mvideo weights fetch viclip-l-14

Eight frames are used, one from the middle of each eighth of the video. They are resized to 224 px on the short side and
center-cropped, which removes a sixth of the width on each side of a 480x720 frame.

The prompt is truncated to **32 tokens**, so only the beginning of an augmented prompt would be scored. Put the short
prompt into `prompt` and the long one into `prompt_generation`, as was done for CogVideoX's results on the leaderboard.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError, ModelError
from mvideo_core.evaluation.base import METRICS, Metric, VideoScore
from mvideo_core.evaluation.networks.clip_tokenizer import ClipTokenizer
from mvideo_core.evaluation.protocol import ProtocolOptions, score_by_protocol
from mvideo_core.evaluation.video import EvalVideo

if TYPE_CHECKING:
    from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
PUBLIC_WIDTH = 768
"""Channels of the vision transformer of ViCLIP-B/16, the smallest that is published."""


class OverallConsistencyOptions(ProtocolOptions):
    """Weights and protocol."""

    weights: str = Field(default="viclip-l-14", description="catalog name or model folder")
    clip_s: int = Field(default=10, ge=1, description="clip length in whole seconds for `long`; unused for `short`")


@METRICS.register("overall_consistency")
class OverallConsistency(Metric):
    """Cosine in [-1, 1]; the paper's tables print it times 100."""

    Options = OverallConsistencyOptions
    needs = frozenset({"prompt"})
    license = "Apache-2.0 (own code); ViCLIP weights: see publisher"

    def __init__(self, options: Any, network: Any, tokenizer: ClipTokenizer, device: str, weights_sha256: str):
        self.options = options
        self.network = network.to(device).eval()
        self.tokenizer = tokenizer
        self.device = device
        self.weights_sha256 = weights_sha256

    @classmethod
    def uses_mini_network(cls, options: Any) -> bool:
        """Whether the network is narrower than every published ViCLIP; False if it is missing."""
        from mvideo_core.weights import find

        try:
            sizes = json.loads((find(options.weights, kind="metric") / "config.json").read_text(encoding="utf-8"))
            return bool(sizes.get("vision_width", PUBLIC_WIDTH) < PUBLIC_WIDTH)
        except (ModelError, OSError, ValueError, AttributeError, TypeError):  # `load` says which
            return False

    @classmethod
    def load(cls, options: OverallConsistencyOptions, device: str = "cpu") -> Self:
        """Load the metric with weights from disk.

        Raises:
            ModelError: weights or vocabulary missing or incompatible.
        """
        from mvideo_core.weights import find

        network, tokenizer, sha256 = load_viclip(find(options.weights, kind="metric"))
        return cls(options, network, tokenizer, device, sha256)

    def score(self, video: EvalVideo) -> VideoScore:
        """Cosine similarity of video and prompt.

        Raises:
            MediaError: unreadable, or an item without a prompt.
        """
        prompt = video.item.prompt
        if not prompt.strip():
            raise MediaError(f"{video.item.id}: no prompt to compare the video with; add `prompt` to the manifest")
        return score_by_protocol(video, self.options, lambda frames: self._cosine(frames, prompt))

    def _cosine(self, frames_THWC: np.ndarray, prompt: str) -> VideoScore:
        import torch

        from mvideo_core.evaluation.networks.viclip import cosine

        sizes = self.network.sizes
        indices = middle_frames(len(frames_THWC), sizes.n_frames)
        tokens_L = self.tokenizer.tokens(prompt, sizes.context)
        with torch.inference_mode():
            video_TCHW = self._prepare(frames_THWC[indices])
            video_BD = self.network.encode_video(video_TCHW[None])
            text_BD = self.network.encode_text(torch.from_numpy(tokens_L).to(self.device)[None])
            value = float(cosine(video_BD, text_BD)[0, 0])
        return VideoScore(value=value, details={"n_frames": float(len(frames_THWC))})

    def _prepare(self, frames_THWC: np.ndarray) -> "Tensor":
        """The network's input (T, 3, side, side)."""
        return preprocess(frames_THWC, self.network.sizes.image_px, self.device)


def load_viclip(folder: Path) -> tuple[Any, ClipTokenizer, str]:
    """Network, tokenizer and weights digest of a folder: config.json (ViclipSizes), one .safetensors or .pth, merges.

    Raises:
        ModelError: a file is missing or does not fit the others.
    """
    from mvideo_core.base.digests import file_sha256
    from mvideo_core.evaluation.networks.checkpoint import load_strictly, only_file, read_checkpoint
    from mvideo_core.evaluation.networks.viclip import ViClip, ViclipSizes

    config = folder / "config.json"
    if not config.is_file():
        raise ModelError(f"{config}: missing; create it with the network's sizes ({{}} for ViCLIP-L/14)")
    sizes = ViclipSizes.model_validate_json(config.read_text(encoding="utf-8"))
    weights = only_file(folder, ("*.safetensors", "*.pth"))
    tokenizer = ClipTokenizer.from_file(only_file(folder, ("bpe*.txt.gz", "bpe*.txt")))
    if tokenizer.size != sizes.vocabulary:
        raise ModelError(f"{folder}: vocabulary of {tokenizer.size} ids, config.json says {sizes.vocabulary}")
    network = ViClip(sizes)
    load_strictly(network, read_checkpoint(weights, "" if weights.suffix == ".safetensors" else "model"), weights)
    return network, tokenizer, file_sha256(weights)


def middle_frames(n_frames: int, n_wanted: int) -> list[int]:
    """The middle frame of each of `n_wanted` equal parts; a video with fewer frames repeats its last one.

    Source: get_frame_indices(sample="middle") of vbench/utils.py, Vchitect/VBench.
    """
    edges = np.linspace(0, n_frames, min(n_wanted, n_frames) + 1).astype(int)
    indices = [int(start + stop - 1) // 2 for start, stop in pairwise(edges)]
    return indices + [indices[-1]] * (n_wanted - len(indices))


def preprocess(frames_THWC: np.ndarray, side_px: int, device: str = "cpu") -> "Tensor":
    """CLIP's input (T, 3, side, side): bicubic resize without antialiasing, 8 bits, center crop, normalization.

    Rounding to 8 bits between resize and crop, and no antialiasing, follow VBench.

    Source: clip_transform of vbench/utils.py, Vchitect/VBench, with torchvision's Resize and CenterCrop.
    """
    import torch
    from torch.nn import functional

    images = torch.from_numpy(np.ascontiguousarray(frames_THWC)).to(device).permute(0, 3, 1, 2).float()
    height, width = images.shape[-2:]
    short = min(height, width)
    size = (side_px * height // short, side_px * width // short)
    images = functional.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=False)
    top, left = (round((length - side_px) / 2) for length in size)
    images = images.clamp(0, 255).round()[..., top : top + side_px, left : left + side_px] / 255
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (images - mean) / std
