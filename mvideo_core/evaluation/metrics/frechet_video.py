"""Frechet video distance, of the whole frame or of the masked region: one number for all videos of a system.

A network turns each generated video into one vector, and the source video of its item into another. The score is the
distance between the two sets of vectors; it is 0 or more, and lower is better. `masked_frechet_video` grays out every
pixel outside the union of the item's masks. The same number of frames is sampled from video and source. If the source
is longer, only its beginning is used, because otherwise the two would differ in apparent speed.

Fetch the network that you use:

    mvideo weights fetch videomae-base-ssv2      # CC BY-NC 4.0: noncommercial use only
    mvideo weights fetch vjepa2-vitl

- The option `distance` is `frechet` (Heusel et al. 2017, Unterthiner et al. 2018) or `mmd`; with V-JEPA 2, `mmd` is the
  recipe of JEDi (Luo et al. 2024, arXiv:2410.05203) with a different release of the network.
- **Not FVD.** FVD's own network, I3D, is published as a program that would have to be executed, so these metrics use
  VideoMAE or V-JEPA 2. Do not compare the numbers with published FVD or JEDi.
- **Sample size.** Below about 2,000 videos, both distances are biased upward, by an amount that depends on the number
  of videos and on the system. Scores of smaller sets are therefore marked: `812.40 (72 videos; biased below about
  2,000)`. Such scores reveal a broken system, but cannot rank two good ones.
- These metrics were tested with transformers' own classes and random weights, not with public weights.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field

from mvideo_core.base.errors import MediaError
from mvideo_core.base.options import Options
from mvideo_core.editing.resample import nearest_frames
from mvideo_core.evaluation.base import METRICS, Metric, SetScore, VideoScore
from mvideo_core.evaluation.mask_grid import GridFit, check_match, match_frames, on_grid
from mvideo_core.evaluation.set_distance import frechet_distance, polynomial_mmd
from mvideo_core.evaluation.video import EvalVideo

ENOUGH_VIDEOS = 2000
"""Below this, the literature finds the distance biased (FID: at least 2,048; FVD: sets of 2,048)."""
BACKGROUND = 127
"""Gray level of pixels outside the masks, all channels."""
GENERATED, SOURCE = "generated.f32", "source.f32"
"""Artifacts: the two vectors, little-endian float32."""


class FrechetVideoOptions(Options):
    """Network and distance."""

    weights: str = Field(
        default="videomae-base-ssv2", description="catalog name or model folder (VideoMAE or V-JEPA 2 of transformers)"
    )
    frames: int = Field(
        default=0, ge=0, description="frames per video, evenly spaced; 0 = as many as the network was trained with"
    )
    distance: Literal["frechet", "mmd"] = Field(
        default="frechet", description="frechet: between fitted Gaussians; mmd: polynomial kernel, as in JEDi"
    )


@METRICS.register("frechet_video")
class FrechetVideo(Metric):
    """Distance between the sets of generated and source videos; lower is better. One video's value is the Euclidean
    distance between its vector and its source's, which does not rank systems.
    """

    Options = FrechetVideoOptions
    needs = frozenset({"source"})
    revision = 2
    scale = 1.0
    set_level = True
    license = "Apache-2.0 (own code); weights: VideoMAE CC BY-NC 4.0, V-JEPA 2 see publisher"

    def __init__(self, options: Any, features: Any, weights_sha256: str):
        self.options, self.features, self.weights_sha256 = options, features, weights_sha256

    @classmethod
    def load(cls, options: Any, device: str = "cpu") -> Self:
        """Load the metric with weights from disk. Raises ModelError: they are missing or do not fit."""
        from mvideo_core.evaluation.networks.video_features import load_features
        from mvideo_core.weights import find

        return cls(options, *load_features(find(options.weights, kind="metric"), options.frames, device))

    def score(self, video: EvalVideo) -> VideoScore:
        """Compute the vectors of video and source, as artifacts. Raises MediaError: one of them is unreadable."""
        generated, source = (self.features.of(frames) for frames in self._frames_of(video))
        return VideoScore(
            value=float(np.linalg.norm(generated - source)),
            artifacts={GENERATED: generated.astype("<f4").tobytes(), SOURCE: source.astype("<f4").tobytes()},
        )

    def _frames_of(self, video: EvalVideo) -> tuple[np.ndarray, np.ndarray]:
        """Frames of the video and of its source, as fed to the network."""
        return video.frames_THWC, as_long(video.source_frames(), video.source_fps, len(video.frames_THWC), video.fps)

    @classmethod
    def of_set(cls, options: Any, scores: Sequence[VideoScore]) -> SetScore:
        """Distance between the sets, with a remark on their size; no value for fewer than two videos."""
        n = len(scores)
        if n < 2:
            return SetScore(value=None, remark=f"{n} videos; at least 2 required")
        sets = [np.stack([np.frombuffer(one.artifacts[name], "<f4") for one in scores]) for name in (GENERATED, SOURCE)]
        value = frechet_distance(*sets) if options.distance == "frechet" else polynomial_mmd(*sets)
        few = f"{n} videos; biased below about {ENOUGH_VIDEOS:,}" if n < ENOUGH_VIDEOS else ""
        return SetScore(value=value, remark=few)


def as_long(source_THWC: np.ndarray, source_fps: float, n_frames: int, fps: float) -> np.ndarray:
    """The frames of a source up to the time of a video's last frame; all of them if the source is shorter.

    A source with as many frames as the video is kept whole, regardless of the two frame rates.
    """
    if len(source_THWC) == n_frames:
        return source_THWC
    last = int(nearest_frames(np.array([(n_frames - 1) / fps]), source_fps)[0])
    return source_THWC[: last + 1]


class MaskedFrechetVideoOptions(FrechetVideoOptions):
    """Network, distance and masks."""

    fit: GridFit = Field(
        default="same", description="if aspect ratios differ: same = error; crop, letterbox, stretch = how to fit masks"
    )


@METRICS.register("masked_frechet_video")
class MaskedFrechetVideo(FrechetVideo):
    """The same, with everything outside the item's masks gray, in both the generated video and its source."""

    Options = MaskedFrechetVideoOptions
    needs = frozenset({"source", "masks"})

    def _frames_of(self, video: EvalVideo) -> tuple[np.ndarray, np.ndarray]:
        return (
            self._mask(video, video.frames_THWC, video.fps),
            self._mask(video, video.source_frames(), video.source_fps, longer=True),
        )

    def _mask(
        self, video: EvalVideo, frames_THWC: np.ndarray, fps: float, longer: bool = False
    ) -> np.ndarray:  # fmt: skip
        """Frames with a gray background, uint8 (T, H, W, 3).

        Args:
            longer: drop frames after the last mask; otherwise they are an error.

        Raises:
            MediaError: masks missing, of different length or shape, or empty in every frame.
        """
        masks = video.masks()
        height, width = frames_THWC.shape[1:3]
        match = match_frames(masks.n_frames, video.masks_fps, len(frames_THWC), fps)
        checked = match._replace(n_unmatched=0) if longer else match
        check_match(checked, masks.n_frames, video.masks_fps, fps, align=None)
        frames_THWC = frames_THWC[: len(match.masks)]
        there = on_grid(masks, match.masks, height, width, (not longer and video.item.fit) or self.options.fit)
        shown = np.full_like(frames_THWC, BACKGROUND)
        n_pixels = 0
        for frame in range(there.n_frames):
            region_HW = np.zeros((height, width), np.bool_)
            for n in range(there.n_objects):
                region_HW |= there.mask(frame, n)
            shown[frame][region_HW] = frames_THWC[frame][region_HW]
            n_pixels += int(region_HW.sum())
        if not n_pixels:
            raise MediaError(f"{video.item.id}: all masks are empty, so there is no region to compare")
        return shown
