"""One vector per video from a self-supervised video transformer of the transformers library: VideoMAE or V-JEPA 2.

Frames are spread evenly over the video, the whole frame is squeezed to the network's square and normalized with
ImageNet's statistics; the vector is the mean of the last layer's tokens. Shape letters: T frames, H, W, C, D network
width.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mvideo_core.base.errors import ModelError

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Kind(NamedTuple):
    """How to call one model type.

    Attributes:
        model: class in transformers.
        frames, side: fields of its configuration.
        input: name of the pixel argument.
        arguments: additional arguments.
    """

    model: str
    frames: str
    side: str
    input: str
    arguments: dict[str, Any]


KINDS = {
    "videomae": Kind("VideoMAEModel", "num_frames", "image_size", "pixel_values", {}),
    "vjepa2": Kind("VJEPA2Model", "frames_per_clip", "crop_size", "pixel_values_videos", {"skip_predictor": True}),
}


class VideoFeatures:
    """A loaded network.

    Args:
        model: model of one of KINDS.
        n_frames: frames to use; 0 = as many as in its training.
    """

    def __init__(self, model: Any, n_frames: int = 0, device: str = "cpu"):
        self.kind = KINDS[model.config.model_type]
        self.model = model.to(device).eval()
        tubelet = model.config.tubelet_size
        self.n_frames = n_frames or getattr(model.config, self.kind.frames)
        if model.config.model_type == "videomae" and self.n_frames != model.config.num_frames:
            raise ModelError(f"frames: VideoMAE has positions for {model.config.num_frames} frames, not {n_frames}")
        if self.n_frames % tubelet:
            raise ModelError(f"frames: {self.n_frames}; must be a multiple of {tubelet}")
        self.side_px = getattr(model.config, self.kind.side)
        self.device = device

    def of(self, frames_THWC: np.ndarray) -> np.ndarray:
        """float32 (D,) for a video of any length and size, uint8 RGB; short videos repeat frames."""
        import torch
        from torch.nn import functional

        chosen = np.linspace(0, len(frames_THWC) - 1, self.n_frames).round().astype(int)
        images = torch.from_numpy(np.ascontiguousarray(frames_THWC[chosen])).to(self.device).permute(0, 3, 1, 2).float()
        side = (self.side_px, self.side_px)
        images = functional.interpolate(images, size=side, mode="bilinear", align_corners=False, antialias=True) / 255
        mean, spread = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in (MEAN, SPREAD))
        with torch.inference_mode():
            out = self.model(**{self.kind.input: ((images - mean) / spread)[None]}, **self.kind.arguments)
        return np.asarray(out.last_hidden_state[0].float().mean(dim=0).cpu(), np.float32)


def load_features(folder: Path, n_frames: int = 0, device: str = "cpu") -> tuple[VideoFeatures, str]:
    """Load a network from a model folder; also returns the SHA-256 of its weights.

    Raises:
        ModelError: a file is missing, has another model type, or does not match config.json.
    """
    import transformers

    from mvideo_core.base.digests import file_sha256
    from mvideo_core.weights.reading import explain_failures

    path = folder / "model.safetensors"
    for needed in (folder / "config.json", path):
        if not needed.is_file():
            raise ModelError(f"{needed}: missing; expected a transformers model folder with safetensors")
    try:
        kind = dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))).get("model_type")
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'}: {error}; copy the folder again") from None
    if kind not in KINDS:
        raise ModelError(f"{folder / 'config.json'}: model_type {kind!r}; supported: {', '.join(KINDS)}")
    with explain_failures(folder):
        model, report = getattr(transformers, KINDS[kind].model).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    if wrong := {key: sorted(map(str, report[key]))[:4] for key in ("missing_keys", "mismatched_keys") if report[key]}:
        raise ModelError(f"{folder}: the weights do not match its config.json: {wrong}")
    return VideoFeatures(model, n_frames, device), file_sha256(path)
