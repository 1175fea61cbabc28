"""A clip hands two conditions to the next: its last frame (appearance), and a low-resolution copy of all frames
(motion).

The paper hands over frames: the clip is decoded, rounded to uint8, and encoded again. With `options.handover: latents`,
the sampled latents are handed over instead, without this round trip through the VAE. They differ somewhat from what the
model was trained on, where the appearance frame is encoded alone and motion is encoded at low resolution.

`options.match_statistics: true` adjusts both conditions, so that each channel has the mean and standard deviation of
the first clip. The video itself is not adjusted. [Drift of long
videos](docs/results/accuracy.md#drift-of-long-videos) compares these options.

Shape letters: T frames, F latent frames, C channels, H, W.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvideo_core.cogvideox.video_format import VideoFormat
from mvideo_core.generation.options import GenerateOptions

if TYPE_CHECKING:
    from torch import Tensor

GAINS = (0.5, 2.0)
"""`match_moments` changes contrast by no more than this: a nearly flat clip would otherwise become noise."""


@dataclass(frozen=True, slots=True)
class LastClip:
    """The parts of a finished clip that the next one needs.

    Attributes:
        frames_THWC: its frames, uint8.
        latents_FCHW: its latents as sampled, float32; None if only frames are handed over.
        first_2C: mean and standard deviation per channel of the first clip, of what is handed over; None if unused.
    """

    frames_THWC: np.ndarray
    latents_FCHW: np.ndarray | None = None
    first_2C: np.ndarray | None = None

    @classmethod
    def of(
        cls, frames_THWC: np.ndarray, latents: "Tensor | None", options: GenerateOptions, before: "LastClip | None"
    ) -> "LastClip":
        """The clip that was just made.

        Args:
            latents: (1, F, C, h, w), scaled; None is allowed if frames are handed over.
            before: the clip before it; None for the first.
        """
        carried = None
        if options.handover == "latents":
            assert latents is not None
            carried = latents[0].float().cpu().numpy()
        first = before.first_2C if before is not None else None
        if options.match_statistics and first is None:
            first = moments(frames_THWC if carried is None else carried.transpose(0, 2, 3, 1))
        return cls(frames_THWC, carried, first)

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> "LastClip":
        """The clip from `arrays()` of an earlier run."""
        return cls(arrays["frames"], arrays.get("latents"), arrays.get("first"))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, by name, for a file."""
        found = {"frames": self.frames_THWC, "latents": self.latents_FCHW, "first": self.first_2C}
        return {name: value for name, value in found.items() if value is not None}

    def history(self, options: GenerateOptions, grid: VideoFormat) -> tuple[Any, Any]:
        """Appearance and motion for the pipeline: frames (uint8), or scaled latents; None where the option is off."""
        if self.latents_FCHW is None:
            frames = self.frames_THWC
            if self.first_2C is not None:
                frames = match_moments(frames, self.first_2C).round().clip(0, 255).astype(np.uint8)
            appearance, motion = frames[-1], frames
        else:
            appearance, motion = self._latent_history(self.latents_FCHW, grid)
        return appearance if options.appearance else None, motion if options.motion else None

    def _latent_history(self, latents_FCHW: np.ndarray, grid: VideoFormat) -> tuple[Any, Any]:
        import torch
        import torch.nn.functional as F

        if self.first_2C is not None:
            matched = match_moments(latents_FCHW.transpose(0, 2, 3, 1), self.first_2C)
            latents_FCHW = matched.transpose(0, 3, 1, 2).astype(np.float32)
        carried = torch.from_numpy(np.ascontiguousarray(latents_FCHW))
        stride = grid.height_px // carried.shape[2]
        small = (grid.motion_height_px // stride, grid.motion_width_px // stride)
        motion = F.interpolate(carried, small, mode="bilinear", antialias=True, align_corners=False)
        return carried[None, -1:], motion[None]


def moments(values: np.ndarray) -> np.ndarray:
    """Mean and standard deviation over all but the last axis (channels): (2, C), float64."""
    flat = values.reshape(-1, values.shape[-1])
    return np.stack([flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)])


def match_moments(values: np.ndarray, wanted_2C: np.ndarray) -> np.ndarray:
    """Values with the wanted mean and standard deviation in each channel (last axis), float64.

    Contrast changes at most by the factors `GAINS`. Source: Reinhard et al. 2001 (color transfer), per channel.
    """
    mean_C, std_C = moments(values)
    gain_C = (wanted_2C[1] / np.maximum(std_C, 1e-6)).clip(*GAINS)
    return np.asarray((values - mean_C) * gain_C + wanted_2C[0])
